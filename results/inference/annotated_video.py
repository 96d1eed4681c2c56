"""A video of what a stream saw, with labels below each frame, encoded while it runs, in constant memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from results.inference.label_pen import LabelPen
from search_space.errors import DataError
from search_space.files import replacing

_LOG = logging.getLogger(__name__)
_MARK = "annotated by movinas stream"
_EDGE = 65_536  # bytes at either end of a file, of which one has the mark in every format that keeps it
_WIDTH = 480
_LINE = 28
_MARGIN = 8
_BAR = (70, 130, 180)
_CODECS = ("libx264", "h264", "mpeg4")
_HINT = "give a path such as out.mp4 in a folder that exists"


class AnnotatedVideo:
    """Frames with labels and bars of their probabilities; ``annotated_video`` opens one.

    Args:
        container: container that is open for writing.
        stream: video stream of the container, without a size yet.
        lines: number of labels that have room below the heading.
        labels: pen that writes them.
    """

    def __init__(
        self, container: av.container.OutputContainer, stream: av.VideoStream, lines: int, labels: LabelPen
    ) -> None:
        self._container, self._stream, self._labels = container, stream, labels
        self._band = _LINE * (lines + 1) + _MARGIN
        # Codecs want even sizes.
        stream.width, stream.height = _WIDTH, 2 * math.ceil((_WIDTH + self._band) / 2)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1

    def add(self, frame: NDArray[np.uint8], heading: str, best: Sequence[tuple[str, float]]) -> None:
        """Add the next frame.

        Args:
            frame: pixels (size, size, 3), uint8 RGB.
            heading: line of text below it.
            best: labels with their probabilities.
        """
        page = Image.new("RGB", (self._stream.width, self._stream.height), "black")
        page.paste(Image.fromarray(frame).resize((_WIDTH, _WIDTH), Image.Resampling.BILINEAR))
        pen = ImageDraw.Draw(page)
        pen.text((_MARGIN, _WIDTH + _MARGIN / 2), heading, "white", font=self._labels.font)
        for index, (label, probability) in enumerate(best, start=1):
            top = _WIDTH + _MARGIN + index * _LINE
            pen.rectangle((0, top, round(_WIDTH * probability), top + _LINE - 4), fill=_BAR)
            share = f" {100 * probability:.1f} %"
            self._labels.write(pen, (_MARGIN, top), label, share, _WIDTH - 2 * _MARGIN)
        encoded = self._stream.encode(av.VideoFrame.from_ndarray(np.asarray(page), format="rgb24"))
        self._container.mux(encoded)


@contextmanager
def annotated_video(
    path: Path, fps: float, lines: int, labels: LabelPen | None = None
) -> Iterator[AnnotatedVideo]:
    """Open a video file to add frames to; it is whole when the block is left, also by an error of its source.

    It is written beside its place. A block that an error or a user ends never replaces an earlier file: what
    it wrote is then kept as ``NAME.partial.mp4``.

    Args:
        path: file such as ``out.mp4``, whose suffix decides its kind.
        fps: frames a second.
        lines: largest number of labels of a frame.
        labels: pen that writes them; by default one that knows none before it writes them.

    Raises:
        DataError: the file cannot be written, or its suffix is of no known kind.
    """
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path} cannot be written: there is no folder {path.parent}", hint=_HINT)
    ended: BaseException | None = None
    with replacing(path) as temporary:
        with _container(path, temporary) as container:
            stream = _add_stream(path, container, fps)
            # MPEG-TS has room for the second alone.
            container.metadata.update({"comment": _MARK, "service_provider": _MARK})
            video = AnnotatedVideo(container, stream, lines, labels or LabelPen())
            _begin(path, container)
            try:
                yield video
            except BaseException as error:
                ended = error
            finally:
                container.mux(stream.encode())
        if ended is not None and not temporary.stat().st_size:
            raise ended
        if ended is not None and path.is_file():
            partial = _free(path)
            temporary.replace(partial)
            _LOG.warning("%s stays as it was; what was written until now is %s", path, partial)
            raise ended
    if ended is not None:
        _LOG.warning("%s ends where the stream ended early", path)
        raise ended


def is_annotated_video(path: Path) -> bool:
    """Return whether a file is such a video: it may be written anew.

    FFmpeg is not asked, for a file may be anything, and what it keeps of the mark is plain text. Formats
    without room for text (.mpg, .vob) keep nothing of it.
    """
    with path.open("rb") as file:
        edges = file.read(_EDGE)
        file.seek(max(0, path.stat().st_size - _EDGE))
        edges += file.read(_EDGE)
    return any(_MARK.encode(encoding) in edges for encoding in ("utf-8", "utf-16-le"))


def _free(path: Path) -> Path:
    """Return a path for what is left of an interrupted video: that of no file, which may be a source."""
    names = (f".partial{number}{path.suffix}" for number in ("", *range(2, 1_000_000)))
    return next(free for name in names if not (free := path.with_suffix(name)).exists())


def _container(path: Path, temporary: Path) -> av.container.OutputContainer:
    try:
        return av.open(str(temporary.absolute()), "w")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be written: {error}", hint=_HINT) from error


def _begin(path: Path, container: av.container.OutputContainer) -> None:
    """Write the beginning of a file, which some formats refuse only now."""
    try:
        container.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        raise DataError(f"{path} cannot hold such a video: {error}", hint=_HINT) from error


def _add_stream(path: Path, container: av.container.OutputContainer, fps: float) -> av.VideoStream:
    codec = next((name for name in _CODECS if name in av.codecs_available), None)
    if codec is None:
        raise DataError(f"{path}: FFmpeg has no encoder here", hint=f"one of {', '.join(_CODECS)}")
    try:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
    except (av.error.FFmpegError, ValueError) as error:
        raise DataError(f"{path} cannot hold {codec} video: {error}", hint=_HINT) from error
    assert isinstance(stream, av.VideoStream), "added as one"
    return stream
