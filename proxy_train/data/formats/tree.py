"""The folders below a data set's root, every file of them told: what cannot be read is an error."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxy_train.video.frame_folder import SUFFIXES, rank_of
from search_space.errors import DataError
from search_space.file_kind import is_file, is_folder

_MPEG = {".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
VIDEOS = frozenset(_MPEG | {".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".gif"})


@dataclass(frozen=True, slots=True)
class Contents:
    """The sorted names of the files of a folder.

    Args:
        folder: path of the folder.
        below: names of the folders from the root to it, with itself.
        videos: names of video files.
        images: names of images.
        others: names of other files.
        hidden: names of video files and folders that begin with a dot, which are not read.
        is_video: whether the images are the frames of a video.
        reason: why a folder of images is no video, or the whole folder is not read; empty otherwise.
        previews: names of moving pictures (GIF) beside the frames of a video, which are not read.
        no_files: names of links that lead nowhere, pipes and other things that are not read.
    """

    folder: Path
    below: tuple[str, ...]
    videos: list[str]
    images: list[str]
    others: list[str]
    hidden: list[str]
    is_video: bool = False
    reason: str = ""
    previews: list[str] = field(default_factory=list)
    no_files: list[str] = field(default_factory=list)


def walk(root: Path) -> Iterator[Contents]:
    """Yield every folder below ``root`` and itself, through links too, each once, in sorted order.

    Raises:
        DataError: a folder cannot be read.
    """
    yield from _walk(str(root), (), {}, ())


def _walk(
    folder: str, below: tuple[str, ...], seen: dict[tuple[int, int], str], beside: tuple[str, ...]
) -> Iterator[Contents]:
    try:
        facts = os.stat(folder)  # noqa: PTH116 - a plain call, made for every folder
        first = seen.setdefault((facts.st_dev, facts.st_ino), folder)
        if first != folder:
            reason = f"the same folder as {first}, which is read"
            yield Contents(Path(folder), below, [], [], [], [], reason=reason)
            return
        contents, folders = _contents(folder, below)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: {error.strerror}", hint="make it readable, or move it elsewhere"
        ) from error
    numbered = any(character.isdecimal() for name in contents.images for character in _stem(name))
    if numbered and len(contents.videos) < len(contents.images):
        _set_previews_apart(contents)
    if numbered and not contents.videos and below:
        contents = _judged(contents, folders, beside)
    yield contents
    for name in folders:
        others = tuple(each for each in folders if each != name)
        yield from _walk(f"{folder.rstrip('/')}/{name}", (*below, name), seen, others)


def _contents(folder: str, below: tuple[str, ...]) -> tuple[Contents, list[str]]:
    """Return the files of a folder, and the names of its folders."""
    contents = Contents(Path(folder), below, [], [], [], [])
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            dot = name.rfind(".")
            suffix = name[dot:].lower() if dot > 0 else ""
            if name.startswith("."):
                if suffix in VIDEOS or is_folder(entry):
                    contents.hidden.append(name)
            elif is_folder(entry):
                folders.append(name)
            elif suffix in VIDEOS:
                contents.videos.append(name)
            elif suffix in SUFFIXES:
                contents.images.append(name)
            else:
                (contents.others if is_file(entry) else contents.no_files).append(name)
    told = (contents.videos, contents.images, contents.others, contents.hidden, contents.no_files)
    for names in (*told, folders):
        names.sort()
    return contents, folders


def require_folder(root: Path) -> None:
    """Raise DataError unless a data set's root is a folder that can be looked at."""
    try:
        found = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError:
        found = False
    except OSError as error:
        raise DataError(f"{root}: {error.strerror}", hint="make it readable") from error
    if not found:
        raise DataError(f"{root}: no such folder", hint="set data.root to the folder of your videos")


def _set_previews_apart(contents: Contents) -> None:
    """Take moving pictures beside many images for previews of these, if there is no other video."""
    if all(name.lower().endswith(".gif") for name in contents.videos):
        contents.previews.extend(contents.videos)
        contents.videos.clear()


def _judged(contents: Contents, folders: list[str], beside: tuple[str, ...]) -> Contents:
    """Return a folder of numbered images as a video, or with the reason why it is none."""
    name, reason = contents.below[-1], ""
    if folders:
        reason = f"images beside folders ({', '.join(folders[:3])}) are no video's frames"
    elif rank_of(name) == 0 and any(rank_of(other) == 2 for other in beside):
        pictures = next(other for other in beside if rank_of(other) == 2)
        reason = f"no pictures by its name; those are in {pictures}"
    return replace(contents, is_video=not reason, reason=reason)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122
