"""Image files to pictures as viewers show them."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from proxy_train.video.orientation import Orientation
from proxy_train.video.picture import DecodedPicture, Frame
from search_space.errors import DataError
from search_space.file_kind import no_file


def read_image(path: Path) -> DecodedPicture:
    """Return the picture of an image file, of an animated one the first.

    Raises:
        DataError: the file is missing, damaged, or of numbers whose white is not known.
    """
    try:
        kind = no_file(path)
        if kind:
            raise DataError(f"{path}: {kind}")
        with Image.open(path) as image:
            pixels = _eight_bits(path, image)
            orientation = _orientation(image)
    # Pillow raises these for damaged headers and bodies.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable image: {error}") from error
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return DecodedPicture(frame, orientation=orientation)


def _eight_bits(path: Path, image: Image.Image) -> Frame:
    """Return the pixels, (height, width, 3) uint8 RGB; Pillow itself would clip deeper greys at 255."""
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if sixteen:
        deep = np.asarray(image).astype(np.uint32)
        grey = ((deep * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise DataError(
            f"{path}: its pixels are numbers of 32 bits, and nothing says which of them is white",
            hint="write the images with 8 or 16 bits",
        )
    return np.asarray(image.convert("RGB"))


def _orientation(image: Image.Image) -> Orientation:
    try:
        return Orientation.of_exif(image.getexif().get(Base.Orientation))
    # What a camera notes beside a picture may be damaged, and the picture be whole. Pillow reads the notes as
    # a TIFF file, and lets through what its parser meets.
    except (SyntaxError, struct.error, OSError, ValueError, KeyError, IndexError, TypeError):
        return Orientation()
