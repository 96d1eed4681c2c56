"""Small encoded files for tests, made on the spot, and annotations written as text."""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from PIL import Image

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4", ".mkv": "libx264"}
_FORMATS = {".mp4": "mp4", ".webm": "webm", ".avi": "avi", ".mkv": "matroska"}


@cache
def content(suffix: str, frames: int = 6, fps: int = 6, level: int = 100) -> bytes:
    """A video of 32x32 pixels, of one grey level."""
    file = BytesIO()
    with av.open(file, "w", format=_FORMATS[suffix]) as container:
        stream = container.add_stream(CODECS[suffix], rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.thread_count = 1
        for _ in range(frames):
            picture = np.full((32, 32, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def write_videos(root: Path, *names: str, frames: int = 6, fps: int = 6) -> None:
    """Videos of a second, each encoded as its suffix says."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(path.suffix.lower(), frames, fps))


def touch(root: Path, *names: str) -> None:
    """Empty files: listing looks at names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_images(folder: Path, template: str, numbers: range) -> None:
    """Numbered images, whose grey level is ten times their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(np.full((24, 32, 3), 10 * number % 256, np.uint8)).save(folder / (template % number))


def write_text(root: Path, **files: str) -> None:
    """Annotation files; ``__`` in a name stands for a dot, ``_in_`` for a folder before it."""
    for name, text in files.items():
        file, _, folder = name.partition("_in_")
        path = root / folder / file.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def turn(path: Path) -> None:
    """Says in an mp4's track header that it is to be turned clockwise, as telephones do."""
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    head, tail = path.read_bytes().split(b"tkhd")
    path.write_bytes(head + b"tkhd" + tail.replace(upright, turned, 1))
