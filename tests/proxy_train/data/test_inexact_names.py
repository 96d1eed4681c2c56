"""Rows that spell a video's name otherwise: they do not get a video that another row names exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_train.data.check import check_dataset
from proxy_train.data.formats.video_index import VideoIndex
from tests.proxy_train.data.test_lists import write
from tests.proxy_train.data.written_formats import EPIC_HEAD, epic_row, load
from tests.proxy_train.video_files import touch, write_videos

KINETICS = "label,youtube_id,time_start,time_end,split"
CHARADES = "id,actions,length"

# Annotations, the video that is there, and the row that names it; every other row comes first and is missing.
CASES: dict[str, tuple[dict[str, list[str]], str, str]] = {
    "list": (
        {"train__txt": ["v/A1.mp4 1", "v/a1.mp4 0"], "val__txt": ["v/A1.MP4 1"]},
        "v/a1.mp4",
        "train:2:v/a1.mp4",
    ),
    "kinetics": (
        {"all__csv": [KINETICS, "b,ABC,0,10,val", "a,abc,0,10,train"]},
        "a/abc_000000_000010.mp4",
        "abc_000000_000010",
    ),
    "something-something": (
        {
            "labels__json": ['{"Holding something": "0"}'],
            "train__json": ['[{"id": "X", "template": "Holding something"}]'],
            "validation__json": ['[{"id": "x", "template": "Holding something"}]'],
        },
        "x.webm",
        "x",
    ),
    "epic-kitchens": (
        {
            "EPIC_100_train__csv": [
                (
                    EPIC_HEAD + epic_row("p_0", "p01_01", "00:00:00.00", "00:00:01.00", "1,2", "wash", "pan")
                ).strip()
            ],
            "EPIC_100_validation__csv": [
                (
                    EPIC_HEAD + epic_row("P_0", "P01_01", "00:00:00.00", "00:00:01.00", "1,2", "wash", "pan")
                ).strip()
            ],
        },
        "P01_01.mp4",
        "P_0",
    ),
    "charades": (
        {
            "Charades_v1_train__csv": [CHARADES, "abc,c001 0 1,1"],
            "Charades_v1_test__csv": [CHARADES, "ABC,c002 0 1,1"],
        },
        "ABC.mp4",
        "ABC",
    ),
    "moments-in-time": (
        {
            "moments_categories__txt": ["walking,0"],
            "trainingSet__csv": ["walking/C.mp4,walking,3,0", "walking/c.mp4,walking,3,0"],
            # The same name as in training, where it is not.
            "validationSet__csv": ["walking/c.mp4,walking,3,0"],
        },
        "training/walking/c.mp4",
        "train/walking/c.mp4",
    ),
    "ucf101": (
        {
            "classInd__txt": ["1 Archery", "2 Golf"],
            "testlist01__txt": ["Archery/v_archery_g01_c01.avi", "Golf/v_Archery_g01_c01.avi"],
            "trainlist01__txt": ["Archery/v_Archery_g01_c01.avi 1"],
        },
        "UCF-101/Archery/v_Archery_g01_c01.avi",
        "Archery/v_Archery_g01_c01.avi",
    ),
    "hmdb51": (
        {
            "Run_test_split1__txt": ["a_Run_0.avi 1"],
            "run_test_split1__txt": ["a_run_0.avi 2"],
        },
        "run/a_run_0.avi",
        "run/a_run_0.avi",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_video_that_a_row_names_exactly_is_no_other_row_s(tmp_path: Path, kind: str) -> None:
    lists, video, row = CASES[kind]
    write_videos(tmp_path, video)
    write(tmp_path, **lists)
    dataset = load(tmp_path, kind, trainable=False)
    items = [item for part in dataset.items.values() for item in part]
    assert [item.id for item in items if item.path.exists()] == [row]
    gone = [entry.name for entry in dataset.missing] or [name for name, _ in check_dataset(dataset).broken]
    rows = sum(len(lines) for lines in lists.values())
    assert gone and row not in gone and len(gone) < rows
    assert any(
        note.startswith("videos that one row names exactly") and str(tmp_path / video) in note
        for note in dataset.notes
    )
    assert not any("ignoring case" in note or "several splits" in note for note in dataset.notes)


@pytest.mark.parametrize("other", ["a.avi", "a.mp4", "{root}/v/A.mp4"])
def test_lists_match_neither_suffix_nor_folder_of_a_video_that_is_named(tmp_path: Path, other: str) -> None:
    touch(tmp_path, "v/a.mp4", "v/b.mp4")
    write(
        tmp_path,
        train__txt=[f"{other.format(root=tmp_path)} 0", "v/b.mp4 1"],
        val__txt=[f"{tmp_path}/v/a.mp4 1"],
    )
    dataset = load(tmp_path, "list", trainable=False)
    found = {split: [item.path.exists() for item in items] for split, items in dataset.items.items()}
    assert found == {"train": [False, True], "val": [True], "test": []}


def test_looser_names_find_videos_that_no_row_names_better(tmp_path: Path) -> None:
    touch(tmp_path, "w/a.mp4", "b.mp4", "C.mp4")
    videos = VideoIndex(tmp_path, 25)
    names = ("B.MP4", "b.avi", "W/a.mp4", "a.mp4", "w/a.mp4", "c.mp4")
    videos.survey(map(videos.find_path, names))
    assert [video and str(video.path.relative_to(tmp_path)) for video in map(videos.find_path, names)] == [
        None,
        "b.mp4",
        None,
        None,
        "w/a.mp4",
        "C.mp4",
    ]
