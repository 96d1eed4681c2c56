"""The origins of clips in their videos, and the frames there.

An origin is a line of JSON, in a file that all processes of a machine map together: data sets that are too
large to be stored as frames have hundreds of thousands of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from proxy_train.data.dataset import VideoItem
from proxy_train.store.decoding import KeptPart
from proxy_train.video.frame_files import FrameFiles, stamp
from proxy_train.video.video import Video
from search_space.errors import DataError
from search_space.files import replacing

Pixels = npt.NDArray[np.uint8]


class LostVideoError(DataError):
    """A video that was readable when the data was prepared is not what it was."""


class ClipOrigin(NamedTuple):
    """A clip's place in its video.

    Attributes:
        path: the video file, or the folder of its frames.
        begin: seconds at which the kept frames begin.
        end: seconds at which the video's item ends; None is the video's end.
        files: names of the frames if ``path`` is a folder.
        seek_is_exact: whether a seek leads to the same frames as decoding in a row; None if that is unknown.
        size: bytes of the file when it was decoded.
        modified: nanoseconds at which the file was changed last before it was decoded.
    """

    path: Path
    begin: float
    end: float | None
    files: FrameFiles | None
    seek_is_exact: bool | None
    size: int
    modified: int

    @property
    def line(self) -> str:
        """One line of JSON that :meth:`parse` reads."""
        files = self.files
        names = None if files is None else files.facts()
        return json.dumps([str(self.path), self.begin, self.end, names, *self[4:]])

    @classmethod
    def parse(cls, line: bytes) -> ClipOrigin:
        """Read :attr:`line`. Called for every clip of every batch, of lines whose checksum is right."""
        path, begin, end, names, *rest = json.loads(line)
        return cls(Path(path), begin, end, None if names is None else FrameFiles(*names), *rest)


@dataclass(frozen=True, slots=True, eq=False)
class ClipOrigins:
    """The origins of the clips of a split.

    Args:
        text: bytes of the file, mapped.
        ends: ends of its lines: int64 (videos,).
        fps: frames a second.
        side: pixels of a frame's short side.
    """

    text: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    fps: float
    side: int

    @staticmethod
    def write(path: Path, items: Iterable[VideoItem], parts: Iterable[KeptPart]) -> int:
        """Write the file, and return its CRC-32, which ``open`` asks for.

        Args:
            path: the file.
            items: the videos of the split.
            parts: the part that is kept of each video.
        """
        origins = (
            ClipOrigin(item.path, part.begin, item.end, item.frames, *part[1:])
            for item, part in zip(items, parts, strict=True)
        )
        content = "".join(f"{origin.line}\n" for origin in origins).encode()
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        return zlib.crc32(content)

    @classmethod
    def open(cls, path: Path, crc: int, fps: float, side: int) -> ClipOrigins:
        """Map the file.

        Raises:
            DataError: it is missing or damaged.
        """
        try:
            text = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: damaged: {error}", hint="prepare the data set again") from error
        if zlib.crc32(text.data) != crc:
            raise DataError(f"{path}: damaged", hint="prepare the data set again")
        return cls(text, np.flatnonzero(text == ord("\n")), fps, side)

    def origin(self, row: int) -> ClipOrigin:
        """Return the origin of the clip of a row."""
        first = int(self.ends[row - 1]) + 1 if row else 0
        return ClipOrigin.parse(self.text[first : int(self.ends[row])].tobytes())

    def read(self, row: int, first: int, count: int, *, square: bool = True) -> list[Pixels]:
        """Decode frames of a clip.

        Args:
            row: row of the clip.
            first: number of the first frame, counted from the beginning of the kept part.
            count: number of frames.
            square: cut each frame to its centre square.

        Returns:
            uint8 (side, side, 3) of each; or of whole frames (height, width, 3), the smaller ``side``.

        Raises:
            LostVideoError: the video is not what it was when the data was prepared.
        """
        origin = self.origin(row)
        try:
            _, size, modified = stamp(origin.path)
            if (size, modified) not in ((-1, -1), (origin.size, origin.modified)):
                raise DataError(f"{origin.path}: it has changed since the data was prepared")
            frames: list[Pixels] = []
            # How long the last frame is on show may be known only from those before it.
            for seek in (True, False) if origin.seek_is_exact is not False else (False,):
                if len(frames) < count:
                    stream = Video(origin.path, origin.files).frames(
                        self.fps,
                        self.side,
                        start=origin.begin,
                        end=origin.end,
                        square=square,
                        first=first,
                        seek=seek,
                    )
                    frames = list(islice(stream, count))
            if len(frames) < count:
                raise DataError(
                    f"{origin.path}: {len(frames)} frames are left of {count} from frame {first} on"
                )
        except DataError as error:
            raise LostVideoError(
                error.message, hint="put the video back as it was, and start again: what is done is kept"
            ) from error
        return frames
