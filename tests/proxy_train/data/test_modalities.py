"""Optical flow, depth and masks are taken for pictures in no arrangement of folders and of names."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_train.data.dataset import Dataset
from search_space.errors import DataError
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch


def read(root: Path) -> Dataset:
    return load(root, "folder", trainable=False)


def used(dataset: Dataset) -> set[str]:
    return {item.id for items in dataset.items.values() for item in items}


def frames(root: Path, *folders: str, template: str = "img_%04d.jpg") -> None:
    for folder in folders:
        touch(root / folder, *(template % number for number in range(1, 5)))


@pytest.mark.parametrize(("pictures", "other"), [("rgb", "flow"), ("frames", "depth_16"), ("images", "mask")])
@pytest.mark.parametrize("above", ["{}", "train/{}"])
@pytest.mark.parametrize(
    ("of_pictures", "of_other"),
    [
        ("{kind}/0", "{kind}/0"),
        ("0/{kind}/deep", "0/{kind}/deep"),
        ("{kind}/0", "{kind}/x/0"),
        ("0/{kind}", "0/{kind}/u"),
        ("{kind}/0/parts/1", "{kind}/0/parts/1"),
    ],
)
def test_flow_beside_pictures_is_named(
    tmp_path: Path, pictures: str, other: str, above: str, of_pictures: str, of_other: str
) -> None:
    wanted = {f"{above.format(name)}/{of_pictures.format(kind=pictures)}" for name in "ab"}
    left = {f"{above.format(name)}/{of_other.format(kind=other)}" for name in "ab"}
    frames(tmp_path, *wanted, *left)
    dataset = read(tmp_path)
    assert used(dataset) == wanted
    reason = f"no pictures by the name of {other}; those are in {pictures}"
    assert dict(dataset.dropped) == {str(tmp_path / name): reason for name in left}


def test_video_files_of_flow_beside_those_of_pictures_are_named(tmp_path: Path) -> None:
    for name in "ab":
        touch(tmp_path, f"{name}/rgb/1.mp4", f"{name}/flow/1.avi", f"{name}/flow/2.avi")
    dataset = read(tmp_path)
    assert used(dataset) == {"a/rgb/1.mp4", "b/rgb/1.mp4"}
    assert {name for name, _ in dataset.dropped} == {
        str(tmp_path / name / "flow" / file) for name in "ab" for file in ("1.avi", "2.avi")
    }


@pytest.mark.parametrize("split", ["", "train/"])
def test_names_of_classes_and_of_folders_without_pictures_beside_them_tell_nothing(
    tmp_path: Path, split: str
) -> None:
    touch(tmp_path, *(f"{split}{name}/{at}.mp4" for name in ("image", "pose") for at in range(3)))
    touch(tmp_path, f"{split}image/depth/7.mp4", f"{split}image/rgb/2.mp4")
    assert len(used(read(tmp_path))) == 8


@pytest.mark.parametrize(
    ("folder", "hint"),
    [
        ("{}/train/{}", "set data.root to {root}/rgb"),
        ("{}/{}", "set data.root to {root}/rgb"),
        ("train/{}/{}", "move rgb's folders up \\(train/<class>/\\)"),
    ],
)
def test_kinds_of_pictures_are_no_classes(tmp_path: Path, folder: str, hint: str) -> None:
    for kind in ("rgb", "flow_x", "flow_y"):
        touch(tmp_path, *(f"{folder.format(kind, name)}/1.mp4" for name in "ab"))
    told = f"flow_x, flow_y, rgb may be the classes, or several kinds .*{hint.format(root=tmp_path)}"
    with pytest.raises(DataError, match=told):
        read(tmp_path)


@pytest.mark.parametrize("names", [("rgb", "run"), ("rgb_left", "jump_right"), ("x", "y")])
def test_classes_may_be_called_like_pictures(tmp_path: Path, names: tuple[str, str]) -> None:
    touch(tmp_path, *(f"{name}/{person}/1.mp4" for name in names for person in ("p1", "p2")))
    assert read(tmp_path).classes == tuple(sorted(names))


def test_a_folder_of_depth_alone_is_no_video_where_others_have_pictures_beside_it(tmp_path: Path) -> None:
    frames(tmp_path, "a/1", "b/1", "b/2")
    frames(tmp_path, "a/1", "a/2", template="depth_%04d.png")
    frames(tmp_path, "b/3", template="Depth_%d.jpg")
    frames(tmp_path, "b/4", template="mask_%d.jpg")  # nothing else says that these are no pictures
    dataset = read(tmp_path)
    assert used(dataset) == {"a/1", "b/1", "b/2", "b/4"}
    assert dict(dataset.dropped) == {
        str(tmp_path / "a/1/depth_%04d.png"): "4 images beside the frames of a video",
        str(tmp_path / "a/2"): "its images are called depth_%04d.png, as those beside other videos' frames",
        str(tmp_path / "b/3"): "its images are called Depth_%01d.jpg, as those beside other videos' frames",
    }


def test_frames_may_be_called_like_depth_where_there_are_no_others(tmp_path: Path) -> None:
    frames(tmp_path, "a/1", "b/1", template="depth_%04d.png")
    frames(tmp_path, "c/1", template="x_%04d.png")
    touch(tmp_path, "a/1/x_0001.png")
    assert used(read(tmp_path)) == {"a/1", "b/1", "c/1"}
