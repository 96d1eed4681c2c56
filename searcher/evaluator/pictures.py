"""Pictures of videos, cameras and data sets, for rooms that do not read videos themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.video.live import pictures
from proxy_train.video.video import Video
from search_space.architecture.parts import ClipShape
from search_space.errors import DataError

_LOG = logging.getLogger(__name__)
__all__ = ["example_clip", "labelled_clips", "pictures"]


def example_clip(video: Path, clip: ClipShape, count: int) -> NDArray[np.uint8]:
    """Return the first frames of a video as a network sees them, (T, size, size, 3), uint8 RGB.

    Args:
        video: the file.
        clip: shape of the network's clips.
        count: largest number of frames; nothing after them is decoded.

    Raises:
        DataError: the video cannot be read.
    """
    return Video(video).read(clip.fps, clip.size, limit=count)


def labelled_clips(
    data: str, cache: Path, clip: ClipShape, labels: tuple[str, ...], purpose: str, count: int
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield videos of a data set as (T, size, size, 3) uint8 RGB frames, with the numbers of their labels.

    Videos that cannot be read are left out with a warning, as preparing leaves them out.

    Args:
        data: data set as ``DataSettings.parse`` reads it.
        cache: folder in which data sets are made.
        clip: shape of the network's clips.
        labels: labels of the network in their order.
        purpose: ``train`` for training videos, ``evaluation`` for those of the test split, or of the
            validation split if there is none.
        count: most videos to yield, spread over the split.

    Raises:
        DataError: the data set has other classes, its videos have no single labels, or none can be read.
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
    unreadable: DataError | None = None
    readable = 0
    for index in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int):
        item = items[index]
        try:
            frames = item.video.read(clip.fps, clip.size, start=item.start, end=item.end, limit=clip.frames)
        except DataError as error:
            _LOG.warning("left out: %s", error.message)
            unreadable = error
            continue
        readable += 1
        yield frames, int(item.label) if isinstance(item.label, int) else -1
    if unreadable is not None and not readable:
        raise DataError(f"{data}: no readable {split} video: {unreadable.message}")
