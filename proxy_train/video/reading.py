"""Videos to frames: by time and not by frame count, at any rate and size; files with PyAV, folders of images.

Headers are not believed: lengths and rates are those of the frames, and what a file cannot show is an error
that names it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import av.error
import av.stream
import numpy as np
from av.video.reformatter import VideoReformatter

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import images
from proxy_train.video.picture import Frame, picture, quarter_turns
from search_space.errors import DataError

CRASHES = "decoding it crashes the decoder"
"""The fault of a video whose decoding killed the process."""
_TOLERANCE = 6e-4  # seconds: Matroska rounds time stamps to 1 ms, and a rounded stamp must not lose its frame


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video.

    Args:
        width: in stored pixels.
        height: in stored pixels.
        duration: seconds; 0 if a header does not tell.
        fps: frames a second, on average.
        codec: FFmpeg's name, or ``images``.
        frames: how many; 0 if they were not counted.
        turned: quarter turns to show it upright.
        variable: its frames are on show for different times.
        note: in what its header disagrees with its frames, or empty.
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


def probe_video(path: Path, files: FrameFiles | None = None) -> VideoInfo:
    """Reads a video's header.

    Raises:
        DataError: the file is missing, empty, no video, or has no picture stream.
    """
    if files is not None:
        first = next(_folder_frames(path, files))[1]
        return VideoInfo(
            first.width, first.height, files.count / files.fps, files.fps, "images", frames=files.count
        )
    with _open(path) as (container, stream):
        duration = 0.0
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / av.time_base
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate
        return VideoInfo(context.width, context.height, duration, float(rate or 0), context.name)


def measure_video(path: Path, files: FrameFiles | None = None) -> VideoInfo:
    """Decodes a whole video: like ``probe``, but with the duration and rate that its frames have.

    Raises:
        DataError: as for ``read_frames``.
    """
    told = probe_video(path, files)
    times: list[float] = []
    duration, turned = 0.0, 0
    for at, until, frame in _spans(path, 0.0, files):
        times.append(at)
        duration, turned = until - times[0], quarter_turns(frame)
    if not times:
        raise DataError(f"{path}: no frame in it")
    fps = len(times) / duration if duration > 0 else told.fps
    note = ""
    # Sound may last a little longer.
    if duration < told.duration - max(0.3, 0.03 * told.duration):
        note = f"its frames end after {duration:.2f} s, its header says {told.duration:.2f} s"
    return VideoInfo(
        told.width,
        told.height,
        duration,
        fps,
        told.codec,
        len(times),
        turned,
        _varies(times),
        note,
    )


def read_frames(
    path: Path,
    start: float | None,
    end: float | None,
    fps: float,
    size: int,
    *,
    limit: int | None = None,
    files: FrameFiles | None = None,
    square: bool = True,
) -> Frame:
    """The frames shown at ``start``, ``start + 1 / fps``, ... before ``end`` (seconds; None: the file's
    ends).

    Each is scaled so that its short side is ``size``, and its centre square is kept.

    Args:
        limit: stop after so many frames.
        files: ``path`` is a folder of images with these names.
        square: keep whole frames instead if it is False.

    Returns:
        uint8 of shape (frames, size, size, 3), RGB; or (frames, height, width, 3), the smaller ``size``.

    Raises:
        DataError: the file cannot be read, is damaged, or shows nothing in that stretch.
    """
    frames: list[Frame] = []
    for frame in _sampled(path, start or 0.0, end, fps, size, files, square=square):
        frames.append(frame)
        if limit is not None and len(frames) >= limit:
            break
    if not frames:
        raise DataError(
            f"{path}: no frame between {start or 0:g} s and {'its end' if end is None else f'{end:g} s'}"
        )
    return np.stack(frames)


def read_stream(
    path: Path,
    fps: float,
    size: int,
    *,
    start: float | None = None,
    end: float | None = None,
    files: FrameFiles | None = None,
    square: bool = True,
    first: int = 0,
    seek: bool = True,
) -> Iterator[Frame]:
    """The frames of ``read_frames``, one (size, size, 3) at a time, in constant memory.

    Args:
        square: keep whole frames instead if it is False.
        first: leave out so many; the others stay what they are, at the same times.
        seek: to the key frame before the first one, not only before ``start``.
    """
    return _sampled(path, start or 0.0, end, fps, size, files, square=square, first=first, seek=seek)


def _sampled(
    path: Path,
    start: float,
    end: float | None,
    fps: float,
    size: int,
    files: FrameFiles | None,
    *,
    square: bool,
    first: int = 0,
    seek: bool = True,
) -> Iterator[Frame]:
    """Turns decoded frames, each shown from its time stamp to the next one's, into frames at even times."""
    reformatter = VideoReformatter()
    # Times are always counted from ``start``: a sum of parts of them would be another number.
    due, count = start + first / fps, first
    for _, until, frame in _spans(path, due if seek else start, files):
        # Each decoded frame is scaled once, however many times it is due.
        pixels: Frame | None = None
        while due < until - _TOLERANCE and (end is None or due < end - _TOLERANCE):
            pixels = picture(frame, size, reformatter, square=square) if pixels is None else pixels
            yield pixels
            count += 1
            due = start + count / fps
        if end is not None and due >= end - _TOLERANCE:
            return


def _spans(
    path: Path, start: float, files: FrameFiles | None
) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """Decoded frames, each with the seconds from and until which it is on show, from ``start`` or before."""
    if files is not None:
        for number, image in _folder_frames(path, files, max(0, int(start * files.fps + _TOLERANCE))):
            yield number / files.fps, (number + 1) / files.fps, image
        return
    with _open(path) as (container, stream):
        decoded = _decoded(path, container, stream)
        shown: tuple[float, av.VideoFrame] | None = None
        if start > 0:
            shown = _first_after_seek(container, stream, decoded, start)
            if shown is None:
                yield from _spans(path, 0.0, None)
                return
        lasts = 0.0
        for following in decoded:
            if shown is not None:
                lasts = following[0] - shown[0]
                yield shown[0], following[0], shown[1]
            shown = following
        if shown is not None:
            at, frame = shown
            told = float((getattr(frame, "duration", 0) or 0) * (stream.time_base or 0))
            rate = stream.average_rate
            # However short its last frame says that it lasts, it is seen.
            lasts = max(told or lasts or (1 / float(rate) if rate else 0.04), 2 * _TOLERANCE)
            yield at, at + lasts, frame


def _first_after_seek(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    decoded: Iterator[tuple[float, av.VideoFrame]],
    start: float,
) -> tuple[float, av.VideoFrame] | None:
    """The first frame from a key frame before ``start``; None if only decoding from the beginning is safe."""
    if container.format.name == "mpeg" or (
        container.format.name == "avi" and stream.codec_context.has_b_frames
    ):
        return None  # which frame a time belongs to is known only from the beginning on
    try:
        container.seek(int((_origin(stream) + start) * av.time_base), backward=True)
        shown = next(decoded, None)
    except (av.error.FFmpegError, DataError):
        return None
    # A missing or wrong index leads past the key frame, or to where there is none, or no time is known.
    if shown is None or shown[0] > start + _TOLERANCE or not shown[1].key_frame:
        return None
    return None if shown[1].pts is None and container.format.name != "avi" else shown


def _folder_frames(path: Path, files: FrameFiles, first: int = 0) -> Iterator[tuple[int, av.VideoFrame]]:
    return enumerate(images(path, files, first), first)


def _origin(stream: av.VideoStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _decoded(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Decoded frames with the seconds at which they come on show, never running backwards."""
    origin = _origin(stream)
    step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
    at: float | None = None
    try:
        for stamp, frame in _stamped(container, stream):
            if frame.is_corrupt:
                raise DataError(f"{path}: damaged at {0.0 if at is None else at + step:.2f} s")
            now = stamp - origin if stamp is not None else (0.0 if at is None else at + step)
            at = now if at is None else max(at, now)
            yield at, frame
    except av.error.FFmpegError as error:
        if at is None:
            raise
        raise DataError(f"{path}: damaged or cut off after {at:.2f} s: {error.strerror}") from error


def _stamped(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[float | None, av.VideoFrame]]:
    if container.format.name != "avi":
        for frame in container.decode(stream):
            yield frame.time, frame
        return
    # AVI knows only when frames are decoded. They come out in the order of showing, which is that of their
    # times: each takes the earliest that is left.
    waiting: list[float] = []
    for packet in container.demux(stream):
        if packet.dts is not None and packet.size and packet.time_base is not None:
            heapq.heappush(waiting, float(packet.dts * packet.time_base))
        for frame in packet.decode():
            yield heapq.heappop(waiting) if waiting else None, frame


def _varies(times: list[float]) -> bool:
    """Whether frames follow each other at different intervals, beyond what rounding of stamps explains."""
    steps = [after - before for before, after in pairwise(times)]
    usual = median(steps) if steps else 0.0
    return any(abs(step - usual) > max(0.002, 0.1 * usual) for step in steps)


@contextmanager
def _open(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """An open file and its picture stream; what FFmpeg objects to becomes a DataError that names it."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        # An absolute path is never taken for a protocol, whatever characters it holds.
        with av.open(path.absolute(), metadata_errors="replace") as container:
            yield container, _picture_stream(path, container)
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: not a readable video: {error.strerror}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _picture_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    # A sound file's cover is a video stream too, of one picture.
    covers = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise DataError(f"{path}: no picture stream in it")
    if getattr(streams[0], "codec_context", None) is None:
        raise DataError(f"{path}: its pictures are coded in a way that FFmpeg cannot decode here")
    # One thread: workers are processes, and more threads have deadlocked with FFmpeg's logging.
    streams[0].codec_context.thread_count = 1
    return streams[0]
