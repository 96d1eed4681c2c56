"""Folders that hold a video's frames as numbered images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.image_file import read_image
from proxy_train.video.picture import DecodedPicture

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_NUMBERED = re.compile(r"(.*?)(\d+)(\.[A-Za-z]+)")


def find_frames(folder: Path, fps: float) -> FrameFiles | None:
    """Return the names of a folder's frames; None if it holds no numbered images.

    The images of the most frequent spelling count: same words around a number, same length of the number if
    it is filled up with zeros.

    Args:
        folder: the folder.
        fps: frames a second at which the images were taken.
    """
    numbers: dict[str, list[int]] = {}
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_file()]
    padded = all(len(digits) == len(first) for digits, first in _pairs_of_digits(names))
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None or match[3].lower() not in SUFFIXES:
            continue
        before, digits, suffix = (part.replace("%", "%%") for part in match.groups())
        template = f"{before}%0{len(digits)}d{suffix}" if padded else f"{before}%d{suffix}"
        numbers.setdefault(template, []).append(int(digits))
    if not numbers:
        return None
    template, frames = max(numbers.items(), key=lambda entry: len(entry[1]))
    return FrameFiles(template, min(frames), max(frames) - min(frames) + 1, fps)


def _pairs_of_digits(names: list[str]) -> Iterator[tuple[str, str]]:
    first = ""
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is not None and match[3].lower() in SUFFIXES:
            first = first or match[2]
            yield match[2], first


def images(folder: Path, files: FrameFiles, first: int = 0) -> Iterator[DecodedPicture]:
    """Yield the pictures of a folder from number ``first`` on; the folder's first one is 0.

    Raises:
        DataError: an image is missing or damaged.
    """
    return (read_image(folder / files.name(number)) for number in range(first, files.count))
