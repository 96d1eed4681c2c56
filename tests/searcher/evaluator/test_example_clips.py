"""Clips for rooms that read no videos themselves: no more than is used, and none that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from proxy_train.video.opening import OpenVideo
from proxy_train.video.shown_frames import Shown, shown_frames
from proxy_train.video.writing import write_video
from results.export.export import frames_compared
from search_space.architecture.parts import ClipShape
from search_space.errors import DataError
from searcher.evaluator.pictures import example_clip, labelled_clips

CLIP = ClipShape(frames=4, size=16, fps=5)


def write(path: Path, frames: int, level: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [np.full((24, 32, 3), level, np.uint8)] * frames, crf=20, fps=5)


@pytest.mark.parametrize("form", ["step", "clip"])
@pytest.mark.parametrize("frames", [600, 3])
def test_of_a_long_video_only_what_is_compared_is_decoded(
    form: str, frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "v.mp4", frames)
    decoded: list[float] = []

    def counted(video: OpenVideo, start: float) -> Iterator[Shown]:
        for shown in shown_frames(video, start):
            decoded.append(shown.begin)
            yield shown

    monkeypatch.setattr("proxy_train.video.video.shown_frames", counted)
    wanted = frames_compared("step" if form == "step" else "clip", CLIP)
    assert wanted == {"step": 16, "clip": 8}[form]
    clip = example_clip(tmp_path / "v.mp4", CLIP, wanted)
    assert len(clip) == min(wanted, frames)
    assert len(decoded) <= wanted + 1


def test_videos_that_cannot_be_read_stop_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "val"):
        for name in "ab":
            for number in range(3):
                write(tmp_path / f"{split}/{name}/{number}.mp4", 8)
    (tmp_path / "val/a/1.mp4").write_bytes((tmp_path / "val/a/0.mp4").read_bytes()[:300])
    (tmp_path / "val/b/0.mp4").write_bytes(b"")

    def clips(purpose: str) -> list[int]:
        found = labelled_clips(f"folder:{tmp_path}", tmp_path, CLIP, ("a", "b"), purpose, 100)
        return [label for pictures, label in found if pictures.shape == (4, 16, 16, 3)]

    with caplog.at_level(logging.WARNING):
        assert clips("evaluation") == [0, 0, 1, 1]
    assert "val/a/1.mp4" in caplog.text and "val/b/0.mp4" in caplog.text
    assert clips("train") == [0, 0, 0, 1, 1, 1]
    for path in tmp_path.glob("val/*/*.mp4"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no readable val video: .*the file is empty"):
        clips("evaluation")
