"""The rows of lists against the files and against each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.errors import DataError
from tests.proxy_train.data.test_lists import read, write
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch, write_images


@pytest.mark.parametrize("inside", [".", "link"])
def test_absolute_paths_name_the_videos_of_the_root(tmp_path: Path, inside: str) -> None:
    root = tmp_path / "videos"
    touch(root, *(f"{name}/{number}.mp4" for name in "ab" for number in range(3)))
    (tmp_path / "link").symlink_to(root)
    written = tmp_path / "link" if inside == "link" else root
    lines = [f"{written}/{name}/{number}.mp4 {label}" for label, name in enumerate("ab") for number in (0, 1)]
    write(root, train__txt=lines[::2], val__txt=lines[1::2])
    dataset = read(root, "list")
    assert sorted(name for name, reason in dataset.dropped if reason == "in no list") == [
        str(root / name / "2.mp4") for name in "ab"
    ]


def test_rows_that_contradict_or_repeat_others_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a0.mp4", "a1.mp4", "b0.mp4", "b1.mp4")
    train = ["a0.mp4 0", "a0.mp4 1", "a1.mp4 0", "a1.mp4 0", "b0.mp4 1", "b0.mp4 1"]
    write(tmp_path, train__txt=train, val__txt=["b1.mp4 1"])
    dataset = read(tmp_path, "list")
    assert [item.path.name for item in dataset.items["train"]] == ["a1.mp4", "b0.mp4"]
    assert dict(dataset.dropped) | {str(tmp_path / "a0.mp4"): ""} == {
        "train:1:a0.mp4": "lines 1, 2 of train.txt give it different labels",
        "train:2:a0.mp4": "lines 1, 2 of train.txt give it different labels",
        "train:4:a1.mp4": "line 3 of train.txt says the same",
        "train:6:b0.mp4": "line 5 of train.txt says the same",
        str(tmp_path / "a0.mp4"): "",
    }


@pytest.mark.parametrize("head", ["", "path label"])
def test_paths_of_windows_are_found(tmp_path: Path, head: str) -> None:
    touch(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "val/a/3.mp4", "val/c/4.mp4", "val\\c\\4.mp4")
    write_images(tmp_path / "val/b/5", "%03d.jpg", range(3))
    rows = {
        "train": [r"train\a\1.mp4 0", r".\train\b\2.mp4 1"],
        "val": [r"val\a\3.mp4 0", r"val\c\4.mp4 0", r"val\B\5 1", r"val\b\6.mp4 1"],
    }
    write(tmp_path, **{f"{split}__txt": [*filter(None, [head]), *lines] for split, lines in rows.items()})
    dataset = read(tmp_path, "list")
    assert [str(item.path.relative_to(tmp_path)) for split in rows for item in dataset.items[split]] == [
        "train/a/1.mp4",
        "train/b/2.mp4",
        "val/a/3.mp4",
        "val\\c\\4.mp4",
        "val/b/5",
        r"val\b\6.mp4",
    ]
    assert any("suffix, case or slash: 4, such as train\\a\\1.mp4 as " in note for note in dataset.notes)


def test_columns_that_are_passed_over_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    head = "path,start,end,label"
    write(
        tmp_path,
        train__csv=[head, "a.mp4,0,1,walk", "a.mp4,1,2,run", "b.mp4,0,1,run"],
        val__csv=[head, "b.mp4,1,2,run"],
    )
    dataset = read(tmp_path, "list")
    assert any("passed over: start, end" in note for note in dataset.notes)
    assert [item.path.name for item in dataset.items["train"]] == ["b.mp4"], "a.mp4 would have two labels"


AWAY = "absolute paths that are not there; write them as they are below data.root"
OVER = "absolute paths of another machine, found below the folder of the same name"


@pytest.mark.parametrize("before", ["C:\\data\\", "\\\\server\\share\\", "/home/else/", "d:/"])
def test_absolute_paths_of_another_machine_are_found_by_the_roots_name(tmp_path: Path, before: str) -> None:
    root = tmp_path / "actions"
    touch(root, "clips/a.mp4", "clips/b.mp4", "other/a.mp4")
    slash = "\\" if before.endswith("\\") else "/"
    rows = [f"{before}actions{slash}clips{slash}{name}.mp4" for name in "abc"]
    (root / "train.csv").write_text("".join(f"{row},{at % 2}\n" for at, row in enumerate(rows)))
    dataset = load(root, trainable=False)
    found = {item.path for items in dataset.items.values() for item in items}
    assert {root / "clips/a.mp4", root / "clips/b.mp4"} < found and len(found) == 3
    assert f"{OVER}: 2, such as {rows[0]} as {root}/clips/a.mp4" in dataset.notes
    assert f"{AWAY}: 1, such as {rows[2]}" in dataset.notes
    assert f"{root}/clips/b.mp4" not in dict(dataset.dropped), "it is used"
    (root / "train.csv").write_text(f"{before}elsewhere{slash}a.mp4,0\n{before}elsewhere{slash}b.mp4,1\n")
    with pytest.raises(DataError, match="is absolute and not there, as the paths of all lines") as refused:
        load(root, trainable=False)
    assert f"{before}elsewhere{slash}a.mp4" in refused.value.message.replace("\\\\", "\\")
    assert "below data.root" in (refused.value.hint or "")


def test_a_file_that_is_called_like_a_path_of_windows_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "C:\\data\\a.mp4", "b.mp4")
    (tmp_path / "train.csv").write_text("C:\\data\\a.mp4,0\nb.mp4,1\n")
    dataset = load(tmp_path, trainable=False)
    assert {item.path.name for items in dataset.items.values() for item in items} == {
        "C:\\data\\a.mp4",
        "b.mp4",
    }
    assert not [note for note in dataset.notes if "absolute" in note]
