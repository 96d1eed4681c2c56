"""A stream that is watched: after every frame what it shows so far, how long that took, how much memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.fonts import one_line
from results.inference.many_streams import ManyStreams
from results.inference.memory import resident_bytes
from results.inference.streaming import StreamingClassifier
from search_space.errors import MovinasError

_MOST_LETTERS = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """View of a stream after a frame.

    Args:
        frame: number of the frame, from 0.
        seconds: time of the frame in the video, in seconds.
        milliseconds: time that preprocessing and network took; for several videos, all of that call.
        memory: memory of the process in bytes.
        top: most probable labels with their probabilities, the most probable first.
        picture: the frame (size, size, 3), uint8 RGB.
    """

    frame: int
    seconds: float
    milliseconds: float
    memory: int
    top: tuple[tuple[str, float], ...]
    picture: NDArray[np.uint8]

    def text(self) -> str:
        """Return a line to read."""
        named = (f"{one_line(label, _MOST_LETTERS)} {100 * share:.1f} %" for label, share in self.top)
        return f"{self.heading}  {'  '.join(named)}"

    @property
    def heading(self) -> str:
        """Time in the video, duration and memory, in one line."""
        return f"{self.seconds:7.2f} s  {self.milliseconds:6.2f} ms  {self.memory / 2**20:5.0f} MiB"

    def json(self, **more: str) -> str:
        """Return a JSON object on one line, with ``more`` before the rest."""
        return json.dumps(
            {
                **more,
                "frame": self.frame,
                "seconds": round(self.seconds, 4),
                "ms": round(self.milliseconds, 3),
                "memory_mib": round(self.memory / 2**20, 1),
                "top": [{"label": label, "probability": round(share, 6)} for label, share in self.top],
            }
        )


def watch_many(
    streams: ManyStreams, videos: Sequence[tuple[str, Iterable[NDArray[np.uint8]]]], top: int
) -> Iterator[tuple[str, Seen]]:
    """Push a picture of every video in turn, and yield after each what its video shows so far.

    A video that ends, or cannot be read any more, leaves the others to themselves.

    Args:
        streams: streams that these videos join.
        videos: name of each video, and its pictures at the frame rate that the network was made for.
        top: number of labels to name.

    Raises:
        MovinasError: a video could not be read; raised when all the others have ended.
    """
    fps = streams.preprocessing.fps
    left = {streams.join(): (name, iter(pictures)) for name, pictures in videos}
    number, failed = 0, list[MovinasError]()
    while left:
        pushed: dict[int, NDArray[np.uint8]] = {}
        for stream, (_, pictures) in list(left.items()):
            try:
                pushed[stream] = next(pictures)
            except (StopIteration, MovinasError) as end:
                failed += [end] if isinstance(end, MovinasError) else []
                del left[stream]
                streams.leave(stream)
        began = time.perf_counter()
        streams.push(pushed)
        spent, memory = 1000 * (time.perf_counter() - began), resident_bytes()
        for stream, picture in pushed.items():
            best = tuple(streams.top(stream, top))
            yield left[stream][0], Seen(number, number / fps, spent, memory, best, picture)
        number += 1
    if failed:
        raise failed[0]


def watch(classifier: StreamingClassifier, pictures: Iterable[NDArray[np.uint8]], top: int) -> Iterator[Seen]:
    """Push every picture, and yield after each what the stream shows so far.

    Args:
        classifier: stream at the start of a video.
        pictures: pictures at the frame rate that the network was made for.
        top: number of labels to name.
    """
    fps = classifier.preprocessing.fps
    for number, picture in enumerate(pictures):
        began = time.perf_counter()
        classifier.push(picture)
        spent = 1000 * (time.perf_counter() - began)
        yield Seen(number, number / fps, spent, resident_bytes(), tuple(classifier.top(top)), picture)
