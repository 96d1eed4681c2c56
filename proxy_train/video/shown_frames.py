"""Decoded frames of a video, each with the seconds during which it is on show.

Headers are not believed: a frame is shown from its time stamp to the next one's, and what a file cannot show
is an error that names it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import av.stream

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import images
from search_space.errors import DataError

TOLERANCE = 6e-4
"""Seconds: Matroska rounds time stamps to 1 ms, and a rounded stamp must not lose its frame."""


def shown_frames(
    path: Path, start: float, files: FrameFiles | None
) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """Yield decoded frames from ``start`` or before, each with the seconds between which it is on show."""
    if files is not None:
        for number, image in folder_frames(path, files, max(0, int(start * files.fps + TOLERANCE))):
            yield number / files.fps, (number + 1) / files.fps, image
        return
    with open_video(path) as (container, stream):
        decoded = _decode_in_order(path, container, stream)
        shown: tuple[float, av.VideoFrame] | None = None
        if start > 0:
            shown = _first_after_seek(container, stream, decoded, start)
            if shown is None:
                yield from shown_frames(path, 0.0, None)
                return
        duration = 0.0
        for following in decoded:
            if shown is not None:
                duration = following[0] - shown[0]
                yield shown[0], following[0], shown[1]
            shown = following
        if shown is not None:
            begin, frame = shown
            announced = float((getattr(frame, "duration", 0) or 0) * (stream.time_base or 0))
            rate = stream.average_rate
            # The last frame is seen, however short its duration is said to be.
            duration = max(announced or duration or (1 / float(rate) if rate else 0.04), 2 * TOLERANCE)
            yield begin, begin + duration, frame


def _first_after_seek(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    decoded: Iterator[tuple[float, av.VideoFrame]],
    start: float,
) -> tuple[float, av.VideoFrame] | None:
    """Return the first frame after a seek; None if only decoding from the beginning is safe."""
    if container.format.name == "mpeg" or (
        container.format.name == "avi" and stream.codec_context.has_b_frames
    ):
        return None  # which frame a time belongs to is known only when decoding from the beginning
    try:
        container.seek(int((_origin(stream) + start) * av.time_base), backward=True)
        shown = next(decoded, None)
    except (av.error.FFmpegError, DataError):
        return None
    # A missing or wrong index leads past the key frame, or to a place without one, or no time is known.
    if shown is None or shown[0] > start + TOLERANCE or not shown[1].key_frame:
        return None
    return None if shown[1].pts is None and container.format.name != "avi" else shown


def folder_frames(path: Path, files: FrameFiles, first: int = 0) -> Iterator[tuple[int, av.VideoFrame]]:
    return enumerate(images(path, files, first), first)


def _origin(stream: av.VideoStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _decode_in_order(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield decoded frames with the seconds at which they come on show, which never decrease."""
    origin = _origin(stream)
    step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
    at: float | None = None
    try:
        for stamp, frame in _decode_with_stamps(container, stream):
            if frame.is_corrupt:
                raise DataError(f"{path}: damaged at {0.0 if at is None else at + step:.2f} s")
            now = stamp - origin if stamp is not None else (0.0 if at is None else at + step)
            at = now if at is None else max(at, now)
            yield at, frame
    except av.error.FFmpegError as error:
        if at is None:
            raise
        raise DataError(f"{path}: damaged or cut off after {at:.2f} s: {error.strerror}") from error


def _decode_with_stamps(
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


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Yield an open file and its picture stream; FFmpeg's errors become a DataError that names the file."""
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
