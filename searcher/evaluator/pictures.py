"""Pictures of videos, cameras and data sets, for rooms that do not read videos themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.video.live import pictures
from proxy_train.video.video import Video
from search_space.architecture.parts import ClipShape
from search_space.errors import DataError

__all__ = ["example_clip", "labelled_clips", "pictures"]


def example_clip(video: Path, clip: ClipShape) -> NDArray[np.uint8]:
    """Return the frames of a video as a network for ``clip`` sees them, (T, size, size, 3), uint8 RGB."""
    return Video(video).read(clip.fps, clip.size)


def labelled_clips(
    data: str, cache: Path, clip: ClipShape, labels: tuple[str, ...], purpose: str, count: int
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield videos of a data set as (T, size, size, 3) uint8 RGB frames, with the numbers of their labels.

    Args:
        data: data set as ``DataSettings.parse`` reads it.
        cache: folder in which data sets are made.
        clip: shape of the network's clips.
        labels: labels of the network in their order.
        purpose: ``train`` for training videos, ``evaluation`` for those of the test split, or of the
            validation split if there is none.
        count: most videos to yield, spread over the split.

    Raises:
        DataError: the data set has other classes, or its videos have no single labels.
    """
    dataset = load_dataset(DataSettings.parse(data, cache=cache))
    if dataset.classes != labels:
        raise DataError(
            f"{data} has the classes {', '.join(dataset.classes[:3])}, ..., but the network has others",
            hint="give the data set that it was trained on",
        )
    splits = ("train",) if purpose == "train" else ("test", "val")
    split = next((name for name in splits if dataset.items.get(name)), splits[-1])
    items = [item for item in dataset.items.get(split, ()) if isinstance(item.label, int)]
    if not items:
        raise DataError(f"{data} has no {split} videos of one label each", hint="give another data set")
    for index in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int):
        item = items[index]
        frames = Video(item.path, item.frames).read(
            clip.fps, clip.size, start=item.start, end=item.end, limit=clip.frames
        )
        yield frames, int(item.label) if isinstance(item.label, int) else -1
