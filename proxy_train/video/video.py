"""Videos to frames: by time and not by frame count, at any rate and size, from files and folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.observations import Observations
from proxy_train.video.opening import OpenVideo, open_video
from proxy_train.video.picture import Frame, picture
from proxy_train.video.shown_frames import (
    TOLERANCE,
    Shown,
    shown_frames,
    shown_images,
)
from search_space.errors import DataError

CRASHES = "decoding it crashes the decoder"
"""The fault of a video whose decoding killed the process."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The facts of a video.

    Args:
        width: width in stored pixels.
        height: height in stored pixels.
        duration: seconds; 0 if nothing tells.
        fps: frames a second, on average.
        codec: FFmpeg's name, or ``images``.
        frames: number of frames; 0 if they were not counted.
        estimated: whether no header tells ``duration``: it is from time stamps at both ends.
        turned: whether it has to be turned to be upright.
        mirrored: whether it is stored as in a mirror.
        stretched: whether its pixels are not square.
        plain: whether its pictures are all of one colour.
        variable: whether its frames are on show for different times.
        note: what is doubtful about it, or empty.
    """

    width: int
    height: int
    duration: float
    fps: float
    codec: str
    frames: int = 0
    estimated: bool = False
    turned: bool = False
    mirrored: bool = False
    stretched: bool = False
    plain: bool = False
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

    @contextmanager
    def opened(self) -> Iterator[OpenedVideo]:
        """Open the video, to read its header and its frames of one file that is opened once.

        Raises:
            DataError: the file is missing, empty, no video, or has no picture stream.
        """
        if self.files is not None:
            yield OpenedVideo(self, None)
            return
        with open_video(self.path) as file:
            yield OpenedVideo(self, file)

    def probe(self) -> VideoInfo:
        """Read the header.

        Raises:
            DataError: the file is missing, empty, no video, or has no picture stream.
        """
        with self.opened() as opened:
            return opened.header()

    def measure(self) -> VideoInfo:
        """Decode the whole video: like ``probe``, but with the duration and rate that its frames have.

        Raises:
            DataError: as ``read``.
        """
        with self.opened() as opened:
            joins_parts = opened.file is not None and opened.file.joins_parts
            return self._observed(opened.header(), opened.shown(0.0), joins_parts=joins_parts)

    def _observed(self, header: VideoInfo, pictures: Iterator[Shown], *, joins_parts: bool) -> VideoInfo:
        """Return what a header says, put right by the pictures."""
        seen = Observations(joins_parts=joins_parts)
        for shown in pictures:
            try:
                seen.add(shown)
            except (OSError, ValueError) as error:
                raise self._cannot_convert(shown, error) from error
        if not seen.frames:
            raise DataError(f"{self.path}: no frame in it")
        duration, notes = seen.duration, [header.note, *seen.notes()]
        # Sound may last a little longer.
        if not header.estimated and duration < header.duration - max(0.3, 0.03 * header.duration):
            notes.append(f"its frames end after {duration:.2f} s, its header says {header.duration:.2f} s")
        return replace(
            header,
            duration=duration,
            fps=seen.frames / duration if duration > 0 else header.fps,
            frames=seen.frames,
            turned=seen.turned,
            mirrored=seen.mirrored,
            stretched=seen.stretched,
            plain=seen.plain,
            variable=seen.variable,
            note="; ".join(filter(None, notes)),
        )

    def _cannot_convert(self, shown: Shown, error: Exception) -> DataError:
        """Return what libswscale or PyAV say of a picture as an error of the video."""
        reason, kind = getattr(error, "strerror", None) or error, shown.picture.frame.format.name
        place = f"the picture at {shown.begin:.2f} s ({kind})"
        return DataError(f"{self.path}: {place} cannot be converted: {reason}")

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
        opened: OpenedVideo | None = None,
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
            opened: this video, just opened; it is opened here otherwise.

        Raises:
            DataError: the file cannot be read, or is damaged.
        """
        reformatter = VideoReformatter()
        begin = start or 0.0
        # Times are always counted from ``begin``: a sum of parts of them would be another number.
        due, count = begin + first / fps, first
        with nullcontext(opened) if opened is not None else self.opened() as source:
            for shown in source.shown(due if seek else begin):
                # Each decoded frame is scaled once, however many times it is due.
                pixels: Frame | None = None
                while due < shown.end - TOLERANCE and (end is None or due < end - TOLERANCE):
                    if pixels is None:
                        try:
                            pixels = picture(shown.picture, size, reformatter, square=square)
                        except (OSError, ValueError) as error:
                            raise self._cannot_convert(shown, error) from error
                    yield pixels
                    count += 1
                    due = begin + count / fps
                if end is not None and due >= end - TOLERANCE:
                    return


@dataclass(frozen=True, slots=True)
class OpenedVideo:
    """A video that is open: its header and then, once, its frames.

    Args:
        video: the video.
        file: its open file; None for a folder of frames.
    """

    video: Video
    file: OpenVideo | None

    def header(self) -> VideoInfo:
        """Return what the header says; the first image's shape for a folder.

        Raises:
            DataError: the first image cannot be read.
        """
        files = self.video.files
        if files is not None:
            first = next(self.shown(0.0)).picture.frame
            return VideoInfo(
                first.width, first.height, files.count / files.fps, files.fps, "images", frames=files.count
            )
        assert self.file is not None
        return _header(self.file)

    def shown(self, start: float) -> Iterator[Shown]:
        """Yield decoded pictures from ``start`` or before, each with the seconds during which it is on show.

        Raises:
            DataError: the file cannot be read, or is damaged.
        """
        if self.file is None:
            assert self.video.files is not None
            return shown_images(self.video.path, self.video.files, start)
        return shown_frames(self.file, start)


def _header(video: OpenVideo) -> VideoInfo:
    container, stream, duration = video.container, video.stream, 0.0
    if stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration = container.duration / av.time_base
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate
    return VideoInfo(
        context.width,
        context.height,
        duration,
        float(rate or 0),
        context.name,
        estimated=video.joins_parts,
        note=video.note,
    )
