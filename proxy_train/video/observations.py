"""What is noticed about the pictures of a video while they go by, in constant memory."""

from __future__ import annotations

from collections import Counter

import numpy as np
from av.video.reformatter import VideoReformatter

from proxy_train.video.clock import AHEAD, BACK
from proxy_train.video.orientation import UPRIGHT
from proxy_train.video.picture import Frame, picture
from proxy_train.video.shown_frames import Shown

_SIDE = 32  # pixels of the pictures that are looked at
_NOISE = 2  # levels by which coding changes a plain colour
_TICK = 1e-4  # seconds to which intervals are rounded to be counted


class Observations:
    """The facts of a video's pictures, added one by one in their order.

    Args:
        joins_parts: whether time stamps may jump in its format.
    """

    def __init__(self, *, joins_parts: bool) -> None:
        self._joins_parts = joins_parts
        self._reformatter = VideoReformatter()
        self._steps: Counter[int] = Counter()
        self._step = 0.0
        self._begin = self._last = self._end = 0.0
        self._colour: Frame | None = None
        self._started_over: float | None = None
        self._jump: tuple[float, float] | None = None
        self.frames = self.unseen = 0
        self.turned = self.mirrored = self.stretched = self._askew = False
        self.plain = True

    def add(self, shown: Shown) -> None:
        """Add the next picture.

        Raises:
            OSError: it cannot be converted.
            ValueError: the same, found by PyAV.
        """
        if not self.frames:
            self._begin = shown.begin
        else:
            step = shown.begin - self._last
            self._steps[round(step / _TICK)] += 1
            self._step = step or self._step
            if step > AHEAD and self._jump is None:
                self._jump = self._last, shown.begin
        if shown.stepped_back > BACK and self._started_over is None:
            self._started_over = shown.begin + self._step
        # Times alone: a picture that is held keeps its memory from the decoder.
        self._last, self._end = shown.begin, shown.end
        self.frames += 1
        self.unseen += shown.end <= shown.begin
        orientation = shown.picture.orientation
        if orientation is not UPRIGHT:
            self.turned |= orientation.turned
            self.mirrored |= orientation.mirrored
            self._askew |= orientation.askew
        self.stretched |= shown.picture.aspect != 1
        if self.plain:
            self._look(shown)

    def _look(self, shown: Shown) -> None:
        """Convert a picture, the first at least, until one tells that the video is not of one colour."""
        pixels = picture(shown.picture, _SIDE, self._reformatter, square=False).astype(np.int16)
        self._colour = pixels[0, 0] if self._colour is None else self._colour
        self.plain = bool(np.abs(pixels - self._colour).max() <= _NOISE)

    @property
    def duration(self) -> float:
        """The seconds from the first picture to the end of the last one."""
        return self._end - self._begin

    @property
    def variable(self) -> bool:
        """Whether pictures are on show for different times, beyond what rounding of stamps explains."""
        usual = _median(self._steps) * _TICK
        return any(abs(step * _TICK - usual) > max(0.002, 0.1 * usual) for step in self._steps)

    def notes(self) -> list[str]:
        """Return what a user should know of, in words."""
        notes = []
        if self._askew:
            notes.append("to be slanted, or turned by no quarter: its pictures are used as they are stored")
        if self._started_over is not None:
            notes.append(f"its time stamps start over at {self._started_over:.2f} s")
        if self._jump is not None and not self._joins_parts:
            notes.append("its time stamps jump from {:.2f} s to {:.2f} s".format(*self._jump))
        if self.unseen:
            notes.append(f"{self.unseen} of its {self.frames} pictures are never shown")
        return notes


def _median(counts: Counter[int]) -> float:
    """Return the middle of the values that were counted, of two the mean; 0 if there are none."""
    total, passed = counts.total(), 0
    middle: list[int] = []
    for value, count in sorted(counts.items()):
        passed += count
        if not middle and 2 * passed >= total:
            middle.append(value)
        if 2 * passed > total:
            return (middle[0] + value) / 2
    return 0.0
