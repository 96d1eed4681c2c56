"""Small grey videos, and a count of those that are decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.store import building
from proxy_train.store.decoding import DecodeChunk, Decoded, decode_chunk
from proxy_train.video.writing import write_video


def grey_dataset(root: Path, **frames: int) -> Dataset:
    """Videos of 12 frames a second, each as long as said, by name; every second one is of class b."""
    items: dict[str, list[VideoItem]] = {"train": [], "val": []}
    for number, (name, count) in enumerate(frames.items()):
        path = root / f"{name}.mp4"
        root.mkdir(parents=True, exist_ok=True)
        levels = [np.full((24, 24, 3), 10 * level, np.uint8) for level in range(1, count + 1)]
        write_video(path, levels, crf=10, fps=12)
        split = "val" if name.startswith("val") else "train"
        items[split].append(VideoItem(path, None, None, number % 2, name, split))
    return Dataset("grey", {k: tuple(v) for k, v in items.items()}, ("a", "b"), False, seconds=1.0)


def many(root: Path, count: int) -> Dataset:
    """More videos than a chunk holds."""
    return grey_dataset(root, **{f"{'val' if n == 0 else 'train'}{n}": 4 for n in range(count)})


class Counter:
    """Counts the videos that are decoded, and stops after some chunks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_after: int = 1000) -> None:
        self.videos, self._chunks, self._stop_after = 0, 0, stop_after
        monkeypatch.setattr(building, "decode_chunk", self)

    def __call__(self, chunk: DecodeChunk) -> Decoded:
        if self._chunks == self._stop_after:
            raise KeyboardInterrupt
        self._chunks += 1
        self.videos += len(chunk.items)
        return decode_chunk(chunk)
