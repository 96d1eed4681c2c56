"""Videos to frames: by time and not by frame count, at any rate and size, from files and folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.picture import Frame, picture, quarter_turns
from proxy_train.video.shown_frames import TOLERANCE, folder_frames, open_video, shown_frames
from search_space.errors import DataError

CRASHES = "decoding it crashes the decoder"
"""The fault of a video whose decoding killed the process."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The facts of a video.

    Args:
        width: width in stored pixels.
        height: height in stored pixels.
        duration: seconds; 0 if a header does not tell.
        fps: frames a second, on average.
        codec: FFmpeg's name, or ``images``.
        frames: number of frames; 0 if they were not counted.
        turned: quarter turns to show it upright.
        variable: whether its frames are on show for different times.
        note: a difference between its header and its frames, or empty.
    """

    width: int
    height: int
    duration: float
    fps: float
    codec: str
    frames: int = 0
    turned: int = 0
    variable: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Video:
    """A video: a file, or a folder of its frames.

    Args:
        path: the file or the folder.
        files: names of the frames if ``path`` is a folder.
    """

    path: Path
    files: FrameFiles | None = None

    def probe(self) -> VideoInfo:
        """Read the header.

        Raises:
            DataError: the file is missing, empty, no video, or has no picture stream.
        """
        files = self.files
        if files is not None:
            first = next(folder_frames(self.path, files))[1]
            return VideoInfo(
                first.width, first.height, files.count / files.fps, files.fps, "images", frames=files.count
            )
        with open_video(self.path) as (container, stream):
            duration = 0.0
            if stream.duration is not None and stream.time_base is not None:
                duration = float(stream.duration * stream.time_base)
            elif container.duration is not None:
                duration = container.duration / av.time_base
            context = stream.codec_context
            rate = stream.average_rate or stream.guessed_rate
            return VideoInfo(context.width, context.height, duration, float(rate or 0), context.name)

    def measure(self) -> VideoInfo:
        """Decode the whole video: like ``probe``, but with the duration and rate that its frames have.

        Raises:
            DataError: as ``read``.
        """
        header = self.probe()
        times: list[float] = []
        duration, turned = 0.0, 0
        for begin, end, frame in shown_frames(self.path, 0.0, self.files):
            times.append(begin)
            duration, turned = end - times[0], quarter_turns(frame)
        if not times:
            raise DataError(f"{self.path}: no frame in it")
        note = ""
        # Sound may last a little longer.
        if duration < header.duration - max(0.3, 0.03 * header.duration):
            note = f"its frames end after {duration:.2f} s, its header says {header.duration:.2f} s"
        return VideoInfo(
            header.width,
            header.height,
            duration,
            len(times) / duration if duration > 0 else header.fps,
            header.codec,
            len(times),
            turned,
            _varies(times),
            note,
        )

    def read(
        self,
        fps: float,
        size: int,
        *,
        start: float | None = None,
        end: float | None = None,
        square: bool = True,
        limit: int | None = None,
    ) -> Frame:
        """Return the frames that :meth:`frames` yields, as one array.

        Args:
            fps: frames a second.
            size: pixels of the short side.
            start: seconds of the first frame; None is the beginning.
            end: seconds of the end, not included; None is the video's end.
            square: cut each frame to its centre square.
            limit: largest number of frames to read.

        Returns:
            uint8 of shape (frames, size, size, 3), RGB; or (frames, height, width, 3), the smaller ``size``.

        Raises:
            DataError: the file cannot be read, is damaged, or shows nothing in that time.
        """
        frames = list(islice(self.frames(fps, size, start=start, end=end, square=square), limit))
        if not frames:
            until = "its end" if end is None else f"{end:g} s"
            raise DataError(f"{self.path}: no frame between {start or 0:g} s and {until}")
        return np.stack(frames)

    def frames(
        self,
        fps: float,
        size: int,
        *,
        start: float | None = None,
        end: float | None = None,
        square: bool = True,
        first: int = 0,
        seek: bool = True,
    ) -> Iterator[Frame]:
        """Yield the frames shown at ``start``, ``start + 1 / fps``, ... before ``end``, in constant memory.

        Args:
            fps: frames a second.
            size: pixels of the short side.
            start: seconds of the first frame; None is the beginning.
            end: seconds of the end, not included; None is the video's end.
            square: cut each frame to its centre square, (size, size, 3).
            first: number of frames to leave out; the others stay what they are, at the same times.
            seek: seek to the key frame before the first frame, not only before ``start``.

        Raises:
            DataError: the file cannot be read, or is damaged.
        """
        reformatter = VideoReformatter()
        begin = start or 0.0
        # Times are always counted from ``begin``: a sum of parts of them would be another number.
        due, count = begin + first / fps, first
        for _, until, frame in shown_frames(self.path, due if seek else begin, self.files):
            # Each decoded frame is scaled once, however many times it is due.
            pixels: Frame | None = None
            while due < until - TOLERANCE and (end is None or due < end - TOLERANCE):
                pixels = picture(frame, size, reformatter, square=square) if pixels is None else pixels
                yield pixels
                count += 1
                due = begin + count / fps
            if end is not None and due >= end - TOLERANCE:
                return


def _varies(times: list[float]) -> bool:
    """Return whether the intervals between frames differ, beyond what rounding of stamps explains."""
    steps = [after - before for before, after in pairwise(times)]
    usual = median(steps) if steps else 0.0
    return any(abs(step - usual) > max(0.002, 0.1 * usual) for step in steps)
