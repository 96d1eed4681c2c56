"""The clips of one split: cut from mapped memory, or decoded from their videos on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch

from proxy_train.data.labels import Targets
from proxy_train.store.clip_origins import ClipOrigins, Pixels
from proxy_train.video.picture import three_squares
from search_space.errors import DataError


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Consecutive frames of a clip.

    Args:
        index: index of the clip in its split.
        start: number of the first frame.
        frames: number of frames; a clip that is too short starts over (official: loops).
        squares: 0, or the pixels of three squares to cut from the whole frames, along their long side.
    """

    index: int
    start: int
    frames: int
    squares: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The prepared clips of one split, broken videos left out.

    Args:
        clips: mapped read-only, shape (videos, frames, side, side, 3); broken videos have rows in it too. It
            is empty if clips are decoded on demand.
        rows: row of each clip in ``clips`` and in ``origins``.
        labels: label of each clip: int64 (clips,); or for multi float32 (clips, classes) of zeros and ones;
            or for verb_noun int64 (clips, 2). See ``PreparedData.labels_kind``.
        lengths: frames of each clip.
        ids: identity of each clip's video.
        origins: places of the clips in their videos; None if they are not known.
    """

    clips: Pixels
    rows: npt.NDArray[np.int64]
    labels: Targets
    lengths: npt.NDArray[np.int64]
    ids: tuple[str, ...]
    origins: ClipOrigins | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side(self) -> int:
        """Pixels of a frame's side."""
        return int(self.clips.shape[2])

    @property
    def on_demand(self) -> bool:
        """Whether clips are decoded on demand."""
        return self.origins is not None and not len(self.clips)

    def read(self, wanted: FrameRange) -> Pixels:
        """Return frames of a clip.

        Returns:
            uint8 (frames, side, side, 3), or of three squares (3, frames, squares, squares, 3).

        Raises:
            LostVideoError: a video is not what it was when the data was prepared.
        """
        length, stop = int(self.lengths[wanted.index]), wanted.start + wanted.frames
        if stop <= length:
            return self._frames(wanted, wanted.start, wanted.frames)
        frames = self._frames(wanted, 0, length)
        return frames.take((wanted.start + np.arange(wanted.frames)) % length, axis=-4)

    def _frames(self, wanted: FrameRange, first: int, count: int) -> Pixels:
        row = self.rows[wanted.index]
        if not wanted.squares and not self.on_demand:
            stored: Pixels = self.clips[row, first : first + count]
            return stored
        if self.origins is None:
            raise DataError(
                "three crops are cut from whole frames, and it is not known which videos these clips are of",
                hint="an earlier version prepared them: delete the prepared data, and prepare it again",
            )
        frames = self.origins.read(int(row), first, count, square=not wanted.squares)
        if not wanted.squares:
            return np.stack(frames)
        return np.stack([three_squares(frame, wanted.squares) for frame in frames], axis=1)

    def read_all(self, wanted: Iterable[FrameRange]) -> Iterator[Pixels]:
        """Yield what ``read`` returns for every range, in order; what must be decoded is, some way ahead.

        All ranges want squares, or none does. As many threads decode as this process may compute with.
        """
        ranges = iter(wanted)
        first = next(ranges, None)
        if first is None:
            return
        together = chain([first], ranges)
        if self.on_demand or first.squares:
            yield from _read_ahead(self.read, together, torch.get_num_threads())
        else:
            yield from map(self.read, together)


def _read_ahead(
    read: Callable[[FrameRange], Pixels], wanted: Iterable[FrameRange], threads: int
) -> Iterator[Pixels]:
    waiting: deque[Future[Pixels]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoder") as pool:
        try:
            for frames in wanted:
                waiting.append(pool.submit(read, frames))
                # Some clips take longer than others.
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
