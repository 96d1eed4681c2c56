"""The videos of a data set by name, however its folders are arranged or spelled."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.modalities import doubt, doubtful, find_beside
from proxy_train.data.formats.tree import VIDEOS, Contents, walk
from proxy_train.data.labels import plain
from proxy_train.video.frame_folder import SortedImages, names_against, rank_of, sort_images
from proxy_train.video.video import Video

_AT_A_TIME = 10_000  # names, of half a million
# How a row names a video, from the exact to the loose: a looser name does not get the video of a better one.
_AT_PATH, _BELOW, _OTHER_SUFFIX, _BY_NAME, _OTHER_CASE = range(5)
_SEEN = Video(Path())
"""Stands for any video while rows are surveyed: making hundreds of thousands takes seconds."""


class VideoIndex:
    """Every video file and every folder of numbered images below ``root``, by name.

    Folders are followed through links, each once; names that start with a dot are left out.

    Args:
        root: the folder of the videos.
        frame_rate: frames a second of folders of images.

    Raises:
        DataError: a folder cannot be read.
    """

    def __init__(self, root: Path, frame_rate: float) -> None:
        self._root, self._frame_rate = str(root), frame_rate
        # Nearly every name belongs to one video: lists for all of them would take more memory than the names.
        self._paths: dict[str, str] = {}
        self._more: dict[str, list[str]] = {}
        self._folders: dict[str, SortedImages | None] = {}
        self._parents: dict[str, Path] = {}
        self._used: set[str] = set()
        self._spellings: dict[str, str] | None = None
        self._more_spellings: dict[str, list[str]] = {}
        self._respelled: dict[str, str] = {}
        self._doubted: dict[str, str] = {}
        self._named: dict[str, int] = {}
        self._surveying = False
        self._refused: dict[str, str] = {}
        self._rest: list[Contents] = []
        self._has_second_ways = False
        for contents in walk(root):
            folder = str(contents.folder)
            self._has_second_ways |= contents.is_second_way
            if contents.is_video:
                self._folders[folder] = None
                self._enter(contents.below[-1], folder)
            below = "" if folder == "." else f"{folder.rstrip('/')}/"
            for name in contents.videos:
                self._enter(name[: name.rindex(".")], below + name)
            apart = contents.hidden or contents.previews or contents.no_files or contents.reason
            if apart or contents.others or (contents.images and not contents.is_video):
                self._rest.append(contents)

    def _enter(self, name: str, path: str) -> None:
        if self._paths.setdefault(name, path) != path:
            self._more.setdefault(name, []).append(path)

    def survey(self, lookups: Iterable[object]) -> None:
        """Note which row names each video best, so that later no other row gets it by a looser match.

        What was looked up before is forgotten.

        Args:
            lookups: the look-ups of all rows of all splits, done as they are drawn.
        """
        self._surveying = True
        for _ in lookups:
            pass
        self._surveying = False
        self._used.clear()
        self._respelled.clear()

    def find(self, name: str, *, below: str = "") -> Video | None:
        """Return the video of a name (without folder and suffix), or None.

        A name that no video has is looked for in another case, as long as only one video fits, and no other
        row names that one exactly (see ``survey``).

        Args:
            name: the name.
            below: folder to prefer among several videos of that name, in any spelling (see ``plain``).
        """
        path = self._paths.get(name)
        if path is None:
            alike = [each for spelled in self._spelled(name) for each in self._all(spelled)]
            if len(alike) != 1:
                return None
            return self._unless_named_better(alike[0], name, _OTHER_CASE)
        if name in self._more:
            paths = self._all(name)
            path = self._likeliest([each for each in paths if plain(_parent(each)) == plain(below)] or paths)
        return self._unless_named_better(path, name, _BY_NAME)

    def find_any(self, names: Iterable[str], *, below: str = "") -> Video | None:
        """Return the video of the first of several names that has one, or None; see ``find``."""
        for name in names:
            video = self.find(name, below=below)
            if video is not None:
                return video
        return None

    def find_path(self, relative: str, *, unique: bool = False) -> Video | None:
        """Return the video at a path below ``root`` or below one of its folders, or None.

        Suffixes may differ, and so may case as long as only one video fits, if no other row names that video
        better (see ``survey``). Backslashes are those of Windows where no name has them.

        Args:
            relative: the path.
            unique: return None where several folders of ``root`` have such a path, and itself has none.
        """
        wanted = os.path.normpath(relative)
        names = dict.fromkeys((_stem(os.path.basename(wanted)), os.path.basename(wanted)))  # noqa: PTH119
        paths = list(chain.from_iterable(map(self._all, names)))
        exact = str(Path(self._root, wanted))
        if exact in paths:
            return self._unless_named_better(exact, relative, _AT_PATH)
        # Each folder is walked once: a path may lead through a link to where its video is known by another.
        linked = self.find_exact(Path(exact)) if self._has_second_ways else None
        if linked is not None:
            return linked
        fitting = [path for path in paths if _ends_with(path, wanted)]
        if fitting:
            if unique and len(fitting) > 1:
                return None
            path = self._likeliest(fitting)
            rank = _BELOW if f"/{path}".endswith(f"/{wanted}") else _OTHER_SUFFIX
            return self._unless_named_better(path, relative, rank)
        alike = [
            path
            for name in dict.fromkeys(chain.from_iterable(map(self._spelled, names)))
            for path in self._all(name)
            if _ends_with(path.casefold(), wanted.casefold())
        ]
        if not alike and "\\" in relative:
            return self.find_path(relative.replace("\\", "/"), unique=unique)
        return self._unless_named_better(alike[0], relative, _OTHER_CASE) if len(alike) == 1 else None

    def find_exact(self, path: Path) -> Video | None:
        """Return the video at an absolute path, in whatever way ``root`` is written; None if it has none."""
        try:
            below = os.path.relpath(os.path.realpath(path.parent), os.path.realpath(self._root))
        except (OSError, ValueError):
            return None
        exact = str(Path(self._root, below, path.name))
        names = (_stem(path.name), path.name)
        if not any(exact in self._all(name) for name in names):
            return None
        return self._unless_named_better(exact, str(path), _AT_PATH)

    def images_beside(self, path: Path) -> SortedImages | None:
        """Return the images of a video that is a folder; None for a file."""
        return self._sorted(str(path)) if str(path) in self._folders else None

    def leave_out(self, listing: Listing, reason: str, read: Collection[Path]) -> None:
        """Name in a listing everything that was not looked up, and names that were found in another case.

        Args:
            listing: the listing to name it in.
            reason: the reason why a video is not used.
            read: the annotations that are read: every other file is named.
        """
        unused: list[tuple[str, str]] = []
        for name, path in self._paths.items():
            if path in self._used and name not in self._more:
                continue
            paths = self._all(name)
            used = next((path for path in paths if path in self._used), None)
            why = f"another video of this name is used: {used}" if used else reason
            unused += [(path, why) for path in paths if path not in self._used]
        for path, why in sorted(unused):
            listing.drop(str(Path(path)), why)
        for contents in self._rest:
            listing.leave_files(contents, read)
            listing.leave_rest(contents)
        for folder, images in self._folders.items():
            if images is not None:
                listing.leave_images(Path(folder), images.others)
        self._tell_doubts(listing)
        if self._respelled:
            name, path = next(iter(self._respelled.items()))
            count = len(self._respelled)
            listing.note(f"names matched ignoring case: {count}, such as {name} with {path}")
        if self._refused:
            path, name = next(iter(self._refused.items()))
            listing.note(
                f"videos that one row names exactly, and another in another spelling, which is missing:"
                f" {len(self._refused)}, such as {path}, not {name}"
            )

    def _tell_doubts(self, listing: Listing) -> None:
        """Tell of videos that are used, as annotations say, and may be no pictures by their names."""
        folders: dict[str, str] = {}
        for folder in self._parents:
            parts = folder.removeprefix(self._root).split("/")
            folders[folder] = doubt([name for name in parts if name not in listing.classes])
        suspected: dict[str, list[str]] = {}
        doubted = {folder: reason for folder, reason in folders.items() if reason}
        used = iter(self._used)
        while paths := list(islice(used, _AT_A_TIME)):
            for path in paths if doubted else ():
                if reason := doubted.get(_directory(path)):
                    self._doubted.setdefault(path, reason)
            for number in names_against([path[path.rfind("/") + 1 :] for path in paths]):
                if (folder := _directory(paths[number])) not in doubted:
                    suspected.setdefault(folder, []).append(paths[number])
        for folder, doubtful_paths in suspected.items():
            # To look through the names of all videos would take longer than to read this folder again.
            names = os.listdir(folder)  # noqa: PTH208
            beside = {stem: name for name in names if (stem := _stem(name)) in self._paths}
            stems = {_stem(path[len(folder) :]): path for path in doubtful_paths}
            for stem, other in find_beside(beside, stems).items():
                self._doubted.setdefault(stems[stem], f"{folder}{beside[other]} is beside it")
        listing.notes += doubtful(self._doubted)

    def _unless_named_better(self, path: str, name: str, rank: int) -> Video | None:
        """Return the video at a path, or None if another row names it better than this name does."""
        best = self._named.get(path, rank)
        if self._surveying:
            self._named[path] = min(best, rank)
            return _SEEN
        if best < rank:
            self._refused[path] = name
            return None
        self._used.add(path)
        if rank == _OTHER_CASE:
            self._respelled[name] = path
        return self._video(path)

    def _likeliest(self, paths: Sequence[str]) -> str:
        """Return the path whose folders' names speak for pictures, not for optical flow; else the first."""
        return max(paths, key=lambda path: rank_of(_directory(path).removeprefix(self._root)))

    def _all(self, name: str) -> list[str]:
        """Return the paths of all videos of a name."""
        path = self._paths.get(name)
        return [] if path is None else [path, *self._more.get(name, ())]

    def _spelled(self, name: str) -> list[str]:
        """Return the names of videos that differ from a name in case alone."""
        if self._spellings is None:
            self._spellings = {}
            for each in self._paths:
                first = self._spellings.setdefault(each.casefold(), each)
                if first != each:
                    self._more_spellings.setdefault(each.casefold(), []).append(each)
        folded = name.casefold()
        first_spelling = self._spellings.get(folded)
        return [] if first_spelling is None else [first_spelling, *self._more_spellings.get(folded, ())]

    def _video(self, path: str) -> Video:
        images = self._sorted(path) if path in self._folders else None
        name = path[path.rfind("/") + 1 :]
        folder = path[: len(path) - len(name)]
        parent = self._parents.get(folder)
        if parent is None:
            parent = self._parents[folder] = Path(folder)
        frames = images.frames if images else None
        if frames is not None and (reason := doubt((), frames)):
            self._doubted[path] = reason
        return Video(parent / name, frames)

    def _sorted(self, path: str) -> SortedImages:
        """Return the images of a folder; many parts of a video ask for the same one."""
        found = self._folders[path]
        if found is None:
            found = self._folders[path] = sort_images(Path(path), self._frame_rate)
        return found


def _ends_with(path: str, wanted: str) -> bool:
    return f"/{path}".endswith(f"/{wanted}") or f"/{_stem(path)}".endswith(f"/{_stem(wanted)}")


def _stem(path: str) -> str:
    stem, suffix = os.path.splitext(path)  # noqa: PTH122
    return stem if suffix.lower() in VIDEOS else path


def _directory(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _parent(path: str) -> str:
    return _directory(path).rstrip("/").rpartition("/")[2]
