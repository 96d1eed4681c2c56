"""The names of frames in a folder, and the stamp by which a changed file is noticed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """The names of a video's frames in a folder.

    Args:
        template: printf-style, such as ``frame_%010d.jpg``.
        offset: number of the first frame.
        count: number of frames.
        fps: frames a second at which they were taken.
    """

    template: str
    offset: int
    count: int
    fps: float

    def name(self, frame: int) -> str:
        """Return the file name of a frame, counted from the first one, which is 0."""
        return self.template % (self.offset + frame)


def stamp(path: Path) -> tuple[str, int, int]:
    """Return path, size and time of a file, or of a folder's list of files; -1 if it does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), stat.st_size, stat.st_mtime_ns
