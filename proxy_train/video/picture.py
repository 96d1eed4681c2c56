"""One frame of a video to pixels: upright, scaled, and cut to a square or not."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

Frame = npt.NDArray[np.uint8]


def quarter_turns(frame: av.VideoFrame) -> int:
    """Return the quarter turns, counter-clockwise, after which a frame is upright: 0 to 3."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def picture(frame: av.VideoFrame, size: int, reformatter: VideoReformatter, *, square: bool = True) -> Frame:
    """Return one frame, upright, its short side scaled to ``size``.

    Args:
        frame: a decoded frame.
        size: pixels of the short side.
        reformatter: converts and scales; kept from frame to frame.
        square: cut the frame to its centre square.

    Returns:
        uint8 RGB (size, size, 3), or (height, width, 3) of which the smaller is ``size``.
    """
    scale = size / min(frame.width, frame.height)
    width, height = max(size, round(frame.width * scale)), max(size, round(frame.height * scale))
    # Averaging, where a picture shrinks: the other filters leave out pixels.
    how = Interpolation.AREA if scale < 1 else Interpolation.BILINEAR
    scaled = reformatter.reformat(frame, width, height, "rgb24", interpolation=how)
    pixels = scaled.to_ndarray().astype(np.uint8, copy=False)
    if square:
        top, left = (height - size) // 2, (width - size) // 2
        pixels = pixels[top : top + size, left : left + size]
    turns = quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(pixels, turns) if turns else pixels)


def three_squares(pixels: Frame, size: int) -> Frame:
    """Return the squares at the beginning, in the middle and at the end of a picture's long side.

    The middle one is what is left if the picture is cut to its centre square, and that to ``size``.

    Args:
        pixels: uint8 (height, width, 3), both at least ``size``.
        size: pixels of a square's side.

    Returns:
        uint8 (3, size, size, 3): left, centre and right, or top, centre and bottom.
    """
    height, width, _ = pixels.shape
    side = min(height, width)
    across = (side - size) // 2
    along = (0, (max(height, width) - side) // 2 + across, max(height, width) - size)
    corners = [(across, at) if width >= height else (at, across) for at in along]
    return np.stack([pixels[top : top + size, left : left + size] for top, left in corners])
