"""The one record that every data format is read into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search_space.errors import DataError


@dataclass(frozen=True, slots=True)
class VideoItem:
    """A stretch of a video with its class.

    Args:
        path: the video file.
        start: seconds from the beginning of the file; None is the beginning.
        end: seconds from the beginning of the file; None is the end.
        label: class index.
        id: unique within its data set, stable between runs.
        split: the part of the data set it belongs to, such as ``train``.
    """

    path: Path
    start: float | None
    end: float | None
    label: int
    id: str
    split: str


@dataclass(frozen=True)
class Dataset:
    """Labelled videos by split.

    Args:
        name: for people.
        items: split name to its videos; ``train`` and ``val`` are always there.
        classes: class names, by label.
        flips_change_labels: a mirrored clip would have another label, so that augmentation must not mirror.
        margin: how much wider than the network's input clips are kept, as a fraction, for random crops.
        dropped: files that were left out while listing, each with the reason.
        fingerprint: stands for the files' contents; empty derives it from their sizes and times.
        seconds: how much of each video is kept, around its middle.
    """

    name: str
    items: Mapping[str, tuple[VideoItem, ...]]
    classes: tuple[str, ...]
    flips_change_labels: bool
    margin: float = 0.0
    dropped: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""
    seconds: float = 10.0

    def __post_init__(self) -> None:
        for split in ("train", "val"):
            if not self.items.get(split):
                raise DataError(f"data set {self.name}: no video in its {split} split", hint=_NO_SPLIT)
        if len(self.classes) < 2:
            raise DataError(
                f"data set {self.name}: {len(self.classes)} class", hint="training needs two or more"
            )

    @property
    def digest(self) -> str:
        """16 hex digits that change when a file, a label or a split changes."""
        content = self.fingerprint or [
            [item.id, split, item.label, item.start, item.end, *_stamp(item.path)]
            for split, items in sorted(self.items.items())
            for item in items
        ]
        text = json.dumps(
            [self.name, self.classes, self.margin, self.seconds, content], separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_NO_SPLIT = "add videos, or give train and val folders, or more videos per class to split"


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), stat.st_size, stat.st_mtime_ns
