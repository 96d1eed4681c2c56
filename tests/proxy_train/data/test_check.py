"""What ``check`` counts and reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proxy_train.data.check import check_dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.video.writing import write_video


def write(path: Path, frames: int, width: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, np.zeros((frames, 32, width, 3), np.uint8), crf=30, fps=10)


@pytest.mark.parametrize("workers", [1, 2])
def test_counts_durations_and_broken_files(tmp_path: Path, workers: int) -> None:
    for number in range(20):
        write(tmp_path / f"train/run/{number}.mp4", 10)
    write(tmp_path / "train/jump/a.mp4", 20, width=64)
    write(tmp_path / "val/run/b.mp4", 40)
    (tmp_path / "val/jump").mkdir()
    (tmp_path / "val/jump/hollow.mp4").touch()
    (tmp_path / "val/jump/notes.txt").write_text("hello")
    seen: list[tuple[int, int]] = []
    dataset = load_dataset(DataSettings(kind="folder", root=tmp_path))
    result = check_dataset(dataset, workers=workers, progress=lambda done, total: seen.append((done, total)))
    assert result.counts == {
        "train": {"jump": 1, "run": 20},
        "val": {"jump": 0, "run": 1},
        "test": {"jump": 0, "run": 0},
    }
    assert result.videos == 22
    assert result.empty == (("val", "jump"),)
    assert [
        round(value, 3) for value in (result.seconds.low, result.seconds.median, result.seconds.high)
    ] == [1, 1, 4]
    assert result.fps.median == pytest.approx(10)
    assert list(result.sizes.items()) == [((32, 32), 21), ((64, 32), 1)]
    assert [name for name, _ in result.broken] == ["val/jump/hollow.mp4"]
    assert "empty" in result.broken[0][1]
    assert "notes.txt" in result.dropped[0][0]
    assert seen[0] == (0, 23) and seen[-1] == (23, 23)
