"""Time stamps to the seconds at which a player shows what bears them."""

from __future__ import annotations

import math

BACK, AHEAD = 0.1, 10.0
"""Seconds by which a time stamp steps back, or ahead, where another recording begins: FFmpeg's own limits."""


class Clock:
    """Turns the time stamps of frames, in the order of showing, into seconds that never decrease.

    Args:
        origin: time stamp in seconds that is shown at 0; None is the first one.
        step: usual seconds from frame to frame, for frames without a stamp.
        joins_parts: whether stamps that jump begin a part that is shown after what was before.

    Attributes:
        step: usual seconds from frame to frame, which may turn out to be others.
    """

    def __init__(self, origin: float | None, step: float, *, joins_parts: bool) -> None:
        self._origin, self.step, self._joins_parts = origin, step, joins_parts
        self._at: float | None = None
        self.stepped_back = 0.0

    @property
    def at(self) -> float | None:
        """The seconds of the last frame; None before the first one."""
        return self._at

    @property
    def next(self) -> float:
        """The seconds at which the next frame is due."""
        return 0.0 if self._at is None else self._at + self.step

    def place(self, stamp: float | None) -> float:
        """Return the seconds at which the next frame is shown.

        Args:
            stamp: time stamp of the frame in seconds; None or NaN if it has none.
        """
        if stamp is not None and math.isnan(stamp):
            stamp = None  # PyAV's, of a frame that a decoder held back at the end and whose time base is lost
        if self._at is None:
            self._origin = (stamp or 0.0) if self._origin is None else self._origin
            self._at = 0.0 if stamp is None else stamp - self._origin
            return self._at
        assert self._origin is not None, "set by the first frame"
        now = self.next if stamp is None else stamp - self._origin
        if self._joins_parts and (now < self._at - BACK or now > self.next + AHEAD):
            self._origin += now - self.next
            now = self.next
        self.stepped_back = max(0.0, self._at - now)
        self._at = max(self._at, now)
        return self._at

    def end(self, stamp: float) -> float:
        """Return the seconds of a stamp at which nothing new is shown."""
        return stamp - (self._origin or 0.0)
