"""Columns of lists without a header beyond a path and a label: counts before labels, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.errors import DataError
from tests.proxy_train.data.test_lists import read, read_labels, stretch, write
from tests.proxy_train.video_files import touch


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Four folders of 12 to 15 images, from number 1."""
    for at in range(4):
        touch(tmp_path / f"frames/v{at}", *(f"img_{number:05d}.jpg" for number in range(1, 13 + at)))
    return tmp_path


@pytest.mark.parametrize("last", ["14 1", "14 1 2", "14"])
def test_counts_before_several_labels_are_no_labels(folders: Path, last: str) -> None:
    write(
        folders,
        train__txt=["frames/v0 12 0 2", "frames/v1 13 1", "gone 9 0 1"],
        val__txt=[f"frames/v2 {last}", "frames/v3 15 0 2"],
    )
    dataset = read(folders)
    labels = tuple(int(label) for label in last.split()[1:])
    assert (dataset.labels_kind, dataset.classes) == ("multi", ("0", "1", "2"))
    assert read_labels(dataset) == {
        "train v0": (0, 2),
        "train v1": (1,),
        "train gone": (0, 1),
        "val v2": labels,
        "val v3": (0, 2),
    }
    assert stretch(dataset.items["train"][1]) == (1, 13)
    assert any(note.startswith("train.txt: path, frames, any number of labels") for note in dataset.notes)


def test_labels_that_are_no_counts_stay_labels(folders: Path) -> None:
    write(folders, train__txt=["frames/v0 0 2", "frames/v1 13", "frames/v2 1 13"], val__txt=["frames/v3 2"])
    dataset = read(folders)
    assert read_labels(dataset) == {
        "train v0": (0, 2),
        "train v1": (13,),
        "train v2": (1, 13),
        "val v3": (2,),
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        # Counts of optical flow, one less than images.
        (["frames/v0 11 0 2", "frames/v1 12 1"], "its first number may be a label, or the number of frames"),
        (["frames/v0 12 0 2", "a.mp4 1"], "for its folder has 12 images"),
        # Not an offset at a folder's end.
        (["frames/v0 12 0 1", "frames/v1 13 1 0"], "every line has 3 numbers"),
        (["a.mp4,0,2.0", "b.mp4,1,2.1"], r"line 1: 'a\.mp4,0,2\.0': 2 fields after the path.*columns"),
        (["a.mp4 run 2.0", "b.mp4 jump 2.5"], "'2.0' may be a label, a number of frames, an offset or a dur"),
        (["a.mp4 run 20", "b.mp4 jump 21"], "'20' may be"),
        (["a.mp4,20,run", "b.mp4,21,jump"], "'20' may be"),
        (["a.mp4,2.5,run", "b.mp4,.5,jump"], "'2.5' may be"),
        (["a.mp4,20,0,2.0", "b.mp4,21,1,2.1"], "3 fields after the path"),
        (["a.mp4 20 high jump", "b.mp4 21 run"], "'20' may be"),
        (["frames/v0 12 run", "frames/v1 13 jump"], "'frames/v0 12 run': 2 fields.*'12' may be"),
        (["frames/v0 run 12", "gone 1 jump 13"], "'frames/v0 run 12': 2 fields.*'12' may be"),
    ],
)
def test_further_columns_are_refused(folders: Path, lines: list[str], message: str) -> None:
    touch(folders, "a.mp4", "b.mp4")
    write(folders, train__txt=lines)
    with pytest.raises(DataError, match=message):
        read(folders, "list")


def test_names_of_classes_that_hold_spaces_or_commas_are_whole(folders: Path) -> None:
    touch(folders, "a.mp4", "b.mp4")
    lines = ["a.mp4 high jump", 'b.mp4 "area 51"', "frames/v0 long, wide jump", "frames/v1 catch 22 fish"]
    write(folders, train__txt=lines)
    dataset = read(folders, "list")
    assert dataset.classes == ("area 51", "catch 22 fish", "high jump", "long, wide jump")
    assert {item.path.name for items in dataset.items.values() for item in items} == {
        "a.mp4",
        "b.mp4",
        "v0",
        "v1",
    }


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (["path", "labels"], ["a b.mp4 0 2", "frames/v1,1", '"frames/v 2" 0,2']),
        (["path", "frames", "labels"], ["a b.mp4 9 0 2", "frames/v1 13 1", "frames/v 2a 12 0 2"]),
        (
            ["-", "path", "-", "labels"],
            ["x a b.mp4 2.5 0 2", "x frames/v1 2.5 1", '"x" "frames/v 2" 1.5 0 2'],
        ),
        ("path frames labels", ["a b.mp4 9 0 2", "frames/v1 13 1", '"frames/v 2" 12 0 2']),
    ],
)
def test_a_last_column_of_labels_holds_any_number(
    folders: Path, columns: str | list[str], lines: list[str]
) -> None:
    touch(folders, "a b.mp4", *(f"frames/{name}/{at}.jpg" for name in ("v 2", "v 2a") for at in range(1, 13)))
    written = [columns, *lines] if isinstance(columns, str) else lines
    write(folders, train__txt=written, val__txt=[*written[:1], written[-1]])
    dataset = read(folders, "list", columns=[] if isinstance(columns, str) else columns)
    items = dataset.items["train"]
    assert [item.label for item in items] == [(0, 2), (1,), (0, 2)]
    assert all(item.path.exists() for item in items), [item.path for item in items]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ('"file_name", "action"', '"{}", "{}"'),
        ('"file_name"; "action"', '"{}"; "{}"'),
        ("# path,label", "{},{}"),
        ("#path\tlabel", "{}\t{}"),
        ("#,path,label", "1,{},{}"),
    ],
)
def test_headers_may_have_spaces_before_quotes_and_the_mark_of_a_comment(
    folders: Path, head: str, line: str
) -> None:
    touch(folders, "a b.mp4", "c.mp4")
    write(folders, train__csv=[head, line.format("a b.mp4", "high jump"), line.format("c.mp4", "run")])
    dataset = read(folders)
    assert dataset.classes == ("high jump", "run")
    assert {item.path for items in dataset.items.values() for item in items} == {
        folders / "a b.mp4",
        folders / "c.mp4",
    }
