"""Decoded pictures of a video, each with the seconds during which it is on show.

Headers are not believed: a picture is shown from its time stamp to the next one's, and what a file cannot
show is an error that names it. Seconds count from the first picture that is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import av.error

from proxy_train.video.clock import Clock
from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import images
from proxy_train.video.opening import OpenVideo, open_video
from proxy_train.video.picture import DecodedPicture, Presentation
from search_space.errors import DataError

TOLERANCE = 6e-4
"""Seconds: Matroska rounds time stamps to 1 ms, and a rounded stamp must not lose its frame."""


class Shown(NamedTuple):
    """A picture while it is on show.

    Attributes:
        begin: seconds at which it comes on show.
        end: seconds at which the next one does; ``begin`` if it is never seen.
        picture: the picture.
        stepped_back: seconds by which its time stamp is earlier than the one before it.
    """

    begin: float
    end: float
    picture: DecodedPicture
    stepped_back: float = 0.0


def shown_frames(video: OpenVideo, start: float) -> Iterator[Shown]:
    """Yield decoded pictures of a video that has just been opened, from ``start`` or before."""
    origin = _origin_to_seek_by(video) if start > 0 else None
    if origin is not None:
        decoding = _Decoding(video, origin)
        first = _first_after_seek(video.container, origin, decoding.pictures, start)
        if first is not None:
            yield from _on_show(decoding, first)
            return
    if start <= 0:
        yield from shown_from_the_beginning(video)
        return
    with open_video(video.path) as anew:
        yield from shown_from_the_beginning(anew)


def shown_from_the_beginning(video: OpenVideo) -> Iterator[Shown]:
    """Yield the pictures of a video that has just been opened."""
    return _on_show(_Decoding(video, None), None)


def _on_show(decoding: _Decoding, shown: Shown | None) -> Iterator[Shown]:
    """Yield pictures with their ends; ``shown`` is one that is decoded already."""
    duration = 0.0
    for following in decoding.pictures:
        if shown is not None:
            duration = following.begin - shown.begin
            yield Shown(shown.begin, following.begin, shown.picture, shown.stepped_back)
        shown = following
    if shown is not None:
        yield shown._replace(end=decoding.end_of(shown, duration))


def shown_images(path: Path, files: FrameFiles, start: float) -> Iterator[Shown]:
    """Yield the pictures of a folder of frames, from the one on show at ``start``."""
    first = max(0, int(start * files.fps + TOLERANCE))
    for number, image in enumerate(images(path, files, first), first):
        yield Shown(number / files.fps, (number + 1) / files.fps, image)


class _Decoding:
    """The pictures of an open video, from where it stands.

    Args:
        video: the video.
        origin: time stamp in seconds that is shown at 0; None is the first one.
    """

    def __init__(self, video: OpenVideo, origin: float | None) -> None:
        self.video = video
        stream = video.stream
        step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        self._clock = Clock(origin, step, joins_parts=video.joins_parts)
        self._presentation = Presentation(stream)
        self._repeated_until: float | None = None
        self.pictures = self._decode()

    def _decode(self) -> Iterator[Shown]:
        """Yield the pictures, with an end that is not known yet.

        Raises:
            DataError: the file is damaged.
        """
        path, clock = self.video.path, self._clock
        try:
            for stamp, frame in self._frames():
                if frame.is_corrupt:
                    raise DataError(f"{path}: damaged at {clock.next:.2f} s")
                begin = clock.place(stamp)
                yield Shown(begin, begin, self._presentation.of(frame), clock.stepped_back)
        except av.error.FFmpegError as error:
            if clock.at is None:
                raise
            raise DataError(f"{path}: damaged or cut off after {clock.at:.2f} s: {error.strerror}") from error

    def _frames(self) -> Iterator[tuple[float | None, av.VideoFrame]]:
        """Yield decoded frames with their time stamps in seconds."""
        # AVI knows when pictures are decoded, not when they are shown. Decoders that keep pictures back for
        # their order do so by a fixed number of packets.
        by_decoding = self.video.container.format.name == "avi"
        for packet in self.video.container.demux(self.video.stream):
            if repeats(packet):
                self._repeated_until = repeated_until(packet)
                continue
            for frame in packet.decode():
                yield _seconds(packet.dts, packet) if by_decoding else frame.time, frame

    def end_of(self, last: Shown, before: float) -> float:
        """Return the seconds at which the last picture goes.

        Args:
            last: the last picture.
            before: seconds for which the picture before it was on show.
        """
        frame = last.picture.frame
        announced = float((frame.duration or 0) * (self.video.stream.time_base or 0))
        rate = self.video.stream.average_rate
        # The last picture is seen, however short its duration is said to be.
        duration = max(announced or before or (1 / float(rate) if rate else 0.04), 2 * TOLERANCE)
        repeated = last.begin if self._repeated_until is None else self._clock.end(self._repeated_until)
        return max(last.begin + duration, repeated)


def repeats(packet: av.Packet[av.VideoStream]) -> bool:
    """Return whether a packet only says that the picture before it is shown once more (Theora).

    Decoders take it for the end of the stream: it must not be given to them.
    """
    return not packet.size and packet.dts is not None


def repeated_until(packet: av.Packet[av.VideoStream]) -> float | None:
    """Return the time stamp in seconds until which such a packet shows the picture before it."""
    return None if packet.dts is None else _seconds(packet.dts + (packet.duration or 0), packet)


def _seconds(stamp: int | None, packet: av.Packet[av.VideoStream]) -> float | None:
    return None if stamp is None or packet.time_base is None else float(stamp * packet.time_base)


def _origin_to_seek_by(video: OpenVideo) -> float | None:
    """Return the time stamp of the first picture; None if only decoding from the beginning is safe.

    It is not where nothing else tells which picture a time belongs to, or where joined parts may bear a stamp
    twice.
    """
    stream = video.stream
    by_decoding = video.container.format.name == "avi"
    if video.joins_parts or (by_decoding and stream.codec_context.has_b_frames):
        return None
    first = next((packet for packet in video.container.demux(stream) if packet.size), None)
    if first is None or not first.is_keyframe:
        return None
    if first.is_discard:
        return float((stream.start_time or 0) * (stream.time_base or 0))
    return _seconds(first.dts if by_decoding else first.pts, first)


def _first_after_seek(
    container: av.container.InputContainer, origin: float | None, pictures: Iterator[Shown], start: float
) -> Shown | None:
    """Return the first picture after a seek; None if only decoding from the beginning is safe."""
    if origin is None:
        return None
    try:
        container.seek(int((origin + start) * av.time_base), backward=True)
        shown = next(pictures, None)
    except (av.error.FFmpegError, DataError):
        return None
    # A missing or wrong index leads past the key frame, or to a place without one, or no time is known.
    if shown is None or shown.begin > start + TOLERANCE or not shown.picture.frame.key_frame:
        return None
    return None if shown.picture.frame.pts is None and container.format.name != "avi" else shown
