"""Optical flow, depth and masks beside the videos' pictures, and second cameras, told by name."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from proxy_train.data.dataset import VideoItem
from proxy_train.data.formats.tree import Contents
from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import kind_in, names_against, rank_of, without_kind

_SIDE = re.compile(r"left|right", re.IGNORECASE)
_OTHER_SIDE = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
_OTHER_SIDE |= {"LEFT": "RIGHT", "RIGHT": "LEFT"}


def find_no_pictures(every: Sequence[Contents], above: int) -> dict[tuple[str, ...], str]:
    """Return the folders whose videos are no pictures, each with the reason.

    Such a folder is called ``flow``, ``depth`` or the like, or is below one. A folder ``rgb``, ``frames`` or
    the like beside that one holds a video's frames, or a video or a folder of the same name: ``flow/clip1``
    beside ``rgb/clip1``; or a video of the same name is beside the folder: ``flow/clip1`` and ``clip1``.

    Args:
        every: the folders of a data set, in sorted order.
        above: number of levels of folders whose names are those of splits and classes.
    """
    beside: dict[tuple[str, ...], list[str]] = {}
    for contents in every:
        if len(contents.below) > above and rank_of(contents.below[-1]) != 1:
            beside.setdefault(contents.below[:-1], []).append(contents.below[-1])
    pairs = {
        (*parent, name): [(*parent, other) for other in names if rank_of(other) == 2]
        for parent, names in beside.items()
        for name in names
        if rank_of(name) == 0
    }
    outside = _videos_beside(every, {way[:-1] for way in pairs})
    held: dict[tuple[str, ...], set[str]] = {
        way: set() for way, others in pairs.items() if others or outside.get(way[:-1])
    }
    held |= {other: set() for others in pairs.values() for other in others}
    for contents in every if held else ():
        below = contents.below
        for length in range(above + 1, len(below) + 1):
            if (names := held.get(below[:length])) is not None:
                names.update(below[length:], map(_stem, contents.videos))
    videos = {contents.below for contents in every if contents.is_video and contents.below in held}
    found: dict[tuple[str, ...], str] = {}
    for contents in every:
        below = contents.below
        others = pairs.get(below, ())
        pictures = next((each for each in others if each in videos or held[each] & held[below]), None)
        if below and below[:-1] in found:
            found[below] = found[below[:-1]]
        elif pictures is not None:
            found[below] = f"no pictures by the name of {below[-1]}; those are in {pictures[-1]}"
        elif below in pairs and (same := held.get(below, set()) & outside.get(below[:-1], set())):
            found[below] = f"no pictures by the name of {below[-1]}; those are beside it, such as {min(same)}"
    return found


def _videos_beside(
    every: Sequence[Contents], folders: Collection[tuple[str, ...]]
) -> dict[tuple[str, ...], set[str]]:
    """Return the names of the videos and of the folders of frames in some folders."""
    found: dict[tuple[str, ...], set[str]] = {}
    for contents in every if folders else ():
        below = contents.below
        if below in folders:
            found.setdefault(below, set()).update(map(_stem, contents.videos))
        if contents.is_video and below[:-1] in folders and rank_of(below[-1]) != 0:
            found.setdefault(below[:-1], set()).add(below[-1])
    return found


def find_beside(names: Collection[str]) -> dict[str, str]:
    """Return those of a folder's videos that are no pictures, each with the one that has these.

    ``clip1_depth`` is none beside ``clip1`` or ``clip1_rgb``: its name is the same but for a word.

    Args:
        names: names of a folder's video files, without suffix, and of its folders of frames.
    """
    every = sorted(names)
    against = names_against(every)
    lowered = [name.lower() for name in every] if against else []
    found: dict[str, str] = {}
    for number in against:
        key = without_kind(every[number])
        # Nearly all names are other ones, which a part of the name tells at once.
        part = max(key, key=len, default="")
        for other, low in zip(every, lowered, strict=True):
            if part in low and rank_of(other) != 0 and without_kind(other) == key:
                found[every[number]] = other
    return found


def find_files_beside(every: Sequence[Contents]) -> dict[tuple[str, ...], str]:
    """Return the video files and folders of frames that are no pictures by their names, with the reason.

    Those of which the pictures are missing are told by a word that others have beside their pictures.

    Args:
        every: the folders of a data set; a file's key is the names of the folders from the root, and its own.
    """
    videos: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for contents in every:
        if contents.is_video:
            videos.setdefault(contents.below[:-1], {}).setdefault(contents.below[-1], []).append(
                contents.below[-1]
            )
        for name in contents.videos:
            videos.setdefault(contents.below, {}).setdefault(_stem(name), []).append(name)
    found: dict[tuple[str, ...], str] = {}
    kinds: dict[frozenset[str], str] = {}
    for folder, names in videos.items():
        for name, pictures in find_beside(names).items():
            kinds.setdefault(kind_in(name), name)
            for file in names[name]:
                found[*folder, file] = f"no pictures by its name; those are in {names[pictures][0]}"
    for folder, names in videos.items() if kinds else ():
        for name, files in names.items():
            other = kinds.get(kind_in(name))
            if other is not None and rank_of(name) == 0 and any(len(word) > 1 for word in kind_in(name)):
                reason = f"no pictures by its name, as {other} beside those of another video"
                found |= {(*folder, file): reason for file in files if (*folder, file) not in found}
    return found


def doubt(folders: Sequence[str], frames: FrameFiles | None = None) -> str:
    """Return what says that a video that is used may be no pictures; nothing if nothing does.

    Args:
        folders: names of the folders that it is in, those of splits and classes aside.
        frames: names of its frames if it is a folder of them.
    """
    if frames is not None and rank_of(_stem(frames.template)) == 0:
        return f"its images are called {frames.template}"
    for name in folders:
        if _is_kind(name):
            return f"in a folder {name}"
    return ""


def _is_kind(name: str) -> bool:
    """Return whether a folder's name tells a kind of images other than pictures, and nothing else."""
    return any(len(word) > 1 for word in kind_in(name)) and all(map(str.isdigit, without_kind(name)))


def two_cameras(items: Iterable[VideoItem]) -> list[str]:
    """Return that pairs of videos of one label may be one recording by two cameras, if their names say so."""
    # Before a path, the identities of a list's rows have split and line.
    sided = {
        (_stem(name), item.label): name
        for item in items
        if ("left" in (low := item.id.lower()) or "right" in low)
        and _SIDE.search(name := item.id.rpartition(":")[2])
    }
    pairs = [
        (path, other)
        for (stem, label), path in sided.items()
        for turned in _turned(stem)
        if turned > stem and (other := sided.get((turned, label)))
    ]
    if not pairs:
        return []
    first, second = min(pairs)
    return [
        f"pairs that may be one recording by two cameras, and are used as two videos: {len(pairs)}, such as"
        f" {first} and {second}"
    ]


def doubtful(videos: Mapping[str, str]) -> list[str]:
    """Return that videos are used although their names say that they are no pictures, if any are.

    Args:
        videos: what says so, by the video's path.
    """
    if not videos:
        return []
    path = min(videos)
    return [
        f"videos that are used, and may be no pictures by their names: {len(videos)}, such as {path}"
        f" ({videos[path]})"
    ]


def _turned(path: str) -> Iterator[str]:
    """Yield a path with each of its sides turned, one at a time: a class may be called after one as well."""
    for side in _SIDE.finditer(path):
        yield path[: side.start()] + _OTHER_SIDE.get(side[0], side[0]) + path[side.end() :]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122
