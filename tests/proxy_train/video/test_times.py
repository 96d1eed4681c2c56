"""Time as players count it: jumping and missing time stamps, repeated and dropped pictures."""

from __future__ import annotations

from collections.abc import Sequence
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
from tests.proxy_train.video.servers import Answer, web_server

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


def write_repeated(path: Path, codec: str, wanted: Sequence[int | None]) -> None:
    """A level a picture; None is a packet of no bytes: the picture before once more, as Theora has it."""
    with av.open(path, "w", format="nut") as container:
        stream = container.add_stream(codec, rate=FPS, options={"bf": "0"} if codec == "libx264" else {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 48, 32
        stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.codec_context.thread_count = 1
        coded: list[av.Packet[av.VideoStream]] = []
        for level in filter(None, wanted):
            picture = np.full((32, 48, 3), 10 * level, np.uint8)
            coded += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        coded += stream.encode()
        for number, shown in enumerate(wanted):
            packet = coded.pop(0) if shown is not None else av.Packet(b"")
            packet.stream, packet.time_base = stream, Fraction(1, FPS)
            packet.pts, packet.dts, packet.duration = number, number, 1
            container.mux(packet)


@pytest.mark.parametrize("codec", ["mjpeg", "png", "libx264"])
@pytest.mark.parametrize(
    "wanted",
    [[5, None, None, 9, 12, None, 15], [5, 9, 12, None, None, None], [5, None, None, None], [5, 9, 12]],
    ids=["in the middle", "at the end", "a still", "none"],
)
def test_repeated_pictures_take_their_time(wanted: list[int | None], codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nut"
    write_repeated(path, codec, wanted)
    expected: list[int] = []
    last = 0
    for level in wanted:
        last = last if level is None else level
        expected.append(last)
    assert levels(Video(path).read(FPS, 16)) == expected
    info = Video(path).measure()
    assert info.duration == pytest.approx(len(wanted) / FPS) and info.note == ""
    assert info.frames == len(wanted) - wanted.count(None)
    with web_server([Answer(path.read_bytes(), path.stat().st_size)]) as port:
        streamed = list(pictures(f"http://127.0.0.1:{port}/a.nut", FPS, 16))
    assert levels(np.array(streamed)) == expected


def test_a_seek_finds_no_part_that_comes_later(tmp_path: Path) -> None:
    """The same time stamp is in both parts."""
    path = tmp_path / "a.ts"
    first = part("mpegts", [2 + n % 8 for n in range(20)], even(20))
    path.write_bytes(first + part("mpegts", [12 + n % 8 for n in range(200)], even(200)))
    for start in (0.5, 1.0, 1.6):
        shown = levels(Video(path).read(FPS, 16, start=start, end=2.0))
        assert shown == [2 + n % 8 for n in range(round(start * FPS), 20)]
    assert levels(Video(path).read(FPS, 16, start=12.0, limit=5)) == [12 + n % 8 for n in range(100, 105)]


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
