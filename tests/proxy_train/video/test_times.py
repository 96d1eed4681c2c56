"""Time as players count it: jumping and missing time stamps, repeated and dropped pictures."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from proxy_train.video.live import pictures
from proxy_train.video.video import Video
from proxy_train.video.writing import write_video

Pictures = npt.NDArray[np.uint8]
FPS = 10
CODECS = {
    "mpegts": ("libx264", {"crf": "10", "g": "5"}),
    "mpeg": ("mpeg2video", {"qmin": "1", "qmax": "2", "g": "5"}),
    "webm": ("libvpx", {"g": "5", "crf": "4", "b": "2M"}),
    "avi": ("mpeg4", {"qmin": "1", "qmax": "2", "bf": "2", "g": "12"}),
    "mp4": ("libx264", {"crf": "10", "bf": "2"}),
}


def part(kind: str, levels: Sequence[int], times: Sequence[float], *, rate: int = FPS) -> bytes:
    """A file of pictures of ten times the level, at those times in seconds."""
    codec, options = CODECS[kind]
    file = BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.thread_count = 1
        for level, time in zip(levels, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 10 * level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def even(count: int, start: float = 0.0, fps: int = FPS) -> list[float]:
    return [start + number / fps for number in range(count)]


def levels(frames: Pictures) -> list[int]:
    return [round(float(frame.mean()) / 10) for frame in frames]


RATES = {"mpegts": 10, "mpeg": 25}


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize("second", [0.0, 2.0, 60.0, 9000.0], ids=lambda at: f"second part at {at:g} s")
def test_joined_parts_are_shown_one_after_the_other(kind: str, second: float, tmp_path: Path) -> None:
    fps, count = RATES[kind], 2 * RATES[kind]
    first = part(kind, [2 + n % 8 for n in range(count)], even(count, 4.0, fps), rate=fps)
    then = part(kind, [12 + n % 8 for n in range(count)], even(count, 4.0 + second, fps), rate=fps)
    path = tmp_path / "joined.mpg"
    path.write_bytes(first + then)
    expected = [2 + n % 8 for n in range(count)] + [12 + n % 8 for n in range(count)]
    info = Video(path).measure()
    assert (info.frames, info.variable, info.note) == (2 * count, False, "")
    assert info.duration == pytest.approx(4.0, abs=0.02) and info.fps == pytest.approx(fps, abs=0.2)
    assert levels(Video(path).read(fps, 16)) == expected
    for start in (1.0, 2.2, 3.0):
        assert levels(Video(path).read(fps, 16, start=start)) == expected[round(start * fps) :]
    assert len(list(pictures(str(path), fps, 16))) == 2 * count, "a stream does not call it cut off"


def test_a_pause_of_less_than_ten_seconds_is_a_pause(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(part("mpegts", [2, 3, 4, 5], [0, 0.1, 0.2, 8.2]))
    assert Video(path).measure().duration == pytest.approx(8.3, abs=0.02)


def test_stamps_that_start_over_elsewhere_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    once = part("webm", list(range(2, 22)), even(20))
    path.write_bytes(once + once)
    info = Video(path).measure()
    assert info.frames == 40
    assert info.note == "its time stamps start over at 2.00 s; 20 of its 40 pictures are never shown"
    path.write_bytes(once)
    assert Video(path).measure().note == ""


def test_stamps_that_jump_elsewhere_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_at(path, [0, 0.1, 0.2, 62.2, 62.3])
    assert Video(path).measure().note == "its time stamps jump from 0.20 s to 62.20 s"
    write_at(path, [0, 0.1, 0.2, 9.2, 9.3])
    assert Video(path).measure().note == ""


def write_at(path: Path, times: Sequence[float]) -> None:
    path.unlink(missing_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "10", "bf": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, time in enumerate(times, 2):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 10 * level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("delay", [0, 2], ids=["no B-frames", "B-frames"])
@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_pictures_that_an_avi_drops_take_their_time(codec: str, delay: int, tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    options = {"bf": str(delay), "g": "12", "qmin": "1", "qmax": "2"}
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in [*range(10), *range(15, 22)]:
            picture = np.full((32, 48, 3), 10 * (number + 1), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    expected = [*range(1, 11), *[10] * 5, *range(16, 23)]
    assert levels(Video(path).read(FPS, 16)) == expected
    # Annotations count from the picture that is seen first, however many packets come before it.
    assert levels(Video(path).read(FPS, 16, start=0.9, end=1.7)) == expected[9:17]
    assert Video(path).measure().duration == pytest.approx(2.2)


def ogg(payloads: Sequence[bytes | None], headers: Sequence[bytes], fps: int) -> bytes:
    """An Ogg file of Theora, a packet a page; None is a packet of no bytes: the picture before once more."""
    pages = [(2, 0, [headers[0]]), (0, 0, list(headers[1:]))]
    pages += [(4 * (n == len(payloads)), n << 6, [data or b""]) for n, data in enumerate(payloads, 1)]
    return b"".join(page(flags, granule, n, data) for n, (flags, granule, data) in enumerate(pages))


def page(flags: int, granule: int, number: int, packets: Sequence[bytes]) -> bytes:
    lacing = b"".join(bytes([255] * (len(data) // 255) + [len(data) % 255]) for data in packets)
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, granule, 7, number, 0) + bytes([len(lacing)]) + lacing
    whole = head + b"".join(packets)
    return whole[:22] + struct.pack("<I", checksum(whole)) + whole[26:]


def checksum(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value >> 31 else value << 1) & 0xFFFFFFFF
    return value


@pytest.fixture(scope="module")
def theora() -> Callable[[Sequence[int | None]], bytes]:
    """A writer of Theora videos: a level a picture, None where the one before is repeated."""
    if "libtheora" not in av.codecs_available:
        pytest.skip("this FFmpeg writes no Theora")

    def encode(wanted: Sequence[int | None]) -> bytes:
        context = av.CodecContext.create("libtheora", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = 48, 32, "yuv420p"
        context.time_base, context.framerate, context.gop_size = Fraction(1, FPS), Fraction(FPS), 1
        packets: list[bytes | None] = []
        for level in wanted:
            if level is None:
                packets.append(None)
                continue
            picture = np.full((32, 48, 3), 10 * level, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = len(packets)
            packets += [bytes(packet) for packet in context.encode(frame)]
        extra, headers = bytes(context.extradata or b""), []
        while extra:
            size = struct.unpack_from(">H", extra)[0]
            headers.append(extra[2 : 2 + size])
            extra = extra[2 + size :]
        return ogg(packets, headers, FPS)

    return encode


@pytest.mark.parametrize(
    "wanted",
    [
        [5, None, None, 9, 12, None, 15],
        [5, 9, 12, None, None, None],
        [5, None, None, None],
        [5, 9, 12],
    ],
    ids=["in the middle", "at the end", "a still", "none"],
)
def test_repeated_pictures_of_theora_take_their_time(
    wanted: list[int | None], theora: Callable[[Sequence[int | None]], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "a.ogv"
    path.write_bytes(theora(wanted))
    expected, last = [], 0
    for level in wanted:
        last = level or last
        expected.append(last)
    assert levels(Video(path).read(FPS, 16)) == expected
    assert Video(path).measure().duration == pytest.approx(len(wanted) / FPS)


def test_stretches_count_from_the_first_picture_that_is_shown(tmp_path: Path) -> None:
    """As in a transport stream that begins within a group of pictures."""
    whole = part("mpegts", list(range(1, 23)), even(22))
    with av.open(BytesIO(whole), "r") as container:
        keys = [packet.pos for packet in container.demux(video=0) if packet.is_keyframe]
    assert len(keys) > 3 and None not in keys
    cut = (int(keys[0] or 0) + int(keys[1] or 0)) // 2 // 188 * 188
    path = tmp_path / "a.ts"
    path.write_bytes(whole[cut:])
    shown = levels(Video(path).read(FPS, 16))
    assert 10 < len(shown) < 20 and shown == list(range(23 - len(shown), 23))
    for start in (0.3, 1.0):
        assert levels(Video(path).read(FPS, 16, start=start)) == shown[round(start * FPS) :]
    assert Video(path).measure().duration == pytest.approx(len(shown) / FPS)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_of_several_picture_tracks_the_film_is_used(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(path, "w") as container:
        thumb = container.add_stream("mjpeg", rate=1)
        film = container.add_stream("libx264", rate=FPS, options={"crf": "10"})
        assert isinstance(thumb, av.VideoStream) and isinstance(film, av.VideoStream)
        thumb.width, thumb.height, thumb.pix_fmt = 32, 32, "yuvj420p"
        film.width, film.height, film.pix_fmt = 96, 64, "yuv420p"
        still = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
        container.mux([*thumb.encode(still), *thumb.encode()])
        for level in range(1, 21):
            picture = np.full((64, 96, 3), 10 * level, np.uint8)
            container.mux(film.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(film.encode())
    info = Video(path).measure()
    assert (info.width, info.height, info.frames) == (96, 64, 20)
    assert info.note == "2 picture tracks, the second is used"
    assert levels(Video(path).read(FPS, 16)) == list(range(1, 21))
    assert len(list(pictures(str(path), FPS, 16))) == 20


def test_one_track_is_no_news(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [np.full((32, 48, 3), 10, np.uint8)] * 5, crf=20, fps=5)
    assert Video(tmp_path / "a.mp4").measure().note == ""
