"""The folders below a data set's root, every file of them told: what cannot be read is an error."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from proxy_train.video.frame_folder import SUFFIXES, rank_of
from search_space.errors import DataError
from search_space.file_kind import is_file, is_folder

_MPEG = {".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
VIDEOS = frozenset(_MPEG | {".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".gif"})
_MARK, _MARK_LINK = -2, -1


@dataclass(frozen=True, slots=True)
class Contents:
    """The sorted names of the files of a folder.

    Args:
        folder: path of the folder.
        below: names of the folders from the root to it, with itself.
        videos: names of video files.
        images: names of images.
        others: names of other files, those that begin with a dot among them.
        hidden: names of video files and folders that begin with a dot, which are not read.
        is_video: whether the images are the frames of a video.
        reason: why a folder of images is no video, or the whole folder is not read; empty otherwise.
        is_second_way: whether the folder is another one that is read, reached through a link.
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
    is_second_way: bool = False


class _Way(NamedTuple):
    """A way to a folder that is still to be followed; the smallest is the next.

    Attributes:
        turn: the turn of the root's folder that it leads through.
        step: below 0 for the root's folders, marked as seen before one of them is read (0); for a link
            below them the number of folders that it is in, so that it waits for ways without one.
        below: names of the folders from the root to it, with itself.
        folder: path of the folder.
        beside: names of the folders beside it, with its own.
    """

    turn: int
    step: int
    below: tuple[str, ...]
    folder: str
    beside: tuple[str, ...]


def walk(root: Path, turn: Callable[[str], int] = lambda _name: 0) -> Iterator[Contents]:
    """Yield every folder below ``root`` and itself, through links too, each once.

    Of several ways to a folder one counts: that below the folder of ``root`` whose turn comes first; among
    those of one turn ``root``'s own folders, then ways without a link, then the first in sorted order.

    Args:
        root: the folder to begin with.
        turn: the turn of a folder of ``root`` by its name; smaller ones come first.

    Raises:
        DataError: a folder cannot be read.
    """
    seen: dict[tuple[int, int], str] = {}
    waiting = [_Way(0, 0, (), str(root), ())]
    while waiting:
        way = heappop(waiting)
        folder, below = way.folder, way.below
        try:
            facts = os.stat(folder)  # noqa: PTH116 - a plain call, made for every folder
            first = seen.setdefault((facts.st_dev, facts.st_ino), folder)
            if first != folder:
                reason = f"the same folder as {first}"
                yield Contents(Path(folder), below, [], [], [], [], reason=reason, is_second_way=True)
                continue
            if way.step < 0:
                heappush(waiting, way._replace(step=0))
                continue
            contents, folders = _contents(folder, below)
        except OSError as error:
            raise DataError(
                f"{error.filename or folder}: {error.strerror}", hint="make it readable, or move it elsewhere"
            ) from error
        numbered = any(character.isdecimal() for name in contents.images for character in _stem(name))
        if numbered and len(contents.videos) < len(contents.images):
            _set_previews_apart(contents)
        if numbered and not contents.videos and below:
            contents = _judged(contents, [*folders], way.beside)
        yield contents
        names = tuple(folders)
        for name, is_link in folders.items():
            order, step = (way.turn, len(below)) if below else (turn(name), _MARK_LINK)
            if not is_link:
                step = 0 if below else _MARK
            heappush(waiting, _Way(order, step, (*below, name), f"{folder.rstrip('/')}/{name}", names))


def _contents(folder: str, below: tuple[str, ...]) -> tuple[Contents, dict[str, bool]]:
    """Return the files of a folder, and the sorted names of its folders, each with whether it is a link."""
    contents = Contents(Path(folder), below, [], [], [], [])
    folders: dict[str, bool] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            dot = name.rfind(".")
            suffix = name[dot:].lower() if dot > 0 else ""
            if name.startswith("."):
                if suffix in VIDEOS or is_folder(entry):
                    contents.hidden.append(name)
                else:
                    contents.others.append(name)
            elif is_folder(entry):
                folders[name] = entry.is_symlink()
            elif suffix in VIDEOS:
                contents.videos.append(name)
            elif suffix in SUFFIXES:
                contents.images.append(name)
            else:
                (contents.others if is_file(entry) else contents.no_files).append(name)
    told = (contents.videos, contents.images, contents.others, contents.hidden, contents.no_files)
    for names in told:
        names.sort()
    return contents, dict(sorted(folders.items()))


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
