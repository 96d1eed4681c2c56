"""Decoding by time, scaling, and every broken file reported by name."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import av.stream
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import find_frames
from proxy_train.video.video import Video
from proxy_train.video.writing import write_video
from search_space.errors import DataError
from tests.proxy_train.video_files import turn

Pictures = npt.NDArray[np.uint8]


def grey(levels: list[int], width: int = 48, height: int = 32) -> Pictures:
    """Frames of one grey level each, ten times the number given."""
    return np.stack([np.full((height, width, 3), 10 * level, np.uint8) for level in levels])


def write_grey(path: Path, *, frames: int = 24, fps: int = 12, pictures: Pictures | None = None) -> Path:
    """An mp4 whose grey level is 10, 20, ... from frame to frame, or of the pictures given."""
    write_video(path, grey(list(range(1, frames + 1))) if pictures is None else pictures, crf=10, fps=fps)
    return path


def write_variable_rate(path: Path, times: list[Fraction]) -> Path:
    """A frame of level 1, 2, ... at each time in seconds."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(grey(list(range(1, len(times) + 1))), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    """A file with a tone and no picture."""
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_odd(path: Path, codec: str, pixel_format: str, options: dict[str, str], count: int = 24) -> Path:
    """Grey levels 1, 2, ... at 12 frames a second and 62x36 pixels, by any encoder."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=12, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 62, 36, pixel_format
        stream.codec_context.thread_count = 1
        for picture in grey(list(range(1, count + 1)), 62, 36):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def levels(frames: Pictures) -> list[int]:
    """The grey level of each frame, in steps of 10 from 1."""
    return [round(float(frame.mean()) / 10) for frame in frames]


def test_every_second_frame_at_half_the_rate(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "a.mp4", frames=24, fps=12)
    assert levels(Video(path).read(6, 16)) == list(range(1, 25, 2))
    assert levels(Video(path).read(12, 16)) == list(range(1, 25))


def test_frames_repeat_above_the_files_rate(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "a.mp4", frames=6, fps=6)
    assert levels(Video(path).read(12, 16)) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]


@pytest.mark.parametrize(("start", "end", "expected"), [(0.5, 1.0, range(7, 13)), (1.0, None, range(13, 25))])
def test_stretch_of_a_video(tmp_path: Path, start: float, end: float | None, expected: range) -> None:
    path = write_grey(tmp_path / "a.mp4", frames=24, fps=12)
    assert levels(Video(path).read(12, 16, start=start, end=end)) == list(expected)


def test_limit_and_stream_agree_with_the_whole(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "a.mp4", frames=24, fps=12)
    whole = Video(path).read(8, 16)
    np.testing.assert_array_equal(Video(path).read(8, 16, limit=5), whole[:5])
    np.testing.assert_array_equal(np.stack(list(Video(path).frames(8, 16))), whole)


def test_variable_frame_rate_goes_by_time(tmp_path: Path) -> None:
    # Frames 1..4 at 0, 0.1, 0.2 and 1.0 s: the third is on show for most of the first second.
    path = write_variable_rate(
        tmp_path / "a.mp4", [Fraction(0), Fraction(1, 10), Fraction(2, 10), Fraction(1)]
    )
    assert levels(Video(path).read(5, 16, end=1.05)) == [1, 3, 3, 3, 3, 4]


def test_centre_square_of_a_wide_picture(tmp_path: Path) -> None:
    pictures = np.zeros((4, 32, 96, 3), np.uint8)
    pictures[:, :, 32:64] = 200
    path = write_grey(tmp_path / "a.mp4", pictures=pictures)
    assert Video(path).read(12, 32).mean() > 180


def test_rotation_is_honoured(tmp_path: Path) -> None:
    pictures = np.zeros((4, 32, 32, 3), np.uint8)
    pictures[:, :16] = 200
    path = write_grey(tmp_path / "a.mp4", pictures=pictures)
    turn(path)
    frame = Video(path).read(12, 32)[0].astype(int)
    assert frame[:, 20:].mean() > 180, "the bright top is on the right now"
    assert frame[:, :12].mean() < 20


ODD = {
    "ten-bit.mp4": ("libx264", "yuv420p10le", {}),
    "ten-bit.mkv": ("libx265", "yuv420p10le", {"x265-params": "log-level=none:pools=none:frame-threads=1"}),
    "full-range.avi": ("mjpeg", "yuvj422p", {}),
    "full-range.mp4": ("libx264", "yuvj422p", {}),
    "rgb.mkv": ("libx264rgb", "rgb24", {"crf": "10"}),
    "rgb.mov": ("png", "rgb24", {}),
    "raw.avi": ("rawvideo", "bgr24", {}),
    "divx.avi": ("mpeg4", "yuv420p", {"bf": "2", "g": "12", "qmin": "1", "qmax": "1"}),
    "b-frames.avi": ("libx264", "yuv420p", {"crf": "10", "g": "12"}),
    "long groups.mp4": ("libx264", "yuv420p", {"crf": "10", "g": "250", "bf": "3"}),
    "stream.ts": ("libx264", "yuv420p", {"crf": "10", "g": "12"}),
    "web.webm": ("libvpx-vp9", "yuv420p", {"cpu-used": "8", "deadline": "realtime"}),
    "a #1 (b) [c]! & d;.mp4": ("libx264", "yuv420p", {"crf": "10"}),
    "100%d.mp4": ("libx264", "yuv420p", {"crf": "10"}),
    "http:__x.mkv": ("libx264", "yuv420p", {"crf": "10"}),
}


@pytest.mark.parametrize("name", ODD)
def test_every_kind_of_file_shows_its_frames(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, pixel_format, options = ODD[name]
    write_odd(tmp_path / name, codec, pixel_format, options)
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    whole = Video(path).read(12, 32)
    assert levels(whole) == list(range(1, 25))
    # From a seek, wherever key frames and the container's index lie.
    for start in (0.5, 1.0, 1.25):
        np.testing.assert_array_equal(Video(path).read(12, 32, start=start), whole[round(12 * start) :])
    info = Video(path).measure()
    assert (info.frames, info.width, info.height, info.variable, info.note) == (24, 62, 36, False, "")
    assert info.duration == pytest.approx(2.0, abs=0.002) and info.fps == pytest.approx(12, abs=0.02)


@pytest.mark.parametrize("name", ["one.mp4", "one.webm", "one.avi"])
def test_one_frame_is_a_video(name: str, tmp_path: Path) -> None:
    codec = {".mp4": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4"}[Path(name).suffix]
    path = write_odd(tmp_path / name, codec, "yuv420p", {}, count=1)
    assert len(Video(path).read(1, 16)) == 1
    assert Video(path).measure().frames == 1


def test_odd_sizes_keep_their_shape(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "a.mp4", pictures=grey([1, 2], 626, 360))
    assert Video(path).read(12, 172).shape == (2, 172, 172, 3)
    assert Video(path).read(12, 172, square=False).shape == (2, 172, 299, 3)


@pytest.mark.parametrize("told", [0, 7, 100_000])
def test_frame_counts_of_headers_are_not_believed(tmp_path: Path, told: int) -> None:
    path = write_odd(tmp_path / "a.avi", "mpeg4", "yuv420p", {"qscale": "2"})
    content = bytearray(path.read_bytes())
    main, stream = content.index(b"avih") + 8, content.index(b"strh") + 8
    assert (
        struct.unpack_from("<I", content, main + 16)
        == struct.unpack_from("<I", content, stream + 32)
        == (24,)
    )
    struct.pack_into("<I", content, main + 16, told)
    struct.pack_into("<I", content, stream + 32, told)
    path.write_bytes(content)
    assert levels(Video(path).read(12, 32)) == list(range(1, 25))
    info = Video(path).measure()
    assert info.frames == 24 and info.duration == pytest.approx(2.0)
    assert bool(info.note) == (told > 24), "a header that promises more than there is"


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(path, "w") as container:
        sound = container.add_stream("aac", rate=16000)
        cover = container.add_stream("mjpeg", rate=1)
        assert isinstance(cover, av.VideoStream) and isinstance(sound, av.AudioStream)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(grey([9], 32, 32)[0], format="rgb24")
        container.mux([*cover.encode(picture), *cover.encode()])
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        noise.sample_rate = 16000
        container.mux([*sound.encode(noise), *sound.encode(None)])
    with pytest.raises(DataError, match="no picture stream"):
        Video(path).probe()


def test_variable_rates_are_seen(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 10), Fraction(2, 10), Fraction(1)]
    assert Video(write_variable_rate(tmp_path / "a.mp4", times)).measure().variable
    assert not Video(write_grey(tmp_path / "b.mp4")).measure().variable


def write_frames(folder: Path, numbers: range, template: str = "frame_%010d.png") -> FrameFiles:
    for number in numbers:
        Image.fromarray(grey([number])[0]).save(folder / (template % number))
    found = find_frames(folder, 12)
    assert found is not None
    return found


def test_a_folder_of_frames_is_read_as_its_video_would_be(tmp_path: Path) -> None:
    files = write_frames(tmp_path, range(1, 25))
    assert files == FrameFiles("frame_%010d.png", 1, 24, 12)
    assert levels(Video(tmp_path, files).read(6, 16)) == list(range(1, 25, 2))
    assert levels(Video(tmp_path, files).read(12, 16, start=0.5, end=1.0)) == list(range(7, 13))
    info = Video(tmp_path, files).measure()
    assert (info.frames, info.duration, info.fps, info.codec) == (24, 2.0, 12.0, "images")


@pytest.mark.parametrize("template", ["%d.png", "img_%05d.png", "a 100%%_%03d.png"])
def test_names_of_frames_are_found(tmp_path: Path, template: str) -> None:
    files = write_frames(tmp_path, range(8, 12), template)
    assert (files.template, files.offset, files.count) == (template, 8, 4)


def test_missing_and_damaged_frames_are_named(tmp_path: Path) -> None:
    files = write_frames(tmp_path, range(1, 5))
    (tmp_path / "frame_0000000003.png").unlink()
    with pytest.raises(DataError, match=r"frame_0000000003\.png: no such file"):
        Video(tmp_path, files).read(12, 16)
    (tmp_path / "frame_0000000003.png").write_bytes((tmp_path / "frame_0000000002.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"frame_0000000003\.png: not a readable image"):
        Video(tmp_path, files).measure()


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts"])
def test_what_is_left_of_a_cut_file_is_told(tmp_path: Path, name: str) -> None:
    path = write_odd(tmp_path / name, "libx264", "yuv420p", {"crf": "10", "g": "4", "bf": "0"})
    path.write_bytes(path.read_bytes()[: int(0.85 * path.stat().st_size)])
    info = Video(path).measure()
    assert 4 <= info.frames < 22
    # A transport stream has no header to compare with.
    assert ("its header says 2.00 s" in info.note) == (name == "cut.mkv")


def test_a_cut_mp4_is_named_with_the_time(tmp_path: Path) -> None:
    path = write_grey(
        tmp_path / "a.mp4", pictures=np.random.default_rng(0).integers(0, 255, (24, 32, 32, 3), np.uint8)
    )
    with av.open(path) as source, av.open(tmp_path / "b.mp4", "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    content = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(content[: int(0.6 * len(content))])
    with pytest.raises(DataError, match=r"b\.mp4: damaged (at|or cut off after) \d\.\d+ s"):
        Video(tmp_path / "b.mp4").measure()


def test_probe_reads_the_header(tmp_path: Path) -> None:
    info = Video(write_grey(tmp_path / "a.mp4", frames=24, fps=12)).probe()
    assert (info.width, info.height, info.fps, info.codec) == (48, 32, 12, "h264")
    assert info.duration == pytest.approx(2.0)


def test_broken_files_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    whole = write_grey(tmp_path / "whole.mp4").read_bytes()
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(whole[: len(whole) // 2])
    audio = write_audio(tmp_path / "audio.mp4")
    reasons = {empty: "empty", text: "not a readable video", truncated: "not a readable", audio: "no picture"}
    for path, reason in reasons.items():
        with pytest.raises(DataError, match=f"{path.name}.*{reason}"):
            Video(path).read(12, 16)
    with pytest.raises(DataError, match=r"missing\.mp4: no such file"):
        Video(tmp_path / "missing.mp4").probe()


def test_damaged_pictures_are_no_frames(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (24, 64, 64, 3), np.uint8)
    path = write_grey(tmp_path / "a.mp4", pictures=noise)
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + 4000
    content[begin : begin + 3000] = bytes(3000)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4"):
        Video(path).read(12, 16)


def test_a_decoder_that_conceals_damage_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    noise = np.random.default_rng(0).integers(0, 255, (24, 48, 64, 3), np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    # The pictures' chunks are called 00dc: within one, away from where the next begins.
    middle = content.index(b"00dc", len(content) // 2) + 200
    content[middle : middle + 60] = bytes(60)
    path.write_bytes(content)
    with av.open(path) as container:
        assert len(list(container.decode(video=0))) == 24, "FFmpeg shows as many frames as ever"
    with pytest.raises(DataError, match=r"a\.avi: damaged at [01]\.\d\d s"):
        Video(path).measure()
    assert len(Video(path).read(12, 16, end=0.1)) == 2, "what comes before can be used"


def test_a_frame_that_lasts_no_time_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=12)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.time_base = Fraction(1, 90_000)
        frame = av.VideoFrame.from_ndarray(grey([7])[0], format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            packet.duration = 1
            container.mux(packet)
    assert levels(Video(path).read(12, 16)) == [7]


def test_nothing_to_see_after_the_end(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "a.mp4", frames=12, fps=12)
    with pytest.raises(DataError, match="no frame between 5 s"):
        Video(path).read(12, 16, start=5.0, end=6.0)
