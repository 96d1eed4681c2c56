"""Pictures from an address: recordings as they are, live sources as they come, over breaks of the network."""

from __future__ import annotations

import errno
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import av
import av.error
from av.video.reformatter import VideoReformatter

from proxy_train.video.address import Address
from proxy_train.video.clock import Clock
from proxy_train.video.opening import find_film
from proxy_train.video.picture import DecodedPicture, Frame, Presentation, picture
from proxy_train.video.shown_frames import TOLERANCE, repeated_until, repeats
from search_space.errors import DataError

_LOG = logging.getLogger(__name__)
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt to reach a live source that broke off."""
MOST_WAITING = 64
"""Pictures that wait for the network; of a live source the oldest are dropped beyond that."""
_EARLY_SECONDS, _EARLY_SHARE = 1.0, 0.05
# A playlist has a size, which says nothing of the length of what it lists.
_PLAYLISTS = {"hls", "dash"}


class Handover:
    """Pictures on their way from the thread that reads to the one that asks: never more than a few.

    The thread that asks can be interrupted at any moment, as one that waits for a network could not be.

    Args:
        most: most pictures that wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._ended, self.closed = False, False
        self._error: Exception | None = None
        self.dropped = 0

    def put(self, pixels: Frame) -> None:
        """Hand over a picture as soon as there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._most or self.closed)
            self._waiting.append(pixels)
            self._changed.notify_all()

    def put_newest(self, pixels: Frame) -> None:
        """Hand over a picture now, and drop the oldest one if there is no room for it."""
        with self._changed:
            if len(self._waiting) == self._most:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(pixels)
            self._changed.notify_all()

    def end(self, error: Exception | None = None) -> None:
        """Say that no picture follows, and why if that is a fault."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no picture is wanted any more."""
        with self._changed:
            self.closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, but not after nothing is wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed, timeout=seconds)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                pixels = self._waiting.popleft()
                self._changed.notify_all()
            yield pixels
        if self._error is not None:
            raise self._error


class _Sampler:
    """Takes the pictures that are on show at even times, whatever a source's clock does.

    Args:
        fps: pictures a second.
        size: pixels of a picture's side.
    """

    def __init__(self, fps: float, size: int) -> None:
        self._fps, self._size = fps, size
        self._reformatter = VideoReformatter()
        self._shown: DecodedPicture | None = None
        self._repeated_until: float | None = None
        # Of each connection: the seconds that were on show before it, and its clock.
        self._before, self._clock = 0.0, Clock(None, 0.0, joins_parts=True)
        self._at, self._step = 0.0, 0.0
        self.count = 0

    @property
    def seconds(self) -> float:
        """Seconds that the pictures so far are on show."""
        return self.count / self._fps

    def add(self, shown: DecodedPicture, step: float) -> Iterator[Frame]:
        """Yield what is due before a picture; ``step`` is its seconds if its stamp does not tell them."""
        time = shown.frame.time
        if self._shown is None:
            self._before, self._clock, self._step = self.seconds, Clock(None, step, joins_parts=True), step
            self._at = self._before + self._clock.place(time)
        else:
            now = self._before + self._clock.place(time)
            yield from self._until(now)
            self._step, self._at = now - self._at or self._step, now
            # A source that has only begun may not know its rate.
            self._clock.step = self._step
        self._shown, self._repeated_until = shown, None

    def repeat(self, until: float | None) -> None:
        """Show the last picture until a time stamp."""
        self._repeated_until = until

    def finish(self) -> Iterator[Frame]:
        """Yield what is due of the last frame; the next one is of another connection."""
        frame, announced, repeated = self._shown and self._shown.frame, 0.0, 0.0
        if frame is not None and frame.time_base is not None:
            announced = float((frame.duration or 0) * frame.time_base)
        if self._repeated_until is not None:
            repeated = self._before + self._clock.end(self._repeated_until)
        yield from self._until(max(self._at + (announced or self._step), repeated))
        self._shown = self._repeated_until = None

    def _until(self, now: float) -> Iterator[Frame]:
        pixels: Frame | None = None
        while self._shown is not None and self.seconds < now - TOLERANCE:
            if pixels is None:
                pixels = picture(self._shown, self._size, self._reformatter)
            self.count += 1
            yield pixels


class _BrokenError(Exception):
    """A live source that broke off, or was closed by its sender."""

    def __init__(self, reason: str, *, closed: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.closed = reason, closed


def read_address(address: Address, fps: float, size: int) -> Iterator[Frame]:
    """Yield pictures at even times, upright squares (size, size, 3), uint8 RGB; see ``live.pictures``.

    Of a recording (it says how long or how large it is) and of a pipe every picture is taken, and the sender
    waits. A live source is not asked to wait: what the reader has no room for is dropped, and if it breaks
    off, it is called again, a few times.

    Raises:
        DataError: nothing is there, it is no video, or it broke off for good; the pictures before that are
            yielded first.
    """
    handover = Handover(MOST_WAITING)
    # A daemon: FFmpeg may wait for a network that never answers, and the program ends nevertheless.
    threading.Thread(target=_read, args=(address, _Sampler(fps, size), handover), daemon=True).start()
    try:
        yield from handover
    finally:
        handover.close()
        if handover.dropped:
            _LOG.warning(
                "%s: %d pictures came faster than they were looked at", address.name, handover.dropped
            )


def _read(address: Address, sampler: _Sampler, handover: Handover) -> None:
    try:
        _follow(address, sampler, handover)
    except Exception as error:
        # Whatever it is, it is raised where the pictures are asked for.
        handover.end(error)
    else:
        handover.end()


def _follow(address: Address, sampler: _Sampler, handover: Handover) -> None:
    """Read a source, and call it again while it breaks off, until it is over or cannot be reached."""
    attempts, broken = 0, _BrokenError("")
    while not handover.closed:
        before = sampler.count
        try:
            _play(address, sampler, handover)
            return
        except _BrokenError as error:
            if sampler.count > before or not broken.reason:
                attempts, broken = 0, error
            reason = error.reason
        if not sampler.count:
            raise DataError(
                f"{address.name} cannot be read: {reason}", hint="check the address, and that its sender runs"
            )
        if attempts == len(PAUSES):
            break
        _LOG.warning(
            "%s, after %.2f s: %s; it is called again in %g s (%d of %d), and the network keeps what it saw",
            *(address.name, sampler.seconds, reason, PAUSES[attempts], attempts + 1, len(PAUSES)),
        )
        handover.pause(PAUSES[attempts])
        attempts += 1
    if handover.closed:
        return
    if not broken.closed:
        raise DataError(
            f"{address.name} broke off after {sampler.seconds:.2f} s: {broken.reason}",
            hint="the results hold for the part that came; start again when it can be reached",
        )
    _LOG.warning("%s is over after %.2f s: its sender closed it", address.name, sampler.seconds)


def _play(address: Address, sampler: _Sampler, handover: Handover) -> None:
    """Hand over the pictures of one connection; return at the end of a recording.

    Raises:
        DataError: it holds no pictures, or a recording is damaged or cut off.
        _BrokenError: it cannot be opened, or a live source has ended.
    """
    called = time.monotonic()
    try:
        container = av.open(
            address.url,
            options=dict(address.options),
            timeout=(address.opening, address.reading),
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError) as error:
        # The error's own text has the whole address, with its password.
        raise _BrokenError(_reason(error, called, address.opening)) from None
    with container:
        stream, _ = find_film(address.name, container)
        connection = _Connection(address, container, stream, sampler, handover, Presentation(stream))
        if _is_recording(address, container):
            _play_recording(connection)
        else:
            _play_live(connection)


class _Connection(NamedTuple):
    """A source that is open, and where its pictures go."""

    address: Address
    container: av.container.InputContainer
    stream: av.VideoStream
    sampler: _Sampler
    handover: Handover
    presentation: Presentation


def _is_recording(address: Address, container: av.container.InputContainer) -> bool:
    """Return whether a source is all there already, or waits for its reader: then it ends where it ends."""
    sized = container.size > 0 and container.format.name not in _PLAYLISTS
    return address.reading is None or container.duration is not None or sized


def _play_recording(connection: _Connection) -> None:
    address, container, stream, sampler, handover, presentation = connection
    asked = time.monotonic()
    try:
        for packet in container.demux(stream):
            if repeats(packet):
                sampler.repeat(repeated_until(packet))
                continue
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise DataError(f"{address.name}: damaged at {sampler.seconds:.2f} s")
                for pixels in sampler.add(presentation.of(frame), _step(stream)):
                    handover.put(pixels)
            if handover.closed:
                return
            asked = time.monotonic()
    except av.error.FFmpegError as error:
        raise DataError(
            f"{address.name}: damaged or cut off after {sampler.seconds:.2f} s: "
            f"{_reason(error, asked, address.reading)}",
            hint="the results hold for the part that is there",
        ) from None
    for pixels in sampler.finish():
        handover.put(pixels)
    require_end(address.name, sampler.seconds, (container.duration or 0) / av.time_base)
    if not sampler.count:
        raise DataError(f"{address.name}: no frame in it")


def require_end(name: str, seconds: float, announced: float, step: float = 0.0) -> None:
    """Check that a recording lasted about as long as it says.

    Args:
        name: name for messages.
        seconds: seconds that it lasted.
        announced: seconds that it says; 0 if it does not say.
        step: seconds of a picture, which rounding may lose.

    Raises:
        DataError: it ended early.
    """
    if announced - seconds > max(_EARLY_SECONDS + step, _EARLY_SHARE * announced):
        raise DataError(
            f"{name} ends at {seconds:.2f} s and says that it lasts {announced:.2f} s",
            hint="it was cut off; the results hold for the part that is there",
        )


def _play_live(connection: _Connection) -> None:
    address, container, stream, sampler, handover, presentation = connection
    asked = time.monotonic()
    broken = _BrokenError("its sender closed it", closed=True)
    try:
        for packet in container.demux(stream):
            if repeats(packet):
                sampler.repeat(repeated_until(packet))
                continue
            for frame in _decoded(packet):
                for pixels in sampler.add(presentation.of(frame), _step(stream)):
                    handover.put_newest(pixels)
            if handover.closed:
                return
            asked = time.monotonic()
    except (av.error.FFmpegError, OSError) as error:
        # This is how FFmpeg ends what comes by HTTP without a length, whole or not.
        if error.errno != errno.EIO:
            broken = _BrokenError(_reason(error, asked, address.reading))
    for frame in _held_back(stream):
        for pixels in sampler.add(presentation.of(frame), _step(stream)):
            handover.put_newest(pixels)
    for pixels in sampler.finish():
        handover.put_newest(pixels)
    raise broken


def _held_back(stream: av.VideoStream) -> list[av.VideoFrame]:
    """Return the frames that a decoder still holds, to bring them in order, when its source breaks off."""
    try:
        return [frame for frame in stream.codec_context.decode(None) if not frame.is_corrupt]
    except av.error.FFmpegError:
        return []  # the end of the source has brought them out


def _decoded(packet: av.Packet[av.VideoStream]) -> list[av.VideoFrame]:
    """Return the whole frames of a packet: what a network lost or cut is no fault of the rest."""
    try:
        return [each for each in packet.decode() if isinstance(each, av.VideoFrame) and not each.is_corrupt]
    except av.error.InvalidDataError:
        return []


def _step(stream: av.VideoStream) -> float:
    return 1 / float(stream.average_rate or stream.guessed_rate or 25)


def _reason(error: Exception, since: float, most: float | None) -> str:
    """Return in words why a source failed; FFmpeg has several for a time that ran out."""
    ran_out = isinstance(error, av.error.ExitError) or time.monotonic() - since >= 0.99 * (most or math.inf)
    if most is not None and ran_out:
        return f"nothing came for {most:g} s"
    return getattr(error, "strerror", None) or type(error).__name__
