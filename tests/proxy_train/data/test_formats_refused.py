"""Annotations that leave open what is meant, or cannot be read, are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.errors import DataError
from tests.proxy_train.data.written_formats import EPIC_HEAD, load, write_kinetics, write_something


def test_several_formats_at_once_are_not_guessed(tmp_path: Path) -> None:
    write_kinetics(tmp_path)
    write_something(tmp_path)
    with pytest.raises(DataError, match="looks like kinetics and something-something"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "files", "message"),
    [
        (
            "kinetics",
            {"a_train__csv": "label,youtube_id,time_start,time_end\nx,a,zero,10\n"},
            "line 2: time_start",
        ),
        ("kinetics", {"a__csv": "label,youtube_id,time_start,time_end\nx,a,0,10\n"}, "line 2: split is None"),
        (
            "kinetics",
            {"a__csv": "label,youtube_id,time_start,time_end,split\nx,a,0\n"},
            "3 fields, 5 columns",
        ),
        ("kinetics", {}, "no CSV file with columns"),
        ("something-something", {"labels__json": "[1]"}, r"labels\.json: holds a list"),
        ("something-something", {"labels__json": '{"a": 0,'}, r"labels\.json, line 1: not JSON"),
        ("something-something", {"labels__json": '{"a": "0", "b": "0"}'}, "the number of two templates"),
        ("epic-kitchens", {"EPIC_100_train__csv": "narration_id\n"}, "no column video_id"),
        (
            "epic-kitchens",
            {"EPIC_100_train__csv": EPIC_HEAD + "a,P01,v,0,0:00,1,1,2,n,v,0,n,0,x,x\n"},
            "line 2: stop_timestamp is '1'",
        ),
        (
            "charades",
            {"Charades_v1_train__csv": "id,actions,length\nA,c200 0 1,1\n"},
            "line 2: action is '200'",
        ),
        ("moments-in-time", {"moments_categories__txt": "a\n"}, "line 1: index is 'a'"),
        ("ucf101", {"classInd__txt": "0 a\n", "trainlist01__txt": "a/b.avi 1"}, "not 1, 2, 3"),
        ("hmdb51", {"a_test_split1__txt": "b.avi 3\n"}, "line 1: 'b.avi 3'"),
        (
            "kinetics",
            {"train__csv": "label,youtube_id,time_start,time_end\nx,a,nan,10\n"},
            "line 2: time_start is 'nan'",
        ),
        ("moments-in-time", {"moments_categories__txt": "a,²\n"}, "line 1: index is '²'"),
        ("moments-in-time", {"moments_categories__txt": f"a,{'9' * 5000}\n"}, "line 1: index is '999"),
        ("something-something", {"labels__json": "[" * 100_000}, "not JSON that can be read"),
        ("something-something", {"labels__json": f'{{"a": {"9" * 5000}}}'}, "not JSON that can be read"),
        ("list", {"train__txt": "b.mp4 1\na\0.mp4 1"}, r"train\.txt, line 2: a zero byte"),
        ("list", {"train__txt": "caf\udce9.mp4 1"}, "not UTF-8 at byte 3"),
    ],
)
def test_annotations_that_cannot_be_read_are_named(
    tmp_path: Path, kind: str, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DataError, match=message):
        load(tmp_path, kind)
