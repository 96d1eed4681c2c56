"""Which folders are splits, which are classes, and what is done with videos outside both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy_train.data.check import check_dataset
from proxy_train.data.dataset import Dataset
from search_space.errors import DataError
from tests.proxy_train.data.written_formats import labels, load
from tests.proxy_train.video_files import touch, write_images, write_videos


def read(root: Path, **given: object) -> Dataset:
    return load(root, "folder", trainable=False, **given)


def counts(dataset: Dataset) -> dict[str, int]:
    return {split: len(items) for split, items in dataset.items.items()}


def test_videos_outside_class_folders_are_named(tmp_path: Path) -> None:
    for name in "ab":
        write_videos(tmp_path, *(f"train/{name}/{at}.mp4" for at in range(3)), f"val/{name}/0.mp4")
    for at in range(3):
        write_videos(tmp_path, f"test/{at}.mp4", f"train/forgotten_{at}.mp4", f"loose_{at}.mp4")
    dataset = read(tmp_path)
    assert counts(dataset) == {"train": 6, "val": 2, "test": 0}
    assert [item.id for item in dataset.unlabelled] == ["test/0.mp4", "test/1.mp4", "test/2.mp4"]
    assert dict(dataset.dropped) == {
        **{str(tmp_path / f"loose_{at}.mp4"): "outside the class folders" for at in range(3)},
        **{str(tmp_path / f"train/forgotten_{at}.mp4"): "in no class folder of train" for at in range(3)},
    }
    found = check_dataset(dataset)
    assert (found.videos, found.unlabelled, len(found.dropped)) == (8, 3, 6)


@pytest.mark.parametrize(
    ("names", "reasons"),
    [
        (["a/1.mp4", "b/1.mp4", "x.mkv"], {"x.mkv": "outside the class folders"}),
        (
            ["train/a/1.mp4", "train/b/1.mp4", "test/a/1.mp4", "test/x.mp4"],
            {"test/x.mp4": "in no class folder of test"},
        ),
        (["train/a/1.mp4", "train/b/1.mp4", "val/x.mp4"], {"val/x.mp4": "in no class folder of val"}),
        (
            ["a/1.mp4", "b/1.mp4", "a/.2.mp4", ".trash/3.mp4"],
            {
                "a/.2.mp4": "hidden: its name begins with a dot",
                ".trash": "hidden: its name begins with a dot",
            },
        ),
        (
            ["train/a/1.mp4", "train/b/1.mp4", "more/a/1.mp4", "more/b/2.mp4"],
            {"more": "not a split folder beside train: 2 videos in it"},
        ),
    ],
)
def test_whatever_is_not_used_has_a_reason(tmp_path: Path, names: list[str], reasons: dict[str, str]) -> None:
    touch(tmp_path, *names)
    assert dict(read(tmp_path).dropped) == {str(tmp_path / name): why for name, why in reasons.items()}


def test_folders_of_frames_outside_class_folders_are_named(tmp_path: Path) -> None:
    for name in ("train/a/1", "train/b/1", "train/loose", "other"):
        write_images(tmp_path / name, "%03d.png", range(3))
    assert dict(read(tmp_path).dropped) == {
        str(tmp_path / "train/loose"): "in no class folder of train",
        str(tmp_path / "other"): "not a split folder beside train: 1 videos in it",
    }


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train_256", "val_256", "test_256"),
        ("train_videos", "val_videos", "test_videos"),
        ("trainset", "valset", "testset"),
        ("training_frames", "validation_frames", "testing_frames"),
        ("Train-112px", "Valid-112px", "Test-112px"),
        ("ucf_train", "ucf_val", "ucf_test"),
    ],
)
def test_names_with_more_than_the_split_are_splits_where_they_hold_the_same_folders(
    tmp_path: Path, train: str, val: str, test: str
) -> None:
    for folder in (train, val, test):
        touch(tmp_path, f"{folder}/run/1.mp4", f"{folder}/jump/1.mp4")
    dataset = read(tmp_path)
    assert dataset.classes == ("jump", "run")
    assert {split: set(labels(dataset, split)) for split in ("train", "val", "test")} == {
        split: {f"{folder}/run/1.mp4", f"{folder}/jump/1.mp4"}
        for split, folder in (("train", train), ("val", val), ("test", test))
    }
    (note,) = (note for note in dataset.notes if "split folders" in note)
    assert f"{val} as val" in note
    assert note in check_dataset(dataset).text()


def test_a_folder_with_more_than_a_split_s_name_stands_for_the_split_that_is_missing(tmp_path: Path) -> None:
    for folder in ("train", "validation_frames", "spare"):
        touch(tmp_path, f"{folder}/run/1.mp4", f"{folder}/jump/1.mp4")
    dataset = read(tmp_path)
    assert counts(dataset) == {"train": 2, "val": 2, "test": 0}
    assert any("validation_frames is read as the val split" in note for note in dataset.notes)
    assert dict(dataset.dropped).keys() == {str(tmp_path / "spare")}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train_a/1.mp4", "test_b/1.mp4"], "test_b, train_a may be the classes, or splits"),
        (["train_256/a/1.mp4", "val_256/c/1.mp4"], "train_256, val_256 may be the classes, or splits"),
        (
            ["train_256/a/1.mp4", "train_112/a/1.mp4", "val_256/a/1.mp4"],
            "train_112, train_256 may all be the train split",
        ),
        (["train/a/1.mp4", "val_a/a/1.mp4", "val_b/a/1.mp4"], "val_a, val_b may all be the val split"),
        (
            ["train_clean/a/1.mp4", "train_noisy/a/1.mp4"],
            "train_clean, train_noisy may be the classes, or parts of the train split.* a .*train/<class>/",
        ),
        (["train/1.mp4", "val/1.mp4"], "train, val hold no class folders"),
        (["train/1.mp4", "val/1.mp4", "run/1.mp4"], "train, val may be splits without class folders"),
    ],
)
def test_two_readings_are_refused_with_the_names(tmp_path: Path, names: list[str], message: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("names", "classes", "note"),
    [
        (["a/1.mp4", "b/1.mp4", "test/1.mp4"], ("a", "b"), "test is read as videos without a label"),
        (["train/1.mp4", "bus/1.mp4", "car/1.mp4"], ("bus", "car", "train"), "train is read as a class"),
        (["train station/1.mp4", "harbour/1.mp4"], ("harbour", "train station"), ""),
        (["train_cargo/1.mp4", "train_people/2.mp4"], ("train_cargo", "train_people"), ""),
        (["train_cargo/x/1.mp4", "train_people/y/2.mp4"], ("train_cargo", "train_people"), ""),
        (["contest/1.mp4", "latest/2.mp4"], ("contest", "latest"), ""),
    ],
)
def test_a_class_may_have_the_name_of_a_split(
    tmp_path: Path, names: list[str], classes: tuple[str, ...], note: str
) -> None:
    touch(tmp_path, *names)
    dataset = read(tmp_path)
    assert dataset.classes == classes
    assert any(note in each for each in dataset.notes)


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (
            ["videos/a/1.mp4", "videos/b/1.mp4"],
            r"one class, videos: if its folders \(a, b\) are, give .*/videos",
        ),
        (["train/videos/a/1.mp4", "val/videos/b/1.mp4"], r"one class, videos: if its folders \(a, b\)"),
        (["data/train/a/1.mp4", "data/val/a/1.mp4"], r"one class, data: if its folders \(train, val\)"),
    ],
)
def test_a_level_of_folders_too_many_is_told(tmp_path: Path, names: list[str], note: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=note):
        load(tmp_path, "folder")
    assert note.partition(":")[0].replace("\\", "") in check_dataset(read(tmp_path)).text()


def test_classes_that_hold_the_same_folders_are_told(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{camera}/{name}/1.mp4" for camera in ("left", "right") for name in ("run", "jump")))
    (note,) = (note for note in read(tmp_path).notes if "each holds" in note)
    assert note == "the classes are left, right; each holds the same folders, jump, run"


@pytest.mark.parametrize("order", [("rgb", "flow"), ("images", "depth"), ("frames", "mask")])
def test_folders_of_flow_or_depth_beside_one_of_pictures_are_no_videos(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    pictures, other = order
    for name in "ab":
        write_images(tmp_path / name / "clip" / pictures, "%03d.png", range(3))
        write_images(tmp_path / name / "clip" / other, "%03d.png", range(3))
    dataset = read(tmp_path)
    used = {item.path.relative_to(tmp_path).as_posix() for items in dataset.items.values() for item in items}
    assert used == {f"{name}/clip/{pictures}" for name in "ab"}
    reason = f"no pictures by its name; those are in {pictures}"
    assert {(name, reason in why) for name, why in dataset.dropped if other in name} >= {
        (str(tmp_path / name / "clip" / other / f"{at:03d}.png"), True) for name in "ab" for at in range(3)
    }


def test_images_beside_frames_are_named(tmp_path: Path) -> None:
    for name in "ab":
        for spelled in ("img_%05d.jpg", "flow_x_%05d.jpg", "flow_y_%05d.jpg"):
            write_images(tmp_path / name / "clip", spelled, range(1, 13))
    touch(tmp_path / "a/clip", "cover.jpg")
    dataset = read(tmp_path)
    frames = [item.frames for items in dataset.items.values() for item in items if item.frames]
    assert [(files.template, files.count) for files in frames] == [("img_%05d.jpg", 12)] * 2
    assert dict(dataset.dropped) == {
        str(tmp_path / "a/clip/cover.jpg"): "an image beside the frames of a video",
        **{
            str(tmp_path / name / "clip" / f"flow_{axis}_%05d.jpg"): "12 images beside the frames of a video"
            for name in "ab"
            for axis in "xy"
        },
    }


@pytest.mark.parametrize("link", ["val", "train/c", "train/a/loop"])
def test_a_link_to_a_folder_that_is_read_is_named(tmp_path: Path, link: str) -> None:
    touch(tmp_path, *(f"train/{name}/{at}.mp4" for name in "ab" for at in range(9)))
    target = {"val": "train", "train/c": "train/a", "train/a/loop": "."}[link]
    (tmp_path / link).symlink_to(tmp_path / target, target_is_directory=True)
    dataset = read(tmp_path)
    assert sum(counts(dataset).values()) == 18
    (left_out,) = dataset.dropped
    assert left_out[0] == str(tmp_path / link) and "the same folder as" in left_out[1]


def test_the_readings_are_written_beside_a_run_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path / "mine", *(f"train_256/{name}/{at}.mp4" for name in "ab" for at in range(9)))
    touch(tmp_path / "mine", "val_256/a/1.mp4", "val_256/b/1.mp4")
    dataset = load(tmp_path / "mine")
    (said,) = caplog.messages
    assert said.startswith("mine is read as: format folder; split folders, for they hold the same folders")
    dataset.write_report(tmp_path / "run")
    written = json.loads((tmp_path / "run/left_out.json").read_text())
    assert written["read as"] == list(dataset.notes)


def test_a_split_that_is_made_is_told(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{at}.mp4" for name in "ab" for at in range(30)))
    assert "train, val, test by a hash of the names, a share of all videos" in read(tmp_path).notes
    touch(tmp_path / "more", *(f"train/{name}/{at}.mp4" for name in "ab" for at in range(30)))
    assert "val by a hash of the names, a share of train" in read(tmp_path / "more").notes
