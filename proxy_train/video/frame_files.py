"""The names of frames in a folder, and the stamp by which a changed file is noticed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """The names of a video's frames in a folder.

    Args:
        template: printf-style, such as ``frame_%010d.jpg``.
        offset: number of the first frame.
        count: number of frames.
        fps: frames a second at which they were taken.
        mixed_case: whether some of them are spelled in another case than ``template``.
    """

    template: str
    offset: int
    count: int
    fps: float
    mixed_case: bool = False

    def name(self, frame: int) -> str:
        """Return the file name of a frame, counted from the first one, which is 0."""
        return self.template % (self.offset + frame)

    def facts(self) -> list[Any]:
        """Return the arguments as JSON values, to identify or to remember the files by."""
        # Data that was prepared before there was such a thing has no word for it.
        return [self.template, self.offset, self.count, self.fps, *([True] if self.mixed_case else [])]


def stamp(path: Path) -> tuple[str, int, int]:
    """Return path, size and time of a file, or of a folder's list of files; -1 if it does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), stat.st_size, stat.st_mtime_ns
