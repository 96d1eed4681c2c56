"""Classes whose names differ in spelling alone are refused with both; no two classes have one name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from proxy_train.data.labels import plain, require_distinct
from search_space.errors import DataError
from tests.proxy_train.data.written_formats import EPIC_HEAD, epic_row, load
from tests.proxy_train.video_files import touch, write_text

SAME = [
    ("abc", "ABC"),
    ("Abc", "Abc "),
    ("high_jump", "High jump"),
    ("person's", "persons"),
    ("é", "e\u0301"),
]


@pytest.mark.parametrize("above", [("", ""), ("train/", "val/")])
@pytest.mark.parametrize(("one", "other"), SAME)
def test_folders_that_differ_in_spelling_are_refused_with_both(
    tmp_path: Path, one: str, other: str, above: tuple[str, str]
) -> None:
    touch(
        tmp_path,
        f"{above[0]}{one}/1.mp4",
        f"{above[1]}{other}/2.mp4",
        f"{above[0]}run/1.mp4",
        f"{above[1]}run/2.mp4",
    )
    with pytest.raises(DataError) as refused:
        load(tmp_path, "folder", trainable=False)
    first, second = sorted((one, other))
    told = f"{first!r} and {second!r} may be several classes, or one in several spellings"
    assert refused.value.message == f"{tmp_path}: {told}" and refused.value.hint


@pytest.mark.parametrize("header", ["", "path,label\n"])
@pytest.mark.parametrize(("one", "other"), [pair for pair in SAME if " " not in "".join(pair)])
def test_labels_that_differ_in_spelling_are_refused_unless_classes_txt_has_both(
    tmp_path: Path, one: str, other: str, header: str
) -> None:
    touch(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    (tmp_path / "train.csv").write_text(f"{header}1.mp4,{one}\n2.mp4,{other}\n3.mp4,run\n", encoding="utf-8")
    with pytest.raises(DataError, match="may be several classes") as refused:
        load(tmp_path, trainable=False)
    assert str(tmp_path / "train.csv") in refused.value.message
    assert str(tmp_path / "classes.txt") in (refused.value.hint or "")
    (tmp_path / "classes.txt").write_text(f"{one}\n{other}\nrun\n", encoding="utf-8")
    assert load(tmp_path, trainable=False).classes == (one, other, "run")


def test_a_name_of_two_labels_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4")
    write_text(tmp_path, train__txt="1.mp4 0\n2.mp4 2\n", classes__txt="run\njump\nrun\n")
    with pytest.raises(DataError, match="'run' is the name of label 0 and of label 2"):
        load(tmp_path, trainable=False)


def test_words_of_two_verbs_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    row = epic_row("P01_01_0", "P01_01", "00:00:00.50", "00:00:01.00", "3,6", "take", "cup")
    other = row.replace("P01_01_0", "P01_01_1").replace(",take,0,", ",take,3,")
    write_text(tmp_path, EPIC_100_train__csv=EPIC_HEAD + row + other)
    touch(tmp_path, "P01_01.MP4")
    dataset = load(tmp_path, trainable=False)
    assert dataset.classes[:4] == ("take (0)", "1", "2", "take (3)")
    assert len(set(dataset.classes[:97])) == 97


def test_names_that_differ_in_a_letter_are_classes() -> None:
    require_distinct(["run", "runs", "C", "C++", "push up", "push-up", "a1", "a2"], "here", "")
    assert plain("Caf\u00e9") == plain(unicodedata.normalize("NFD", "cafe\u0301"))
