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
from proxy_train.store.places import Pixels, Places
from proxy_train.video.picture import three_squares
from search_space.errors import DataError


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some frames of a clip.

    Args:
        index: of the clip.
        start: its first frame.
        frames: how many; a clip that is too short starts over (official: loops).
        squares: 0, or the pixels of three squares along the long side that are wanted of the whole frames.
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
            has no rows where clips are decoded on demand.
        rows: where each clip is in ``clips``, and in ``places``.
        labels: of each clip: int64 (clips,); or for multi float32 (clips, classes) of zeros and ones; or for
            verb_noun int64 (clips, 2). See ``PreparedData.labels_kind``.
        lengths: frames of each clip.
        ids: of each clip's video.
        places: where the clips are in their videos; None if that is not known.
    """

    clips: Pixels
    rows: npt.NDArray[np.int64]
    labels: Targets
    lengths: npt.NDArray[np.int64]
    ids: tuple[str, ...]
    places: Places | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side(self) -> int:
        """Pixels of a frame's side."""
        return int(self.clips.shape[2])

    @property
    def on_demand(self) -> bool:
        """Whether clips are decoded on demand."""
        return self.places is not None and not len(self.clips)

    def read(self, wanted: Stretch) -> Pixels:
        """Frames of a clip.

        Returns:
            uint8 (frames, side, side, 3), or of three squares (3, frames, squares, squares, 3).

        Raises:
            LostVideoError: a video is not what it was when the data was prepared.
        """
        length, stop = int(self.lengths[wanted.index]), wanted.start + wanted.frames
        if stop <= length:
            return self._frames(wanted, wanted.start, wanted.frames)
        found = self._frames(wanted, 0, length)
        return found.take((wanted.start + np.arange(wanted.frames)) % length, axis=-4)

    def _frames(self, wanted: Stretch, first: int, count: int) -> Pixels:
        row = self.rows[wanted.index]
        if not wanted.squares and not self.on_demand:
            kept: Pixels = self.clips[row, first : first + count]
            return kept
        if self.places is None:
            raise DataError(
                "three crops are cut from whole frames, and it is not known which videos these clips are of",
                hint="an earlier version prepared them: delete the prepared data, and prepare it again",
            )
        frames = self.places.read(int(row), first, count, square=not wanted.squares)
        if not wanted.squares:
            return np.stack(frames)
        return np.stack([three_squares(frame, wanted.squares) for frame in frames], axis=1)

    def each(self, wanted: Iterable[Stretch]) -> Iterator[Pixels]:
        """What ``read`` gives for every stretch, in order; what must be decoded is, some way ahead.

        All stretches want squares, or none does. As many threads decode as this process may compute with.
        """
        stretches = iter(wanted)
        first = next(stretches, None)
        if first is None:
            return
        together = chain([first], stretches)
        if self.on_demand or first.squares:
            yield from _ahead(self.read, together, torch.get_num_threads())
        else:
            yield from map(self.read, together)


def _ahead(read: Callable[[Stretch], Pixels], wanted: Iterable[Stretch], threads: int) -> Iterator[Pixels]:
    waiting: deque[Future[Pixels]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoder") as pool:
        try:
            for stretch in wanted:
                waiting.append(pool.submit(read, stretch))
                # Some clips take longer than others.
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
