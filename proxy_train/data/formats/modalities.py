"""Optical flow, depth and masks beside the videos' pictures, and second cameras, told by name."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proxy_train.data.dataset import VideoItem
from proxy_train.data.formats.tree import Contents
from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import kind_in, names_against, rank_of, without_kind

# Words that videos of people have in their names as well.
_WEAK = frozenset({"alpha", "edge", "edges", "label", "mask", "masks", "normal", "normals", "pose", "thumb"})
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


def find_beside(names: Collection[str], against: Collection[str]) -> dict[str, str]:
    """Return those of a folder's videos that are no pictures, each with the one that has these.

    ``clip1_depth`` is none beside ``clip1`` or ``clip1_rgb``: its name is the same but for a word.

    Args:
        names: names of a folder's video files, without suffix, and of its folders of frames.
        against: those of them that speak against pictures (see ``names_against``).
    """
    every = sorted(names) if against else []
    lowered = [name.lower() for name in every]
    found: dict[str, str] = {}
    for name in against:
        key = without_kind(name)
        # Nearly all names are other ones, which a part of the name tells at once.
        part = max(key, key=len, default="")
        for other, low in zip(every, lowered, strict=True):
            if part in low and not _words(other) and without_kind(other) == key:
                found[name] = other
    return found


Way = tuple[str, ...]
"""The names of the folders from the root to a file, and its own."""


def find_files_beside(every: Sequence[Contents], above: int) -> tuple[dict[Way, str], dict[Way, str]]:
    """Return the video files and folders of frames that are no pictures by their names, and doubtful ones.

    Each comes with the reason. A word such as ``normal`` tells only where half of the pictures beside have
    such a twin, and twice at least; a word of a class's name tells nothing within it. Videos without pictures
    are left out as well if they are fewer than those with them.

    Args:
        every: the folders of a data set.
        above: number of folders above the videos that tell split and class.
    """
    found: dict[Way, str] = {}
    doubted: dict[Way, str] = {}
    for kind in _kinds(every, above).values():
        for key, other in kind.twins.items():
            if kind.tells:
                found[key] = f"no pictures by its name; those are in {other}"
            else:
                doubted[key] = f"{other} is beside it"
        if kind.tells:
            reason = f"as {_stem(next(iter(kind.twins))[-1])} beside those of another video"
            if len(kind.alone) < len(kind.twins):
                found |= dict.fromkeys(kind.alone, f"no pictures by its name, {reason}")
            else:
                doubted |= dict.fromkeys(kind.alone, reason)
    return found, doubted


@dataclass
class _Kind:
    """What the names of a data set have to do with some words that speak against pictures.

    Args:
        words: the words.
        twins: videos with them, each with the name of its pictures beside it.
        alone: videos with them that have no pictures beside.
        pictures: number of videos without such words in the same folders.
    """

    words: frozenset[str]
    twins: dict[Way, str] = field(default_factory=dict)
    alone: list[Way] = field(default_factory=list)
    pictures: int = 0

    @property
    def tells(self) -> bool:
        """Whether the words mean what the images are."""
        if self.words <= _WEAK:
            return len(self.twins) > 1 and 2 * len(self.twins) >= self.pictures
        return bool(self.twins)


def _kinds(every: Sequence[Contents], above: int) -> dict[frozenset[str], _Kind]:
    found: dict[frozenset[str], _Kind] = {}
    for folder, names in _video_names(every).items():
        known = list(names)
        against = [known[number] for number in names_against(known)]
        beside = find_beside(names, against)
        meant = frozenset[str]().union(*map(kind_in, folder[:above]))
        seen: set[frozenset[str]] = set()
        for name in against:
            if (words := _words(name)) & meant:
                continue
            kind = found.setdefault(words, _Kind(words))
            if words not in seen:
                seen.add(words)
                kind.pictures += len(names) - len(against)
            ways = [(*folder, file) for file in names[name]]
            if name in beside:
                kind.twins |= dict.fromkeys(ways, names[beside[name]][0])
            else:
                kind.alone += ways
    return found


def _video_names(every: Sequence[Contents]) -> dict[Way, dict[str, list[str]]]:
    """Return the names of the videos in each folder, without suffix, each with those of its files."""
    videos: dict[Way, dict[str, list[str]]] = {}
    for contents in every:
        if contents.is_video:
            name = contents.below[-1]
            videos.setdefault(contents.below[:-1], {}).setdefault(name, []).append(name)
        for name in contents.videos:
            videos.setdefault(contents.below, {}).setdefault(_stem(name), []).append(name)
    return videos


def _words(name: str) -> frozenset[str]:
    """Return the words of several letters that speak against pictures."""
    return frozenset(word for word in kind_in(name) if len(word) > 1)


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
