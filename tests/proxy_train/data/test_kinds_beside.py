"""Depth, flow and masks as files beside pictures, and second cameras, are left out or told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_train.data.dataset import Dataset
from tests.proxy_train.data.test_modalities import frames, read, used
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch, write_images, write_text, write_videos


def doubts(dataset: Dataset) -> list[str]:
    return [note for note in dataset.notes if "may be" in note]


@pytest.mark.parametrize("above", ["", "train/"])
@pytest.mark.parametrize(
    ("pictures", "other"),
    [
        ("clip1.mp4", "clip1_depth.mp4"),
        ("clip1.mp4", "Depth-clip1.AVI"),
        ("clip1_rgb.mp4", "clip1_ir.mp4"),
        ("color 0001.mp4", "mask 0001.mp4"),
        ("clip1.mp4", "clip1_flow_x.mp4"),
        ("rgb.mp4", "depth.mp4"),
        ("clip1", "clip1_depth.mp4"),
        ("clip1.mp4", "clip1_depth"),
        ("clip1", "clip1 mask"),
        ("deep/clip1.mp4", "deep/depth/clip1.mp4"),
        ("deep/clip1", "deep/mask/clip1"),
        ("clip1", "depth/clip1.mp4"),
    ],
)
def test_what_is_called_as_pictures_beside_it_but_for_a_word_is_named(
    tmp_path: Path, above: str, pictures: str, other: str
) -> None:
    for name in (f"{above}{folder}/{file}" for folder in "ab" for file in (pictures, other)):
        if Path(name).suffix:
            touch(tmp_path, name)
        else:
            frames(tmp_path, name)
    dataset = read(tmp_path)
    assert used(dataset) == {f"{above}{folder}/{pictures}" for folder in "ab"}
    assert {name for name, _ in dataset.dropped} == {f"{tmp_path}/{above}{folder}/{other}" for folder in "ab"}
    assert all("no pictures by" in reason for _, reason in dataset.dropped) and doubts(dataset) == []


def test_depth_without_its_pictures_is_told_by_the_word_of_the_others(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "a/1_depth.mp4", "b/1.mp4", "b/1_depth.mp4", "b/2_depth.mp4", "b/2_mask.mp4")
    dataset = read(tmp_path)
    # Nothing else says that masks are no pictures here.
    assert used(dataset) == {"a/1.mp4", "b/1.mp4", "b/2_mask.mp4"}
    assert dict(dataset.dropped) == {
        f"{tmp_path}/a/1_depth.mp4": "no pictures by its name; those are in 1.mp4",
        f"{tmp_path}/b/1_depth.mp4": "no pictures by its name; those are in 1.mp4",
        f"{tmp_path}/b/2_depth.mp4": "no pictures by its name, as 1_depth beside those of another video",
    }


@pytest.mark.parametrize(
    ("names", "left_out", "doubted"),
    [
        (["no mask/1", "no mask/2", "no mask/2_mask", "mask/1_mask", "mask/2_mask", "mask/4_mask"], [], ""),
        (["run/1", "run/1_depth", "run/5", "sea/2_depth", "sea/3_depth"], ["run/1_depth"], "sea/2_depth"),
        (["pose/yoga", "pose/yoga_pose", "pose/tree_pose", "run/1"], [], ""),
        (
            [f"{way}/{way}{how}" for way in ("walk", "run") for how in ("", "_fast", "_normal", "_slow")],
            [],
            "run/run_normal",
        ),
        (["a/video", "a/video_u", "a/video_v", "b/clip", "b/clip_x"], [], ""),
        (["a/a", "a/a_label", "b/1"], [], "a/a_label"),
        (["a/1", "a/1_normal", "b/2", "b/2_normal"], ["a/1_normal", "b/2_normal"], ""),
    ],
)
def test_words_of_ordinary_names_leave_no_video_out(
    tmp_path: Path, names: list[str], left_out: list[str], doubted: str
) -> None:
    touch(tmp_path, *(f"{name}.mp4" for name in names))
    dataset = read(tmp_path)
    assert used(dataset) == {f"{name}.mp4" for name in names if name not in left_out}
    assert {name for name, _ in dataset.dropped} == {f"{tmp_path}/{name}.mp4" for name in left_out}
    told = doubts(dataset)
    assert (f"such as {tmp_path}/{doubted}.mp4" in told[0]) if doubted else told == []


def test_names_with_such_words_are_videos_where_nothing_else_is_called_alike(tmp_path: Path) -> None:
    names = ["yoga/pose 1.mp4", "yoga/tree.mp4", "yoga/1 pose.mp4", "x/x1.mp4", "x/y1.mp4", "x/flow.mp4"]
    touch(tmp_path, *names)
    dataset = read(tmp_path)
    assert used(dataset) == {*names} and dataset.dropped == () and doubts(dataset) == []


def test_frames_and_folders_of_depth_alone_are_used_and_told_of(tmp_path: Path) -> None:
    frames(tmp_path, "a/1", "b/1", template="depth_%04d.png")
    touch(tmp_path, "a/ir/2.mp4", "b/day/3.mp4")
    dataset = read(tmp_path)
    assert len(used(dataset)) == 4
    assert doubts(dataset) == [
        "videos that are used, and may be no pictures by their names: 3, such as"
        f" {tmp_path}/a/1 (its images are called depth_%04d.png)"
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("frames/1", "its images are called depth_%04d.png"),
        ("depth/1.mp4", "in a folder depth"),
        ("clips/1_depth.mp4", "{root}/clips/1.mp4 is beside it"),
        ("mask/2", "in a folder mask"),
    ],
)
def test_a_row_that_names_depth_is_told_of(tmp_path: Path, row: str, reason: str) -> None:
    write_images(tmp_path / "frames/1", "depth_%04d.png", range(1, 4))
    write_images(tmp_path / "mask/2", "%04d.png", range(1, 4))
    write_videos(tmp_path, "depth/1.mp4", "clips/1.mp4", "clips/1_depth.mp4", "clips/2.mp4", "clips/3.mp4")
    write_text(tmp_path, train__txt=f"{row} 0\nclips/2.mp4 1\n", val__txt="clips/3.mp4 0\n")
    dataset = load(tmp_path, trainable=False)
    told = "videos that are used, and may be no pictures by their names: 1, such as"
    assert doubts(dataset) == [f"{told} {tmp_path / row} ({reason.format(root=tmp_path)})"]
    write_text(tmp_path, train__txt="clips/1.mp4 0\nclips/2.mp4 1\n")
    assert doubts(load(tmp_path, trainable=False)) == []


@pytest.mark.parametrize(
    ("left", "right"), [("1_left.mp4", "1_right.mp4"), ("Left/1.mp4", "Right/1.mp4"), ("1LEFT", "1RIGHT")]
)
def test_two_cameras_are_told_of(tmp_path: Path, left: str, right: str) -> None:
    for name in (f"{folder}/{file}" for folder in ("a", "turn left", "turn right") for file in (left, right)):
        if Path(name).suffix:
            touch(tmp_path, name)
        else:
            frames(tmp_path, name)
    touch(tmp_path, "a/2_left.mp4")
    assert doubts(read(tmp_path)) == [
        "pairs that may be one recording by two cameras, and are used as two videos: 3, such as"
        f" a/{left} and a/{right}"
    ]


def test_two_cameras_of_a_list_are_told_of(tmp_path: Path) -> None:
    touch(tmp_path, "left/1.mp4", "right/1.mp4", "left/2.mp4", "right/2.mp4")
    write_text(tmp_path, train__txt="left/1.mp4 0\nright/1.mp4 0\nleft/2.mp4 0\nright/2.mp4 1\n")
    told = "pairs that may be one recording by two cameras, and are used as two videos: 1, such as"
    assert doubts(load(tmp_path, trainable=False)) == [f"{told} left/1.mp4 and right/1.mp4"]
