"""A user's own videos: class folders, split folders, list files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from proxy_train.data.contents import Contents
from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from search_space.errors import DataError
from tests.proxy_train.video_files import touch, write_images


def load(root: Path, kind: str = "folder") -> Dataset:
    return load_dataset(DataSettings.model_validate({"kind": kind, "root": str(root)}))


def splits(dataset: Dataset) -> dict[str, list[str]]:
    return {name: [item.id for item in items] for name, items in dataset.items.items()}


def test_split_folders_and_names_with_anything(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "train/run #1 (a)/x & y.mp4",
        "train/jump/b.AVI",
        "Validation/jump/c.webm",
        "test/jump/d.mkv",
    )
    dataset = load(tmp_path)
    assert dataset.classes == ("jump", "run #1 (a)")
    assert splits(dataset) == {
        "train": ["train/jump/b.AVI", "train/run #1 (a)/x & y.mp4"],
        "val": ["Validation/jump/c.webm"],
        "test": ["test/jump/d.mkv"],
    }
    assert [item.label for item in dataset.items["train"]] == [0, 1]


def test_nothing_is_dropped_silently(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "val/a/2.mp4", "train/a/notes.txt", "spare/a/9.mp4")
    dropped = dict(load(tmp_path).dropped)
    assert "suffix .txt" in dropped[str(tmp_path / "train/a/notes.txt")]
    assert "not a split folder" in dropped[str(tmp_path / "spare")]


def test_hashed_split_is_stable_and_reaches_every_class(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{number}.mp4" for name in "abc" for number in range(40)), "d/1.mp4", "d/2.mp4")
    before = load(tmp_path)
    counts = {name: len(items) for name, items in before.items.items()}
    assert counts["train"] > 60 and counts["val"] > 5 and counts["test"] > 5
    assert {item.label for item in before.items["val"]} == {0, 1, 2, 3}
    assert {item.label for item in before.items["train"]} == {0, 1, 2, 3}
    touch(tmp_path, "a/new.mp4")
    after = load(tmp_path)
    assert all(set(splits(before)[name]) <= set(splits(after)[name]) for name in ("train", "val", "test"))
    assert before.digest != after.digest


def test_val_comes_from_train_where_only_test_is_given(tmp_path: Path) -> None:
    touch(tmp_path, *(f"train/{name}/{number}.mp4" for name in "ab" for number in range(20)), "test/a/x.mp4")
    dataset = load(tmp_path)
    assert splits(dataset)["test"] == ["test/a/x.mp4"]
    assert {item.label for item in dataset.items["val"]} == {0, 1}


def test_digest_follows_labels_and_contents(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "val/a/2.mp4")
    before = load(tmp_path).digest
    assert load(tmp_path).digest == before
    (tmp_path / "train/a/1.mp4").write_bytes(b"longer")
    assert load(tmp_path).digest != before


def test_digests_are_those_of_earlier_versions_and_ask_for_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for at, name in enumerate(("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4")):
        touch(tmp_path / "videos", name)
        Path("videos", name).write_bytes(bytes(at))
        os.utime(f"videos/{name}", (at, at))
    dataset = load(Path("videos"))
    asked: list[Path] = []
    stat = Path.stat

    def ask(path: Path, **given: bool) -> os.stat_result:
        asked.append(path)
        return stat(path, **given)

    monkeypatch.setattr(Path, "stat", ask)
    found = dataset.digest, Contents.of(dataset).digest, dataset.digest
    assert sorted(map(str, asked)) == ["videos/a/1.mp4", "videos/a/2.mp4", "videos/b/1.mp4", "videos/b/2.mp4"]
    assert found == ("c27bf70a33dda02c", "42ea381ed9d4992e", "c27bf70a33dda02c")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no video in it"),
        (["a/1.mp4", "a/2.mp4"], "1 class"),
        (["train/a/1.mp4", "train/b/1.mp4", "val/c/1.mp4"], "no training video of class c"),
    ],
)
def test_impossible_folders_are_explained(tmp_path: Path, files: list[str], message: str) -> None:
    touch(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder.*data\.root"):
        load(tmp_path / "nowhere")


def test_list_files_split_from_the_right(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("my videos/a b.mp4 0\nc,d.mp4,1\n\n")
    (tmp_path / "val.txt").write_text("e.mp4\t1\n")
    (tmp_path / "classes.txt").write_text("run\njump\n")
    dataset = load(tmp_path, "list")
    assert [(item.path.name, item.label) for item in dataset.items["train"]] == [
        ("a b.mp4", 0),
        ("c,d.mp4", 1),
    ]
    assert dataset.classes == ("run", "jump")
    assert dataset.items["val"][0].path == tmp_path / "e.mp4"


@pytest.mark.parametrize(
    ("line", "message"), [("a.mp4", "train.txt, line 2"), ("a.mp4 run", "line 2.*a.mp4 run")]
)
def test_unreadable_list_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "train.txt").write_text(f"ok.mp4 0\n{line}\n")
    with pytest.raises(DataError, match=message):
        load(tmp_path, "list")


@pytest.mark.parametrize(
    "settings",
    [{"kind": "folder"}, {"root": "/videos"}, {"presets": "tiny"}, {"preset": "huge"}, {"seconds": 0}],
)
def test_bad_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate(settings)


def test_a_preview_beside_frames_is_named_and_does_not_hide_them(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in "ab":
            write_images(tmp_path / split / name / "clip", "img_%03d.png", range(1, 6))
            touch(tmp_path, f"{split}/{name}/clip/preview.gif", f"{split}/{name}/alone.gif")
    dataset = load(tmp_path)
    assert splits(dataset)["train"] == [f"train/{n}/{v}" for n in "ab" for v in ("alone.gif", "clip")]
    dropped = dict(dataset.dropped)
    assert dropped[str(tmp_path / "train/a/clip/preview.gif")] == "a preview beside the frames of a video"


@pytest.mark.parametrize("splits", [("train/", "eval/"), ("", "")])
def test_a_class_folder_without_a_video_is_named(tmp_path: Path, splits: tuple[str, str]) -> None:
    for split in splits:
        touch(tmp_path, *(f"{split}{name}/{number}.mp4" for name in "ab" for number in range(4)))
        (tmp_path / f"{split}gone").mkdir(exist_ok=True)
    dataset = load(tmp_path)
    assert dataset.classes == ("a", "b")
    assert dict(dataset.dropped)[str(tmp_path / f"{splits[0]}gone")] == "no video in it: it is no class"
    if splits[0]:
        assert len(dataset.items["val"]) == 8, "eval is the validation split"
