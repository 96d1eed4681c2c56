"""The videos that the rows of lists name, and what was found in spite of what rows say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from proxy_train.data.formats.lists.table import Row
from proxy_train.data.formats.request import Request
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import find_frames
from proxy_train.video.video import Video
from search_space.errors import DataError


class Finder:
    """The videos that lists name.

    Args:
        request: the data set.
        videos: the videos below its root.
    """

    def __init__(self, request: Request, videos: VideoIndex) -> None:
        self._root, self._frame_rate, self._videos = request.root, request.frame_rate, videos
        self._found: dict[str, Video] = {}
        self._short: list[str] = []
        self._elsewhere: list[str] = []
        self._uncounted: list[str] = []
        self._carried_over: list[str] = []
        self._away: list[str] = []

    def survey(self, rows: Sequence[Row]) -> None:
        """Look up the paths of all rows, and forget what was looked up before.

        Raises:
            DataError: all paths are absolute, and none of them is there.
        """
        if all(self._is_away(row.path) for row in rows):
            raise DataError(
                f"{rows[0].where}: {rows[0].path!r} is absolute and not there, as the paths of all lines",
                hint="write paths as they are below data.root",
            )
        self._videos.survey(map(self._somewhere, (row.path for row in rows)))
        self._found.clear()
        for told in (self._elsewhere, self._carried_over, self._away):
            told.clear()

    def count(self, path: str) -> int | None:
        """Return the number of a path's images, 0 for a file, None if there is no such path."""
        video = self._whole(path)
        if video.files is not None:
            return video.files.count
        # A folder without numbered images, such as that of a class, is no video.
        return 0 if self._exists(video.path) and not video.path.is_dir() else None

    def resolves(self, path: str) -> bool:
        """Return whether there is a video at a path."""
        return bool(path) and self._exists(self._whole(path).path)

    def video(self, row: Row) -> Video:
        """Return the video of a row, or the stretch of its images that it means."""
        video = self._whole(row.path)
        files = video.files
        if files is None:
            if row.frames is not None:
                self._uncounted.append(row.path)
            if row.offset and self._exists(video.path):
                raise DataError(
                    f"{row.where}: it begins after {row.offset} frames of a file",
                    hint="cut the file beforehand",
                )
            return video
        there = files.count - row.offset
        wanted = there if row.frames is None else row.frames
        if min(there, wanted) < 1:
            raise DataError(
                f"{row.where}: {wanted} frames after {row.offset}, but {video.path} has {files.count} images",
                hint="correct the line",
            )
        if wanted > there:
            self._short.append(f"{row.path} ({there} of {wanted})")
        return Video(video.path, replace(files, offset=files.offset + row.offset, count=min(there, wanted)))

    def notes(self) -> list[str]:
        """Return what was found in spite of what lists say."""
        kinds = {
            "folders with fewer images than their lists say": self._short,
            "numbers of frames that are not used, for there is no folder of frames": self._uncounted,
            "paths found in another folder, or with another suffix, case or slash": self._elsewhere,
            "absolute paths of another machine, found below the folder of the same name": self._carried_over,
            "absolute paths that are not there; write them as they are below data.root": self._away,
        }
        return [f"{what}: {len(cases)}, such as {cases[0]}" for what, cases in kinds.items() if cases]

    def _whole(self, path: str) -> Video:
        found = self._found.get(path)
        if found is None:
            found = self._found[path] = self._located(path)
        return found

    def _located(self, path: str) -> Video:
        place = self._root / path
        found = self._indexed(path)
        if found is not None:
            if found.path != place:
                self._elsewhere.append(f"{path} as {found.path}")
            return found
        carried = self._carried(path)
        if carried is not None:
            self._carried_over.append(f"{path} as {carried.path}")
            return carried
        if self._is_away(path):
            self._away.append(path)
        frames: FrameFiles | None = None
        if self._exists(place) and place.is_dir():
            frames = find_frames(place, self._frame_rate)
        return Video(place, frames)

    def _is_away(self, path: str) -> bool:
        """Return whether a path is absolute, and neither there nor found below the root."""
        return _is_whole(path) and not self._exists(self._root / path) and self._somewhere(path) is None

    def _somewhere(self, path: str) -> Video | None:
        found = self._indexed(path)
        return self._carried(path) if found is None else found

    def _carried(self, path: str) -> Video | None:
        """Return the video of an absolute path of another machine, below a folder that is called as the root.

        ``C:\\data\\actions\\run\\1.mp4`` is ``run/1.mp4`` of ``/home/me/actions``.
        """
        if not _is_whole(path):
            return None
        parts = re.split(r"[\\/]+", path)
        name = self._root.resolve().name
        ends = ["/".join(parts[at + 1 :]) for at, part in enumerate(parts[:-1]) if part == name]
        found = (self._videos.find_path(end, unique=True) for end in ends if end)
        return next((video for video in found if video is not None), None)

    def _indexed(self, path: str) -> Video | None:
        if Path(path).is_absolute():
            return self._videos.find_exact(self._root / path)
        return self._videos.find_path(path, unique=True)

    @staticmethod
    def _exists(path: Path) -> bool:
        try:
            return path.exists()
        except (OSError, ValueError):  # too long for a name, or with a zero byte
            return False


def _is_whole(path: str) -> bool:
    """Return whether a path is absolute, here or in Windows."""
    return Path(path).is_absolute() or PureWindowsPath(path).is_absolute()
