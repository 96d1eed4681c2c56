"""The eight ways in which a stored picture may lie, and the way from each of them to an upright one."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_TOLERANCE = 1.0
"""Degrees by which a turn may miss a quarter: FFmpeg's own tool allows for as much."""


class Orientation(NamedTuple):
    """What makes a stored picture upright: rows become columns or not, then either is reversed or not.

    Attributes:
        swapped: whether rows become columns.
        rows: whether the rows are then reversed, the lowest first.
        columns: whether the columns are then reversed.
        askew: whether the file asks for a slant or a turn by no quarter. Players show such a picture as it
            is stored, FFmpeg's own tool turns it and fills up the corners.
    """

    swapped: bool = False
    rows: bool = False
    columns: bool = False
    askew: bool = False

    @classmethod
    def of_matrix(cls, matrix: bytes) -> Orientation:
        """Return the orientation that a display matrix stands for.

        Args:
            matrix: nine native 32-bit integers a, b, u, c, d, v, x, y, w, as FFmpeg hands them on: what is
                stored in column p and row q is shown at (a p + c q, b p + d q).
        """
        if len(matrix) != 36:
            return UPRIGHT
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
        slant = math.tan(math.radians(_TOLERANCE))
        if abs(a) <= slant * abs(b) and abs(d) <= slant * abs(c):
            return cls(swapped=True, rows=b < 0, columns=c < 0)
        if abs(b) <= slant * abs(a) and abs(c) <= slant * abs(d):
            return cls(swapped=False, rows=d < 0, columns=a < 0)
        return cls(askew=True)

    @classmethod
    def of_turn(cls, degrees: float) -> Orientation:
        """Return the orientation that a turn by so much, counter-clockwise, makes upright."""
        quarters = round(degrees / 90)
        if abs(degrees - 90 * quarters) > _TOLERANCE:
            return cls(askew=True)
        return (UPRIGHT, _EXIF[8], _EXIF[3], _EXIF[6])[quarters % 4]

    @classmethod
    def of_exif(cls, number: object) -> Orientation:
        """Return the orientation of EXIF's number, 1 to 8; upright if it is none of them."""
        return _EXIF.get(number, UPRIGHT) if isinstance(number, int) else UPRIGHT

    @property
    def turned(self) -> bool:
        """Whether the picture is turned by a quarter or a half."""
        return self.swapped or (self.rows and self.columns)

    @property
    def mirrored(self) -> bool:
        """Whether the picture is stored as in a mirror: no turn makes it right."""
        return self.swapped ^ self.rows ^ self.columns

    def upright(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a stored picture (height, width, 3) as it is shown."""
        if self.swapped:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if self.rows else 1, :: -1 if self.columns else 1]


UPRIGHT = Orientation()
_EXIF = {
    2: Orientation(columns=True),
    3: Orientation(rows=True, columns=True),
    4: Orientation(rows=True),
    5: Orientation(swapped=True),
    6: Orientation(swapped=True, columns=True),
    7: Orientation(swapped=True, rows=True, columns=True),
    8: Orientation(swapped=True, rows=True),
}
