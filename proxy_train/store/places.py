"""Where clips are in their videos, and the frames there.

That is a line of JSON a video, in a file that all processes of a machine map together: data sets that are too
large to be stored as frames have hundreds of thousands of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy_train.data.dataset import VideoItem
from proxy_train.store.decoding import Place
from proxy_train.video.frame_files import FrameFiles, stamp
from proxy_train.video.reading import read_stream
from search_space.errors import DataError
from search_space.files import replacing

Pixels = npt.NDArray[np.uint8]


class LostVideoError(DataError):
    """A video that was readable when the data was prepared is not what it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the clips of a split are in their videos.

    Args:
        text: the file's bytes, mapped.
        ends: of its lines: int64 (videos,).
        fps: frames a second.
        side: pixels of a frame's short side.
    """

    text: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    fps: float
    side: int

    @staticmethod
    def write(path: Path, items: Iterable[VideoItem], places: Iterable[Place]) -> int:
        """Writes the file; its CRC-32 is what ``open`` asks for."""
        lines = []
        for item, (begin, steady, size, time) in zip(items, places, strict=True):
            files = item.frames
            names = None if files is None else [files.template, files.offset, files.count, files.fps]
            lines.append(json.dumps([str(item.path), begin, item.end, names, steady, size, time]) + "\n")
        content = "".join(lines).encode()
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        return zlib.crc32(content)

    @classmethod
    def open(cls, path: Path, crc: int, fps: float, side: int) -> Places:
        """Maps the file.

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

    def entry(self, row: int) -> list[Any]:
        """Of a video: path, begin and end of what is kept (seconds), names of its frames, whether a seek is
        safe, size and time of the file."""
        first = int(self.ends[row - 1]) + 1 if row else 0
        found: list[Any] = json.loads(self.text[first : int(self.ends[row])].tobytes())
        return found

    def read(self, row: int, first: int, count: int, *, square: bool = True) -> list[Pixels]:
        """Frames ``first`` and on of what is kept of a video.

        Returns:
            uint8 (side, side, 3) of each; or of whole frames (height, width, 3), the smaller ``side``.

        Raises:
            LostVideoError: the video is not what it was when the data was prepared.
        """
        name, begin, end, names, steady, *was = self.entry(row)
        path, files = Path(name), None if names is None else FrameFiles(*names)
        try:
            found = stamp(path)
            if found[1:] != (-1, -1) and list(found[1:]) != was:
                raise DataError(f"{path}: it has changed since the data was prepared")
            read: list[Pixels] = []
            # How long the last frame is on show may be known only from those before it.
            for seek in (True, False) if steady is not False else (False,):
                if len(read) < count:
                    frames = read_stream(
                        path,
                        self.fps,
                        self.side,
                        start=begin,
                        end=end,
                        files=files,
                        square=square,
                        first=first,
                        seek=seek,
                    )
                    read = list(islice(frames, count))
            if len(read) < count:
                raise DataError(f"{path}: {len(read)} frames are left of {count} from frame {first} on")
        except DataError as error:
            raise LostVideoError(
                error.message, hint="put the video back as it was, and start again: what is done is kept"
            ) from error
        return read
