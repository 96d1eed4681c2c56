"""Folders that hold a video's frames as numbered images."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.image_file import read_image
from proxy_train.video.picture import DecodedPicture
from search_space.errors import DataError
from search_space.file_kind import is_folder

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# The last number of a name counts the frames: ``cam2_0001.png``, ``shot (1).jpg``, ``0001_rgb.jpg``.
_NUMBERED = re.compile(r"(.*?)([0-9]+)([^0-9]*)(\.[A-Za-z]+)", re.DOTALL)
_WORD = re.compile(r"[a-z]+")
_PICTURES = frozenset({"img", "image", "images", "frame", "frames", "rgb", "color", "colour", "picture"})
_NO_PICTURES = frozenset(
    {"flow", "x", "y", "u", "v", "depth", "disparity", "mask", "masks", "seg", "segmentation", "label", "gt"}
    | {"normal", "normals", "edge", "edges", "ir", "infrared", "thermal", "pose", "skeleton", "thumb"}
    | {"thumbnail", "saliency", "alpha"}
)

_KINDS = _NO_PICTURES | _PICTURES
# Words of several letters: names of random letters hold any one, and between digits any two.
_LONG, _SHORT = (
    [word for word in sorted(_NO_PICTURES) if len(word) in sizes] for sizes in (range(3, 99), (2,))
)
_AGAINST = re.compile(
    rf"(?<![a-z])({'|'.join(_LONG)})(?![a-z])|(?<![a-z0-9])({'|'.join(_SHORT)})(?![a-z0-9])"
)

# Spellings with at least this share of the most frequent one's images may be meant as well as it.
_RIVAL = 0.5
_SHOWN = 3  # spellings in an error; more of them are counted


def kind_in(name: str) -> frozenset[str]:
    """Return the words of a name that speak against frames, such as ``depth``."""
    return frozenset(_WORD.findall(name.lower())) & _NO_PICTURES


def without_kind(name: str) -> tuple[str, ...]:
    """Return the words and numbers of a name without those that tell a kind of images: ``depth``, ``rgb``."""
    parts = re.findall(r"[^\W\d_]+|\d+", name.lower())
    return tuple(part for part in parts if part not in _KINDS)


def names_against(names: Sequence[str]) -> list[int]:
    """Return the numbers of the names that speak against frames by a word of several letters.

    All names are looked through at once: one at a time, half a million take seconds.
    """
    lowered = [name.lower() for name in names]
    text = "\n".join([*lowered, ""])
    ends = list(accumulate(len(name) + 1 for name in lowered))
    found: set[int] = set()
    for part in (*_LONG, *_SHORT):
        place = text.find(part)
        while place >= 0:
            number = bisect_right(ends, place)
            found.add(number)
            place = text.find(part, ends[number])
    return sorted(number for number in found if _AGAINST.search(lowered[number]))


def rank_of(name: str) -> int:
    """Return 2 if the words of a name speak for frames, 0 if they speak against them, else 1."""
    words = set(_WORD.findall(name.lower()))
    return 0 if words & _NO_PICTURES else 2 if words & _PICTURES else 1


class SortedImages(NamedTuple):
    """The images of a folder.

    Attributes:
        frames: names of a video's frames; None if there are no numbered images.
        others: number of the images that are no frames, by their spelling.
    """

    frames: FrameFiles | None
    others: Mapping[str, int]


class _Image(NamedTuple):
    before: str
    digits: str
    after: str


def find_frames(folder: Path, fps: float) -> FrameFiles | None:
    """Return the names of a folder's frames; None if it holds no numbered images.

    Args:
        folder: the folder.
        fps: frames a second at which the images were taken.

    Raises:
        DataError: as ``sort_images``.
    """
    return sort_images(folder, fps).frames


def sort_images(folder: Path, fps: float) -> SortedImages:
    """Tell a folder's frames from the images that are something else.

    Images of one spelling belong together: the same words around a number, in any case, and numbers that are
    filled up with zeros alike. Words such as ``img`` and ``rgb`` speak for frames, words such as ``flow`` and
    ``mask`` against them; then the most frequent spelling counts.

    Args:
        folder: the folder.
        fps: frames a second at which the images were taken.

    Raises:
        DataError: the folder cannot be read, or two spellings are as likely.
    """
    try:
        with os.scandir(folder) as entries:
            # A link that leads nowhere is a frame that is missing.
            names = sorted(entry.name for entry in entries if not is_folder(entry))
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}", hint="folders must be readable") from error
    spellings: dict[tuple[str, str], list[_Image]] = {}
    others: Counter[str] = Counter()
    for name in names:
        if name.startswith(".") or os.path.splitext(name)[1].lower() not in SUFFIXES:  # noqa: PTH122
            continue
        match = _NUMBERED.fullmatch(name)
        if match is None:
            others[name] += 1
        else:
            image = _Image(match[1], match[2], match[3] + match[4])
            spellings.setdefault((image.before.casefold(), image.after.casefold()), []).append(image)
    if not spellings:
        return SortedImages(None, others)
    lengths = {len(image.digits) for images in spellings.values() for image in images}
    sequences = [_sequence(images, lengths, fps) for images in spellings.values()]
    chosen = _chosen(folder, sequences)
    for sequence in sequences:
        others.update(sequence.strays)
        if sequence is not chosen:
            others[sequence.frames.template] += sequence.images
    return SortedImages(chosen.frames if chosen.images else None, others)


class _Sequence(NamedTuple):
    """Images whose names differ in their number alone, and those that do not fit in."""

    frames: FrameFiles
    images: int
    strays: list[str]

    @property
    def rank(self) -> int:
        """2 if the words speak for frames, 0 if they speak against them, else 1."""
        return rank_of(os.path.splitext(self.frames.template % 0)[0])  # noqa: PTH122


def _sequence(images: list[_Image], lengths: set[int], fps: float) -> _Sequence:
    """Return the images of one spelling as numbers, with what is no part of the sequence."""
    filled = Counter(len(image.digits) for image in images if image.digits[0] == "0" != image.digits)
    # Of several ways to fill numbers up, of which none is 1, the one that most images fit.
    length = next(iter(lengths))
    if len(lengths) > 1:
        length = max((1, *filled), key=lambda each: (_count(images, each), filled[each], each))
    before, after = _most_common((image.before, image.after) for image in images)
    numbers: dict[int, _Image] = {}
    strays: list[str] = []
    for image in sorted(images, key=lambda image: (image.before, image.after) != (before, after)):
        number = int(image.digits) if _fits(image, length) and len(image.digits) <= 18 else -1
        if number < 0 or number in numbers:
            strays.append("".join(image))
        else:
            numbers[number] = image
    words = before.replace("%", "%%"), after.replace("%", "%%")
    zeros = f"0{length}" if len(lengths) == 1 or length in filled else ""
    template = f"{words[0]}%{zeros}d{words[1]}"
    first, last = (min(numbers), max(numbers)) if numbers else (0, -1)
    mixed = any((image.before, image.after) != (before, after) for image in numbers.values())
    files = FrameFiles(template, first, last - first + 1, fps, mixed)
    return _Sequence(files, len(numbers), strays)


def _fits(image: _Image, length: int) -> bool:
    """Return whether a number is filled up with zeros to a length.

    One that outgrows its zeros has none: 0999 is followed by 1000 and by 10000.
    """
    return len(image.digits) == length or (len(image.digits) > length and image.digits[0] != "0")


def _count(images: list[_Image], length: int) -> int:
    return sum(_fits(image, length) for image in images)


def _most_common(spellings: Iterator[tuple[str, str]]) -> tuple[str, str]:
    counts = Counter(spellings)
    return max(counts, key=lambda each: (counts[each], each))


def _chosen(folder: Path, sequences: list[_Sequence]) -> _Sequence:
    """Return the sequence that is the video's frames."""
    best = max(sequence.rank for sequence in sequences)
    likely = sorted(
        (sequence for sequence in sequences if sequence.rank == best), key=lambda each: -each.images
    )
    if len(likely) > 1 and likely[1].images >= _RIVAL * likely[0].images:
        names = ", ".join(f"{each.frames.template} ({each.images} images)" for each in likely[:_SHOWN])
        names += f" and {len(likely) - _SHOWN} other spellings" if len(likely) > _SHOWN else ""
        raise DataError(
            f"{folder}: its frames may be those of {names}",
            hint="leave one kind of image in a folder, or call the frames img_%05d.jpg",
        )
    chosen = likely[0]
    if chosen.strays and len(chosen.strays) >= _RIVAL * chosen.images:
        raise DataError(
            f"{folder}: its frames may be those of {chosen.frames.template} ({chosen.images} images), or"
            f" {len(chosen.strays)} that are numbered otherwise, such as {min(chosen.strays)}",
            hint="leave one kind of image in a folder, and fill up all numbers with zeros alike",
        )
    return chosen


def images(folder: Path, files: FrameFiles, first: int = 0) -> Iterator[DecodedPicture]:
    """Yield the pictures of a folder from number ``first`` on; the folder's first one is 0.

    Raises:
        DataError: an image is missing or damaged.
    """
    for number in range(first, files.count):
        path = _path(folder, files, number)
        try:
            image = read_image(path)
        except DataError as error:
            if os.path.lexists(path):
                raise
            raise DataError(error.message + _gap(folder, files, number)) from error
        yield image


def _gap(folder: Path, files: FrameFiles, frame: int) -> str:
    """Return in words which numbers are missing where a frame is, and how many images there are."""
    wanted = _NUMBERED.fullmatch(files.name(frame))
    assert wanted is not None, "frames are numbered"
    with os.scandir(folder) as entries:
        matches = [match for entry in entries if (match := _NUMBERED.fullmatch(entry.name))]
    numbers = [
        int(match[2])
        for match in matches
        if match[1].casefold() == wanted[1].casefold()
        and (match[3] + match[4]).casefold() == (wanted[3] + wanted[4]).casefold()
    ]
    number = files.offset + frame
    before = max((each for each in numbers if each < number), default=None)
    after = min((each for each in numbers if each > number), default=None)
    if before is None or after is None:
        return ""
    return f": {before} is followed by {after} ({len(numbers)} images); frames are numbered without gaps"


def _path(folder: Path, files: FrameFiles, number: int) -> Path:
    """Return the path of a frame as it is spelled: ``.JPG`` may stand among ``.jpg``."""
    path = folder / files.name(number)
    if not files.mixed_case or path.exists():
        return path
    wanted = path.name.casefold()
    with os.scandir(folder) as entries:
        alike = [entry.name for entry in entries if entry.name.casefold() == wanted]
    return path.with_name(min(alike, default=path.name))
