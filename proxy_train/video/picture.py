"""One decoded picture to the pixels that a player shows: colours, pixels' shape, upright, scaled, cut."""

from __future__ import annotations

import gc
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from proxy_train.video.orientation import UPRIGHT, Orientation

Frame = npt.NDArray[np.uint8]

_WIDEST = 8.0
"""Pixels that are wider or higher than this are a mistake in a file; real ones reach from 1:2 to 4:1."""
# The numbers of H.273. libswscale refuses a frame with any other one.
_KNOWN_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
_BT2020_CONSTANT_LUMINANCE, _BT2020, _BT601 = 10, 9, 5
_LOOKS = 16
"""Frames whose side data is looked at before garbage is collected: PyAV's frame and its side data refer to
each other, so that a frame that was asked for them keeps its picture until then. So few are asked."""
_FATAL = frozenset({"yaf32be", "yaf32le"})


class DecodedPicture(NamedTuple):
    """A decoded frame and what its file says about showing it.

    Attributes:
        frame: the frame as it is stored.
        aspect: width of a pixel divided by its height.
        orientation: way to an upright picture.
    """

    frame: av.VideoFrame
    aspect: float = 1.0
    orientation: Orientation = UPRIGHT


class Presentation:
    """What a stream says of showing its pictures; it holds until the next key frame.

    Args:
        stream: stream that is open for reading.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        self._context = stream.codec_context
        # A container's word on the shape of pixels counts for the whole file, the codec's may change in it.
        ratio = stream.sample_aspect_ratio
        self._aspect = pixel_aspect(ratio)
        self._aspect_may_change = not ratio or ratio == self._context.sample_aspect_ratio
        self._orientation = UPRIGHT
        # Where every picture is a key frame, only a container's matrix turns them: the same for all.
        self._keys_tell = not self._context.codec.intra_only
        self._rotation: int | None = None
        self._looks = 0

    def of(self, frame: av.VideoFrame) -> DecodedPicture:
        """Return a frame, which has just been decoded, with what makes it what a player shows."""
        if frame.key_frame and self._aspect_may_change:
            self._aspect = pixel_aspect(self._context.sample_aspect_ratio)
        # FFmpeg hands on a container's matrix with every frame, a bit stream's with the one that has it.
        if frame.rotation != self._rotation or (frame.key_frame and self._keys_tell):
            self._rotation = frame.rotation
            self._look_at(frame)
        return DecodedPicture(frame, self._aspect, self._orientation)

    def _look_at(self, frame: av.VideoFrame) -> None:
        """Take over the orientation that comes with a frame; a key frame without one is upright."""
        self._looks += 1
        if self._looks % _LOOKS == 0:
            gc.collect(1)
        orientation = _orientation(frame)
        if orientation is not None:
            self._orientation = orientation
        elif frame.key_frame:
            self._orientation = UPRIGHT


def _orientation(frame: av.VideoFrame) -> Orientation | None:
    """Return the orientation that comes with a frame, if any does."""
    try:
        data: Any = frame.side_data
        # Most frames have none, and looking for a kind of it takes longer.
        matrix = data.get("DISPLAYMATRIX") if len(data) else None
    except ValueError:
        # PyAV does not know every kind, such as EXIF's, and then gives the turn alone.
        return Orientation.of_turn(frame.rotation) if frame.rotation else None
    return None if matrix is None else Orientation.of_matrix(bytes(matrix))


def pixel_aspect(ratio: object) -> float:
    """Return the width of a pixel by its height; 1 where a file gives none, or one that cannot be meant.

    Args:
        ratio: what a file says: a fraction, or None.
    """
    try:
        aspect = float(ratio or 1)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 1.0
    return aspect if 1 / _WIDEST <= aspect <= _WIDEST else 1.0


def picture(
    decoded: DecodedPicture, size: int, reformatter: VideoReformatter, *, square: bool = True
) -> Frame:
    """Return a picture as a player shows it, its short side scaled to ``size``.

    Transparency is left out, as players do: a pixel has the colour that is stored for it.

    Args:
        decoded: the decoded picture.
        size: pixels of the short side.
        reformatter: converter and scaler, kept from frame to frame.
        square: cut the frame to its centre square.

    Returns:
        uint8 RGB (size, size, 3), or (height, width, 3) of which the smaller is ``size``.

    Raises:
        OSError: libswscale cannot convert the frame.
        ValueError: the same, found by PyAV.
    """
    frame = decoded.frame
    if frame.format.name in _FATAL:
        raise ValueError("libswscale would end the process")
    down = size / min(frame.width * decoded.aspect, frame.height)
    across = down * decoded.aspect
    width, height = max(size, round(frame.width * across)), max(size, round(frame.height * down))
    # Averaging, where a picture shrinks: the other filters leave out pixels.
    how = Interpolation.AREA if min(across, down) < 1 else Interpolation.BILINEAR
    if frame.colorspace not in _KNOWN_MATRICES:
        # What FFmpeg's tools take for it.
        frame.colorspace = _BT2020 if frame.colorspace == _BT2020_CONSTANT_LUMINANCE else _BT601
    scaled = reformatter.reformat(frame, width, height, "rgb24", interpolation=how, threads=1)
    pixels = scaled.to_ndarray().astype(np.uint8, copy=False)
    if square:
        top, left = (height - size) // 2, (width - size) // 2
        pixels = pixels[top : top + size, left : left + size]
    return np.ascontiguousarray(decoded.orientation.upright(pixels))


def three_corners(shape: tuple[int, ...], size: int) -> list[tuple[int, int]]:
    """Return top and left of the squares at the beginning, in the middle and at the end of the long side.

    The middle one is what is left if a picture is cut to its centre square, and that to ``size``.

    Args:
        shape: height and width of the picture in pixels, at least ``size``, and whatever follows.
        size: pixels of a square's side.
    """
    height, width = shape[:2]
    side = min(height, width)
    across = (side - size) // 2
    along = (0, (max(height, width) - side) // 2 + across, max(height, width) - size)
    return [(across, at) if width >= height else (at, across) for at in along]


def three_squares(pixels: Frame, size: int) -> Frame:
    """Return the squares of ``three_corners``.

    Args:
        pixels: uint8 (height, width, 3), both at least ``size``.
        size: pixels of a square's side.

    Returns:
        uint8 (3, size, size, 3): left, centre and right, or top, centre and bottom.
    """
    corners = three_corners(pixels.shape, size)
    return np.stack([pixels[top : top + size, left : left + size] for top, left in corners])
