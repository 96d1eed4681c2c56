"""What the columns of a list are: labels, numbers of frames or a header; told, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from proxy_train.data.check import check_dataset
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.data.settings import DataSettings
from search_space.errors import DataError
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch


def write(root: Path, **lists: Sequence[str]) -> None:
    """List files; ``__`` in a name stands for a dot."""
    for name, lines in lists.items():
        (root / name.replace("__", ".")).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(root: Path, kind: str = "auto", **given: Any) -> Dataset:
    return load(root, kind, trainable=False, **given)


def read_labels(dataset: Dataset) -> dict[str, Any]:
    return {
        f"{split} {item.path.name}": item.label for split, items in dataset.items.items() for item in items
    }


def stretch(item: VideoItem) -> tuple[int, int]:
    """The numbers of an item's first image and of its images."""
    assert item.frames is not None
    return item.frames.offset, item.frames.count


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Six folders of 12 to 14 images, from number 1."""
    for split, per in (("train", 3), ("val", 1)):
        for label in (0, 1):
            for at in range(per):
                names = [f"img_{number:05d}.jpg" for number in range(1, 13 + at)]
                touch(tmp_path / f"{split}_{label}_{at}", *names)
    return tmp_path


def test_numbers_of_frames_are_no_labels(folders: Path) -> None:
    write(
        folders,
        train__txt=[f"train_{label}_{at} {12 + at} {label}" for label in (0, 1) for at in range(3)],
        val__txt=[f"val_{label}_0 12 {label}" for label in (0, 1)],
    )
    dataset = read(folders)
    assert (dataset.labels_kind, dataset.classes) == ("single", ("0", "1"))
    assert read_labels(dataset) == {
        **{f"train train_{label}_{at}": label for label in (0, 1) for at in range(3)},
        **{f"val val_{label}_0": label for label in (0, 1)},
    }
    assert stretch(dataset.items["train"][2]) == (1, 14)
    assert "train.txt: path, frames, label" in dataset.notes
    assert not dataset.dropped


@pytest.mark.parametrize("off", [-1, 1])
def test_counts_that_are_off_by_one_or_once_wrong_are_counts(tmp_path: Path, off: int) -> None:
    for at in range(20):
        touch(tmp_path / f"clip{at}", *(f"{number}.jpg" for number in range(1, 31)))
    lines = [f"clip{at} {30 + off} {at % 2}" for at in range(19)]
    write(tmp_path, train__txt=[*lines, "clip19 7 1"])
    items = [item for part in read(tmp_path).items.values() for item in part]
    assert {item.label for item in items} == {0, 1}
    # A count that is smaller selects the first images, and one that is larger gets what there is.
    assert {item.path.name: stretch(item)[1] for item in items if item.path.name in ("clip0", "clip19")} == {
        "clip0": min(30, 30 + off),
        "clip19": 7,
    }
    short = "folders with fewer images than their lists say: 19, such as clip0 (30 of 31)"
    assert (short in read(tmp_path).notes) == (off == 1)


def test_offsets_select_a_stretch(folders: Path) -> None:
    write(
        folders,
        train__txt=["train_0_0 0 6 0", "train_0_0 6 6 1", "train_1_2 7 7 1", "train_1_1 0 13 0"],
        val__txt=["val_0_0 0 12 0", "val_1_0 0 12 1"],
    )
    dataset = read(folders)
    assert dataset.labels_kind == "single"
    assert [(item.path.name, *stretch(item), item.label) for item in dataset.items["train"]] == [
        ("train_0_0", 1, 6, 0),
        ("train_0_0", 7, 6, 1),
        ("train_1_2", 8, 7, 1),
        ("train_1_1", 1, 13, 0),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.mp4 30 0", "b.mp4 30 1"], r"train\.txt: every line has 2 numbers, such as 'a\.mp4 30 0'"),
        (["a.mp4 0 30 0", "b.mp4 1 20 1"], "every line has 3 numbers"),
        (["a.mp4,0,1,0,1", "b.mp4,1,0,0,1"], "every line has 4 numbers"),
        (["clip 3 0", "clip 4 1"], "every line has 2 numbers"),
        (["clip 1 4 0", "clip 2 5 1"], r"every line has 3 numbers.*data\.columns, such as \[path, frames"),
        (["clip 9", "clip2 9"], "how many images its folder has, and no label"),
    ],
)
def test_numbers_that_may_be_either_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    for name in ("clip", "clip2"):
        touch(tmp_path / name, *(f"{number}.jpg" for number in range(1, 10)))
    write(tmp_path, train__txt=lines)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("columns", "line", "label", "frames"),
    [
        (["path", "frames", "label"], "clip 4 1", 1, (1, 4)),
        ("path frames label", "clip 4 1", 1, (1, 4)),
        (["path", "offset", "frames", "label"], "clip 2 4 1", 1, (3, 4)),
        (["label", "path"], "1 clip", 1, (1, 9)),
        (["path", "labels"], "clip 1", 1, (1, 9)),
        (["path", "-", "label"], "clip 5 1", 1, (1, 9)),
        (["path", "label"], "a clip 1", 1, (1, 9)),
    ],
)
def test_settings_say_what_the_columns_are(
    tmp_path: Path, columns: Any, line: str, label: int, frames: tuple[int, int]
) -> None:
    for name in ("clip", "a clip"):
        touch(tmp_path / name, *(f"{number}.jpg" for number in range(1, 10)))
    write(tmp_path, train__txt=[line])
    dataset = read(tmp_path, "list", columns=columns)
    (item,) = [item for part in dataset.items.values() for item in part]
    assert (item.label, stretch(item), dataset.labels_kind) == (label, frames, "single")
    assert any("as data.columns says" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "columns", [["frames", "label"], ["path", "path"], ["path", "class"], "path label label"]
)
def test_impossible_columns_are_refused(tmp_path: Path, columns: Any) -> None:
    with pytest.raises(ValidationError, match="columns"):
        DataSettings.model_validate({"kind": "list", "root": tmp_path, "columns": columns})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["clip 0 20 0"], None),
        (["clip 20 3 0"], r"train\.txt, line 1: 3 frames after 20, but .*clip has 9 images"),
        (["clip x 3 0"], r"line 1: offset is 'x'"),
        (["clip 3"], r"line 1: 'clip 3' .*data\.columns are path, offset, frames, label"),
        (["a.mp4 3 5 0"], r"line 1: it begins after 3 frames of a file"),
    ],
)
def test_stretches_that_are_not_there_are_refused(
    tmp_path: Path, lines: list[str], message: str | None
) -> None:
    touch(tmp_path, "a.mp4")
    touch(tmp_path / "clip", *(f"{number}.jpg" for number in range(1, 10)))
    write(tmp_path, train__txt=lines)
    columns = ["path", "offset", "frames", "label"]
    if message is None:
        assert any("(9 of 20)" in note for note in read(tmp_path, "list", columns=columns).notes)
        return
    with pytest.raises(DataError, match=message):
        read(tmp_path, "list", columns=columns)


def test_several_labels_are_read_where_lines_differ_and_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    write(tmp_path, train__txt=["a.mp4 0 2", "b.mp4 1", "c.mp4 2"], val__txt=["d.mp4 0 1"])
    dataset = read(tmp_path)
    assert dataset.labels_kind == "multi"
    assert read_labels(dataset) == {
        "train a.mp4": (0, 2),
        "train b.mp4": (1,),
        "train c.mp4": (2,),
        "val d.mp4": (0, 1),
    }
    assert "train.txt: path, any number of labels (a.mp4 has 2)" in dataset.notes


def test_a_missing_folder_whose_name_ends_in_a_number_has_no_second_label(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    write(tmp_path, train__txt=["a.mp4 0", "clip 7 1", "b.mp4 1"])
    dataset = read(tmp_path)
    assert dataset.labels_kind == "single"
    assert {item.path.name: item.label for items in dataset.items.values() for item in items} == {
        "a.mp4": 0,
        "b.mp4": 1,
        "clip 7": 1,
    }


HEADS = {
    "pandas": ("file,label", "{path},{label}"),
    "its index": (",path,label", "{at},{path},{label}"),
    "other names and order": ("Class;Filename", "{label};{path}"),
    "tabs and names": ("video_name\ttag\tlength", "{path}\t{name}\t2.0"),
    "quotes": ('"id","video","category"', '"{at}","{path}","{name}"'),
    "byte order mark": ("\ufeffpath,class", "{path},{name}"),
    "white space": ("path label", "{path} {label}"),
    "both": ("path,label,class_name", "{path},{label},{name}"),
    "floats": ("path,label", "{path},{label}.0"),
    "no suffix": ("video_name,tag", "{stem},{name}"),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_headers_name_the_columns(tmp_path: Path, head: str, suffix: str) -> None:
    first, line = HEADS[head]
    lists: dict[str, list[str]] = {"train": [first], "val": [first], "test": [first]}
    for label, name in enumerate(("calm down", "fight")):
        for at in range(10):
            path = f"{name.split()[0]}/{name.split()[0]}_{at}.mp4"
            touch(tmp_path, path)
            row = line.format(path=path, stem=path[:-4], label=label, name=name, at=at)
            lists["train" if at < 6 else "val" if at < 8 else "test"].append(row)
    write(tmp_path, **{f"{split}__{suffix}": lines for split, lines in lists.items()})
    dataset = read(tmp_path)
    assert {split: len(items) for split, items in dataset.items.items()} == {"train": 12, "val": 4, "test": 4}
    named = "{name}" in line
    assert dataset.classes == (("calm down", "fight") if named else ("0", "1"))
    assert all(
        item.label == int(item.path.parent.name == "fight") and item.path.exists()
        for items in dataset.items.values()
        for item in items
    )
    assert not dataset.dropped
    assert any(note.startswith(f"train.{suffix}: ") for note in dataset.notes)


def test_a_table_with_a_column_for_the_split(tmp_path: Path) -> None:
    touch(tmp_path, *(f"videos/{at}.mp4" for at in range(6)))
    rows = [
        f"videos/{at}.mp4,{'ab'[at % 2]},{split}" for at, split in enumerate(("train",) * 3 + ("Val",) * 2)
    ]
    write(tmp_path, annotations__csv=["file,label,split", *rows, "videos/5.mp4,,test"])
    dataset = read(tmp_path)
    assert {split: len(items) for split, items in dataset.items.items()} == {"train": 3, "val": 2, "test": 0}
    assert dataset.classes == ("a", "b")
    assert [item.path.name for item in dataset.unlabelled] == ["5.mp4"]


@pytest.mark.parametrize(
    ("files", "kind", "message"),
    [
        ({"train__csv": ["clipname,cls", "a.mp4,0"]}, "auto", r"train\.csv, line 1: 'clipname,cls'"),
        ({"train__csv": ["clipname,cls", "a.mp4,run", "b.mp4,jump"]}, "auto", "call them path and label"),
        ({"train__csv": ["path,label", "a.mp4"]}, "auto", "line 2: 1 fields, 2 columns"),
        ({"train__csv": ["path,label", "a, b.mp4,1"]}, "auto", "line 2: 3 fields, 2 columns.*quote"),
        ({"train__csv": ["path,label", '"a.mp4,1']}, "auto", "line 2: .*quotes must be closed"),
        ({"train__csv": ["path,label", "a.mp4,0", "b.mp4,run"]}, "auto", "line 3: label is 'run'"),
        ({"train__csv": ["path,label", "a.mp4,123456789"]}, "auto", "line 2: label is '123456789'"),
        (
            {"train__csv": ["path,label,class", "a.mp4,0,x", "b.mp4,0,y"]},
            "auto",
            "columns label and class are different labels",
        ),
        ({"train__csv": ["path,split", "a.mp4,train"]}, "list", "have no labels"),
        ({"all__csv": ["path,label,split", "a.mp4,0,rest"]}, "auto", "line 2: split is 'rest'"),
        ({"all__csv": ["path,label", "a.mp4,0"]}, "auto", r"all\.csv has labels.*list:FOLDER"),
        ({"train__txt": ["a.mp4 0"], "training__txt": ["b.mp4 1"]}, "auto", "several lists of train"),
        (
            {"train__txt": ["a.mp4 run", "b.mp4 walk"], "classes__txt": ["run", "jump"]},
            "list",
            r"line 2: label is 'walk' .*classes\.txt has no such class",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, files: dict[str, list[str]], kind: str, message: str
) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    write(tmp_path, **files)
    with pytest.raises(DataError, match=message):
        read(tmp_path, kind)


@pytest.mark.parametrize(
    "lines",
    [
        ["a b.mp4 run fast", "c.mp4 jump"],
        ["a b.mp4,run fast", "c.mp4,jump"],
        ['"a b.mp4";"run fast"', "c.mp4;jump"],
    ],
)
def test_labels_may_be_names_without_a_header(tmp_path: Path, lines: list[str]) -> None:
    touch(tmp_path, "a b.mp4", "c.mp4")
    write(tmp_path, train__txt=lines)
    dataset = read(tmp_path)
    assert dataset.classes == ("jump", "run fast")
    names = {item.path.name: item.label for items in dataset.items.values() for item in items}
    assert names == {"a b.mp4": 1, "c.mp4": 0}


def test_a_list_of_test_videos_may_have_no_labels(folders: Path) -> None:
    write(
        folders,
        train__txt=[f"train_{label}_{at} {12 + at} {label}" for label in (0, 1) for at in range(3)],
        test__txt=["val_0_0 12", "val_1_0 12"],
    )
    dataset = read(folders)
    assert [item.path.name for item in dataset.unlabelled] == ["val_0_0", "val_1_0"]
    touch(folders, "x.mp4")
    write(folders, test__txt=["x.mp4"])
    assert [item.path.name for item in read(folders).unlabelled] == ["x.mp4"]


def test_what_no_list_names_and_lists_that_are_not_read_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "deep/d.webm")
    write(
        tmp_path,
        train__txt=["a.mp4 0", "b.mp4 1"],
        train__csv=["a.mp4,0", "c.mp4,1"],
        all__csv=["path,label,split", "c.mp4,0,train"],
    )
    assert dict(read(tmp_path).dropped) == {
        str(tmp_path / "train.csv"): "train.txt is read in its place",
        str(tmp_path / "all.csv"): "a list beside train.txt, which are read",
        str(tmp_path / "c.mp4"): "in no list",
        str(tmp_path / "deep/d.webm"): "in no list",
    }


@pytest.mark.parametrize("name", ["train.csv", "my_train_list.txt", "labels.csv"])
def test_lists_are_named_where_folders_are_read(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4")
    (tmp_path / name).write_text("path,label\na/1.mp4,0\n")
    (left_out,) = read(tmp_path, "folder").dropped
    assert left_out[0] == str(tmp_path / name) and "looks like a list of videos" in left_out[1]


def test_paths_of_lists_are_found_in_another_folder_suffix_or_case_and_told(tmp_path: Path) -> None:
    touch(tmp_path, "videos/A.MP4", "b.avi", "x/c.mp4", "y/c.mp4")
    write(tmp_path, train__txt=["a.mp4 0", "b.mp4 1", "c.mp4 0"])
    dataset = read(tmp_path)
    paths = {item.id.split(":")[2]: item.path for items in dataset.items.values() for item in items}
    assert paths == {
        "a.mp4": tmp_path / "videos/A.MP4",
        "b.mp4": tmp_path / "b.avi",
        # Two videos have this name: none is taken.
        "c.mp4": tmp_path / "c.mp4",
    }
    assert any(note.startswith("paths found in another folder") for note in dataset.notes)
    assert [name for name, _ in check_dataset(dataset).broken if name.endswith(":c.mp4")]


def test_numbers_of_frames_of_files_and_of_missing_folders_select_nothing_and_are_told(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    write(tmp_path, train__csv=["path,offset,num_frames,label", "a.mp4,0,9,x", "b.mp4,0,9,y", "gone,3,9,y"])
    dataset = read(tmp_path)
    assert {item.path.name for items in dataset.items.values() for item in items} == {
        "a.mp4",
        "b.mp4",
        "gone",
    }
    told = "numbers of frames that are not used, for there is no folder of frames: 3, such as a.mp4"
    assert told in dataset.notes


def test_a_video_in_several_splits_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write(tmp_path, train__txt=["a.mp4 0", "b.mp4 1"], val__txt=["c.mp4 1"])
    assert not any("several splits" in note for note in read(tmp_path).notes)
    write(tmp_path, val__txt=["b.mp4 1", "c.mp4 0"])
    assert f"videos in several splits: 1, such as {tmp_path / 'b.mp4'}" in read(tmp_path).notes


def test_numbers_of_classes_without_a_video_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    write(tmp_path, train__txt=["a.mp4 1", "b.mp4 3"])
    assert "labels count from 0; no video has label 0, 2" in read(tmp_path).notes
