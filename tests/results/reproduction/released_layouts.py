"""The claims' data sets in their own layouts, small: annotations as released, videos encoded here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from proxy_train.video.writing import write_video
from tests.results.evaluation.coloured_videos import COLOURS, coloured_frames

SEGMENT = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,"
    "stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
)
TRAIN, VAL = 3, 2


def write_kinetics(root: Path) -> None:
    """Write train.csv and val.csv with clips of five classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("val", VAL)):
        rows = "label,youtube_id,time_start,time_end,split\n"
        for name in COLOURS:
            for number in range(count):
                identity = f"{split[0]}{name:_<8}{number}"
                rows += f"{name},{identity},3,13,{split}\n"
                path = root / name / f"{identity}_000003_000013.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, coloured_frames(name, rng, number), crf=20, fps=8)
        (root / f"{split}.csv").write_text(rows)


def write_something(root: Path) -> None:
    """Write the JSON lists of five templates, and videos by number."""
    rng, number = np.random.default_rng(0), 0
    lists: dict[str, object] = {"labels": {f"Showing {name}": str(i) for i, name in enumerate(COLOURS)}}
    (root / "20bn-something-something-v2").mkdir(parents=True)
    for split, count in (("train", TRAIN), ("validation", VAL)):
        entries = []
        for name in [name for name in COLOURS for _ in range(count)]:
            number += 1
            entries.append(
                {"id": str(number), "label": name, "template": f"Showing [{name}]", "placeholders": []}
            )
            path = root / "20bn-something-something-v2" / f"{number}.mp4"
            write_video(path, coloured_frames(name, rng, number), crf=20, fps=8)
        lists[split] = entries
    for name, content in lists.items():
        (root / f"something-something-v2-{name}.json").write_text(json.dumps(content))


def write_epic(root: Path) -> None:
    """Write segments of two long videos, each of which has every colour for half a second."""
    rng = np.random.default_rng(0)
    for split, recordings in (("train", ("P01_01", "P01_02")), ("validation", ("P02_01",))):
        rows = SEGMENT
        for recording in recordings:
            frames: list[np.ndarray] = []
            for index, name in enumerate(COLOURS):
                begin = len(frames) / 8
                frames += coloured_frames(name, rng, 0)  # all of one shape
                times = f"00:00:{begin:05.2f},00:00:{len(frames) / 8:05.2f}"
                words = f"show,{index % 3},{name},{index * 50}"
                rows += f"{recording}_{index},P01,{recording},{times.split(',', maxsplit=1)[0]},{times},"
                rows += f"{int(begin * 8) + 1},{len(frames)},show {name},{words},['{name}'],[{index * 50}]\n"
            path = root / recording[:3] / "videos" / f"{recording}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, frames, crf=20, fps=8)
        (root / f"EPIC_100_{split}.csv").write_text(rows)


WRITERS = {"kinetics": write_kinetics, "something-something": write_something, "epic-kitchens": write_epic}
