"""How folders name the frames of a video, and what changes when a video's file does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """How a folder names the frames of a video.

    Args:
        template: printf-style, such as ``frame_%010d.jpg``.
        offset: number of the first frame.
        count: how many there are.
        fps: frames a second at which they were taken.
    """

    template: str
    offset: int
    count: int
    fps: float

    def name(self, frame: int) -> str:
        """File name of the frame that many frames after the first."""
        return self.template % (self.offset + frame)


def stamp(path: Path) -> tuple[str, int, int]:
    """What changes when a file does, or a folder's list of files: path, size and time; -1 if it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), stat.st_size, stat.st_mtime_ns
