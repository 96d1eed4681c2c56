"""Video files to frames, with PyAV: by time and not by frame count, at any rate and square size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from search_space.errors import DataError

Frame = npt.NDArray[np.uint8]
_TOLERANCE = 1e-4  # seconds: containers round time stamps, and a rounded stamp must not lose its frame


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file's header says: stored pixels, seconds and frames a second (0 if not told)."""

    width: int
    height: int
    duration: float
    fps: float
    codec: str


def probe(path: Path) -> VideoInfo:
    """Reads a video's header.

    Raises:
        DataError: the file is missing, empty, no video, or has no picture stream.
    """
    with _open(path) as (container, stream):
        duration = 0.0
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / av.time_base
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate
        return VideoInfo(context.width, context.height, duration, float(rate or 0), context.name)


def measure(path: Path) -> VideoInfo:
    """Decodes a whole video: like ``probe``, but with the duration and rate that its frames have.

    Raises:
        DataError: as for ``read_frames``.
    """
    with _open(path) as (container, stream):
        count, first, last, lasts = 0, 0.0, 0.0, 0.0
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise DataError(f"{path}: damaged at {frame.time or 0:.2f} s")
            at = frame.time if frame.time is not None else last
            first = at if count == 0 else first
            last, lasts, count = at, _lasts(frame, stream), count + 1
        if not count:
            raise DataError(f"{path}: no frame in it")
        duration = last - first + lasts
        context = stream.codec_context
        fps = count / duration if duration > 0 else float(stream.average_rate or 0)
        return VideoInfo(context.width, context.height, duration, fps, context.name)


def read_frames(
    path: Path, start: float | None, end: float | None, fps: float, size: int, *, limit: int | None = None
) -> Frame:
    """The frames shown at ``start``, ``start + 1 / fps``, ... before ``end`` (seconds; None: the file's
    ends).

    Each is scaled so that its short side is ``size`` and its centre square is kept.

    Args:
        limit: stop after so many frames.

    Returns:
        uint8 of shape (frames, size, size, 3), RGB.

    Raises:
        DataError: the file cannot be read, is damaged, or shows nothing in that stretch.
    """
    frames: list[Frame] = []
    for frame in _sampled(path, start or 0.0, end, fps, size):
        frames.append(frame)
        if limit is not None and len(frames) >= limit:
            break
    if not frames:
        raise DataError(
            f"{path}: no frame between {start or 0:g} s and {'its end' if end is None else f'{end:g} s'}"
        )
    return np.stack(frames)


def read_stream(path: Path, fps: float, size: int) -> Iterator[Frame]:
    """The frames of ``read_frames`` of the whole file, one (size, size, 3) at a time, in constant memory."""
    return _sampled(path, 0.0, None, fps, size)


def _sampled(path: Path, start: float, end: float | None, fps: float, size: int) -> Iterator[Frame]:
    """Turns decoded frames, each shown from its time stamp to the next one's, into frames at even times."""
    with _open(path) as (container, stream):
        origin = float((stream.start_time or 0) * (stream.time_base or 0))
        if start > 0:
            container.seek(int((origin + start) * av.time_base), backward=True)
        reformatter = VideoReformatter()
        shown: av.VideoFrame | None = None
        shown_at, lasts, count = 0.0, 0.0, 0
        due = start
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise DataError(f"{path}: damaged at {(frame.time or 0) - origin:.2f} s")
            at = (frame.time if frame.time is not None else origin + shown_at + lasts) - origin
            if shown is not None:
                lasts = at - shown_at
                # Each decoded frame is scaled once, however many times it is due.
                picture: Frame | None = None
                while due < at - _TOLERANCE and (end is None or due < end - _TOLERANCE):
                    picture = _picture(shown, size, reformatter) if picture is None else picture
                    yield picture
                    count += 1
                    due = start + count / fps
            if end is not None and due >= end - _TOLERANCE:
                return
            shown, shown_at = frame, at
        if shown is None:
            return
        rate = stream.average_rate
        lasts = _lasts(shown, stream) or lasts or (1 / float(rate) if rate else 1 / fps)
        stop = shown_at + lasts if end is None else min(end, shown_at + lasts)
        while due < stop - _TOLERANCE:
            yield _picture(shown, size, reformatter)
            count += 1
            due = start + count / fps


def _lasts(frame: av.VideoFrame, stream: av.VideoStream) -> float:
    duration = getattr(frame, "duration", 0) or 0
    return float(duration * (stream.time_base or 0))


def _picture(frame: av.VideoFrame, size: int, reformatter: VideoReformatter) -> Frame:
    """One frame, upright, its short side scaled to ``size``, its centre square."""
    scale = size / min(frame.width, frame.height)
    width, height = max(size, round(frame.width * scale)), max(size, round(frame.height * scale))
    shrinks = scale < 1
    scaled = reformatter.reformat(
        frame, width, height, "rgb24", interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR
    )
    pixels = scaled.to_ndarray().astype(np.uint8, copy=False)
    top, left = (height - size) // 2, (width - size) // 2
    pixels = pixels[top : top + size, left : left + size]
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns) if turns else pixels)


@contextmanager
def _open(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """An open file and its picture stream; what FFmpeg objects to becomes a DataError that names it."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    try:
        with av.open(path, metadata_errors="replace") as container:
            if not container.streams.video:
                raise DataError(f"{path}: no picture stream in it")
            stream = container.streams.video[0]
            # One thread: workers are processes, and more threads have deadlocked with FFmpeg's logging.
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: not a readable video: {error.strerror}") from error
