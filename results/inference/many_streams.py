"""Classify several videos at once, a frame of each in one call; each comes and goes by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.inference.open_step import open_step
from results.inference.runners import Runner
from results.inference.streaming import most_probable, nothing_seen, softmax
from results.runtimes.preprocessing import Preprocessing
from search_space.errors import DataError, ExportError

_FREE = 0
"""Number of no video: a row that is free."""


class ManyStreams:
    """Classifies any number of videos, as many in one call of the network as it takes.

        streams = ManyStreams.open("runs/quickstart/family/A2/step.x8.onnx")
        door, yard = streams.join(), streams.join()
        probabilities = streams.push({door: frame, yard: another})   # (height, width, 3), uint8, RGB
        print(streams.top(door, 3))
        streams.leave(yard)

    A video whose frame is not pushed stays where it is.

    Args:
        runner: runner of the step, which takes frames of ``runner.streams`` videos at once.
        preprocessing: preprocessing from a picture to the network's input.
        labels: label of each class.
    """

    def __init__(self, runner: Runner[Any], preprocessing: Preprocessing, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.preprocessing = preprocessing
        self._runner = runner
        self._calls: list[_Call] = []
        self._streams: dict[int, _Stream] = {}
        self._joined = 0

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 1, streams: int = 8) -> ManyStreams:
        """Open the folder of a member (PyTorch), or an exported step of any runtime with its sidecar.

        Args:
            path: folder or exported file; an export takes as many videos in a call as it was made for.
            threads: number of threads of the runtime.
            streams: number of videos in a call, in PyTorch.

        Raises:
            NetworkError: there is no such thing, or the weights are damaged or do not fit.
            ExportError: the export is damaged or of another version.
        """
        step = open_step(Path(path), threads=threads, streams=streams)
        return cls(step.runner, step.preprocessing, step.labels)

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self._streams)

    def join(self) -> int:
        """Return the number of a new video, which no other had before."""
        self._joined += 1
        free = (
            (call, row) for call in self._calls for row, stream in enumerate(call.rows) if stream == _FREE
        )
        call, row = next(free, (None, 0))
        if call is None:
            call = _Call(self._runner.initial_state(), [_FREE] * self._runner.streams)
            self._calls.append(call)
        call.rows[row] = self._joined
        self._streams[self._joined] = _Stream(call, row, nothing_seen(self.labels))
        return self._joined

    def leave(self, stream: int) -> None:
        """Forget a video and its number; its place goes to the next that joins.

        Raises:
            ExportError: there is no such video.
        """
        self.reset(stream)
        left = self._streams.pop(stream)
        left.call.rows[left.row] = _FREE
        if set(left.call.rows) == {_FREE}:
            self._calls.remove(left.call)

    def reset(self, stream: int) -> None:
        """Forget a video so far; its next frame is the first of another one.

        Raises:
            ExportError: there is no such video.
        """
        found = self._known(stream)
        found.call.state = self._runner.cleared(found.call.state, found.row)
        self._streams[stream] = _Stream(found.call, found.row, nothing_seen(self.labels))

    def push(self, frames: Mapping[int, NDArray[np.uint8]]) -> dict[int, NDArray[np.float32]]:
        """Feed the next frame of some videos.

        Args:
            frames: frame (H, W, 3), uint8 RGB of any size, by the number of its video.

        Returns:
            The probabilities (classes,) so far by the number of the video.

        Raises:
            DataError: a frame is not a picture; all videos are as they were before.
            ExportError: there is no such video, or the network gives logits that are not finite: the videos
                of that call are as they were before.
        """
        pixels = {}
        for stream, frame in frames.items():
            self._known(stream)
            try:
                pixels[stream] = self.preprocessing.apply(frame)[0]
            except DataError as error:
                raise DataError(f"video {stream}: {error.message}", hint=error.hint) from error
        seen: dict[int, NDArray[np.float32]] = {}
        for call in self._calls:
            if not pixels.keys().isdisjoint(call.rows):
                seen |= self._called(call, pixels)
        return {stream: seen[stream] for stream in frames}

    def top(self, stream: int, count: int = 5) -> list[tuple[str, float]]:
        """Return the ``count`` most probable labels of a video with their probabilities, the first first.

        Raises:
            ExportError: there is no such video.
        """
        return most_probable(self.labels, self._known(stream).probabilities, count)

    def _called(
        self, call: _Call, pixels: Mapping[int, NDArray[np.float32]]
    ) -> dict[int, NDArray[np.float32]]:
        """Return the probabilities of the videos of a call that have a frame, and go on with them."""
        fed = np.array([stream in pixels for stream in call.rows])
        size = self.preprocessing.size
        frames = np.zeros((len(fed), 3, size, size), np.float32)
        for row, stream in enumerate(call.rows):
            if stream in pixels:
                frames[row] = pixels[stream]
        logits, state = self._runner.run_all(frames, call.state, fed)
        if not np.isfinite(logits[fed]).all():
            row = int(np.argmax(fed & ~np.isfinite(logits).all(1)))
            raise ExportError(
                f"the logits of video {call.rows[row]} are not finite",
                hint="train or export the member again",
            )
        call.state = state
        seen: dict[int, NDArray[np.float32]] = {}
        for row, stream in enumerate(call.rows):
            if stream in pixels:
                seen[stream] = softmax(logits[row])
                self._streams[stream] = _Stream(call, row, seen[stream])
        return seen

    def _known(self, stream: int) -> _Stream:
        if stream not in self._streams:
            raise ExportError(f"there is no video {stream}", hint="join() returns the number of a new one")
        return self._streams[stream]


@dataclass(eq=False)
class _Call:
    """Videos that go through the network together: their state, and the number of the one in each row."""

    state: Any
    rows: list[int]


@dataclass(frozen=True)
class _Stream:
    """A video: the call and the row of it, and its probabilities (classes,) so far."""

    call: _Call
    row: int
    probabilities: NDArray[np.float32]
