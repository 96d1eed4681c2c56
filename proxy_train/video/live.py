"""Pictures one by one, as streams need them: from a camera, an address, or a file that may end early."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from proxy_train.video.address import Address
from proxy_train.video.live_source import read_address, require_end
from proxy_train.video.opening import find_film
from proxy_train.video.picture import Frame, Presentation, picture
from proxy_train.video.video import Video
from search_space.errors import DataError

CAMERA = "camera"
_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


def pictures(source: str, fps: float, size: int) -> Iterator[Frame]:
    """Return an iterator over pictures at even times, upright squares (size, size, 3), uint8 RGB.

    Args:
        source: a video file; ``camera`` or ``camera:1``, or a camera's device file; an address such as
            ``rtsp://host/path``; or ``-`` for standard input.
        fps: pictures a second; a slower camera gives fewer.
        size: pixels of the height and the width.

    Raises:
        DataError: there is no such file, camera or address, it cannot be read or is damaged, or it ends
            before its header says; the pictures before that are yielded first.
    """
    address = Address.parse(source)
    if address is not None:
        return read_address(address, fps, size)
    name, _, number = source.partition(":")
    if name == CAMERA and (not number or number.isdecimal()):
        return read_camera(int(number or 0), fps, size)
    path = Path(source)
    if source.isdecimal() and not path.exists():
        raise DataError(f"{source}: no such file", hint=f"a camera is written {CAMERA}:{source}")
    if path.is_char_device():
        return _camera_pictures(str(path), _SYSTEMS.get(sys.platform), fps, size)
    return _file_pictures(path, fps, size)


def read_camera(number: int, fps: float, size: int) -> Iterator[Frame]:
    """Return an iterator over the pictures of a camera, until it ends; see :func:`pictures`.

    Raises:
        DataError: there is no such camera, or it cannot be read.
    """
    system = _SYSTEMS.get(sys.platform)
    device = {"v4l2": f"/dev/video{number}", "dshow": f"video={number}"}.get(system or "", str(number))
    if system == "v4l2" and not Path(device).exists():
        cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
        raise DataError(
            f"there is no camera {number}: {device} does not exist",
            hint=f"there is {', '.join(cameras) or 'no camera'}; or give a video file",
        )
    return _camera_pictures(device, system, fps, size)


def _camera_pictures(device: str, system: str | None, fps: float, size: int) -> Iterator[Frame]:
    """Yield the pictures of a device that are due: the first at or after each even time."""
    reformatter = VideoReformatter()
    try:
        with av.open(device, format=system) as container:
            stream, _ = find_film(device, container)
            start: float | None = None
            count, presentation = 0, Presentation(stream)
            for frame in container.decode(stream):
                now = frame.time or 0.0
                start = now if start is None else start
                shown = presentation.of(frame)
                if now - start >= count / fps:
                    yield picture(shown, size, reformatter)
                    # Times that passed without a picture are skipped.
                    count = max(count + 1, int((now - start) * fps) + 1)
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(
            f"{device} cannot be read as a camera: {error.strerror}",
            hint="check that nothing else uses it, and that you may read it",
        ) from error


def _file_pictures(path: Path, fps: float, size: int) -> Iterator[Frame]:
    count = 0
    video = Video(path)
    with video.opened() as opened:
        header = opened.header()
        for frame in video.frames(fps, size, opened=opened):
            yield frame
            count += 1
    announced = 0.0 if header.estimated else header.duration
    require_end(str(path), count / fps, announced, 1 / fps)
