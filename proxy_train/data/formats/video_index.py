"""The videos of a data set by name, however its folders are arranged or spelled."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy_train.video.frame_folder import SUFFIXES as IMAGES
from proxy_train.video.frame_folder import find_frames
from proxy_train.video.video import Video

_MPEG = {".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
VIDEOS = frozenset(_MPEG | {".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".gif"})


class VideoIndex:
    """Every video file and every folder of numbered images below ``root``, by name.

    Folders are followed through links, each once; names that start with a dot are left out.

    Args:
        root: the folder of the videos.
        frame_rate: frames a second of folders of images.
    """

    def __init__(self, root: Path, frame_rate: float) -> None:
        self._root, self._frame_rate = root, frame_rate
        self._paths: dict[str, list[Path]] = {}
        self._folders: set[Path] = set()
        self._used: set[Path] = set()
        for contents in walk(root):
            if contents.is_video:
                self._paths.setdefault(contents.folder.name, []).append(contents.folder)
                self._folders.add(contents.folder)
            for name in contents.videos:
                self._paths.setdefault(Path(name).stem, []).append(contents.folder / name)

    def find(self, name: str, *, below: str = "") -> Video | None:
        """Return the video of a name (without folder and suffix), or None.

        Args:
            name: the name.
            below: folder to prefer among several videos of that name, in any spelling (see ``plain``).
        """
        paths = self._paths.get(name)
        if not paths:
            return None
        path = next((path for path in paths if plain(path.parent.name) == plain(below)), paths[0])
        # All of them are accounted for: copies of one video are one video.
        self._used.update(paths)
        return Video(path, find_frames(path, self._frame_rate) if path in self._folders else None)

    def find_path(self, relative: str) -> Video | None:
        """Return the video at a path below ``root`` or below one of its folders, or None."""
        wanted = Path(relative)
        for path in self._paths.get(wanted.stem, []) + self._paths.get(wanted.name, []):
            if (
                path.with_suffix("").parts[-len(wanted.parts) :] == wanted.with_suffix("").parts
                or path.parts[-len(wanted.parts) :] == wanted.parts
            ):
                self._used.add(path)
                return Video(path, find_frames(path, self._frame_rate) if path in self._folders else None)
        return None

    def unused(self) -> Iterator[Path]:
        """Return the videos that were not looked up."""
        every = (path for paths in self._paths.values() for path in paths)
        return (path for path in sorted(every) if path not in self._used)


@dataclass(frozen=True, slots=True)
class Contents:
    """The sorted names of the files of a folder; ``is_video``: its images are the frames of a video."""

    folder: Path
    videos: list[str]
    images: list[str]
    others: list[str]
    is_video: bool


def walk(root: Path) -> Iterator[Contents]:
    """Yield every folder below ``root`` and itself, through links too, each once, in sorted order."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        stat = os.stat(folder)  # noqa: PTH116 - a plain call, made for every folder
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = sorted(name for name in files if not name.startswith("."))
        videos = [name for name in shown if _suffix(name) in VIDEOS]
        images = [name for name in shown if _suffix(name) in IMAGES]
        others = [name for name in shown if _suffix(name) not in VIDEOS | IMAGES]
        numbered = any(os.path.splitext(name)[0][-1:].isdigit() for name in images)  # noqa: PTH122
        frames = numbered and not videos and not folders and folder != str(root)
        yield Contents(Path(folder), videos, images, others, frames)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - millions of names


def plain(name: str) -> str:
    """Return a class name in one spelling: without case, quotes, brackets and underscores.

    ``"massaging person's head"`` and ``massaging_persons_head`` are the same, and so are ``petting animal
    (not cat)`` and ``petting_animal_not_cat``.
    """
    return " ".join(re.sub(r"[\"'’`()\[\]{}]", "", name.lower()).replace("_", " ").split())
