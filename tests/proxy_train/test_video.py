"""Decoding by time, scaling, and every broken file reported by name."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from proxy_train.moving_digits import encode
from proxy_train.video import probe, read_frames, read_stream
from search_space.errors import DataError

Pictures = npt.NDArray[np.uint8]


def grey(levels: list[int], width: int = 48, height: int = 32) -> Pictures:
    """Frames of one grey level each, ten times the number given."""
    return np.stack([np.full((height, width, 3), 10 * level, np.uint8) for level in levels])


def write_video(path: Path, *, frames: int = 24, fps: int = 12, pictures: Pictures | None = None) -> Path:
    """An mp4 whose grey level is 10, 20, ... from frame to frame, or of the pictures given."""
    encode(path, grey(list(range(1, frames + 1))) if pictures is None else pictures, crf=10, fps=fps)
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


def levels(frames: Pictures) -> list[int]:
    """The grey level of each frame, in steps of 10 from 1."""
    return [round(float(frame.mean()) / 10) for frame in frames]


def test_every_second_frame_at_half_the_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=24, fps=12)
    assert levels(read_frames(path, None, None, 6, 16)) == list(range(1, 25, 2))
    assert levels(read_frames(path, None, None, 12, 16)) == list(range(1, 25))


def test_frames_repeat_above_the_files_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=6, fps=6)
    assert levels(read_frames(path, None, None, 12, 16)) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]


@pytest.mark.parametrize(("start", "end", "expected"), [(0.5, 1.0, range(7, 13)), (1.0, None, range(13, 25))])
def test_stretch_of_a_video(tmp_path: Path, start: float, end: float | None, expected: range) -> None:
    path = write_video(tmp_path / "a.mp4", frames=24, fps=12)
    assert levels(read_frames(path, start, end, 12, 16)) == list(expected)


def test_limit_and_stream_agree_with_the_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=24, fps=12)
    whole = read_frames(path, None, None, 8, 16)
    np.testing.assert_array_equal(read_frames(path, None, None, 8, 16, limit=5), whole[:5])
    np.testing.assert_array_equal(np.stack(list(read_stream(path, 8, 16))), whole)


def test_variable_frame_rate_goes_by_time(tmp_path: Path) -> None:
    # Frames 1..4 at 0, 0.1, 0.2 and 1.0 s: the third is on show for most of the first second.
    path = write_variable_rate(
        tmp_path / "a.mp4", [Fraction(0), Fraction(1, 10), Fraction(2, 10), Fraction(1)]
    )
    assert levels(read_frames(path, None, 1.05, 5, 16)) == [1, 3, 3, 3, 3, 4]


def test_centre_square_of_a_wide_picture(tmp_path: Path) -> None:
    pictures = np.zeros((4, 32, 96, 3), np.uint8)
    pictures[:, :, 32:64] = 200
    path = write_video(tmp_path / "a.mp4", pictures=pictures)
    assert read_frames(path, None, None, 12, 32).mean() > 180


def test_rotation_is_honoured(tmp_path: Path) -> None:
    pictures = np.zeros((4, 32, 32, 3), np.uint8)
    pictures[:, :16] = 200
    path = write_video(tmp_path / "a.mp4", pictures=pictures)
    # The track header's matrix: "turn clockwise to show", as telephones write it.
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    head, tail = path.read_bytes().split(b"tkhd")
    path.write_bytes(head + b"tkhd" + tail.replace(upright, turned, 1))
    frame = read_frames(path, None, None, 12, 32)[0].astype(int)
    assert frame[:, 20:].mean() > 180, "the bright top is on the right now"
    assert frame[:, :12].mean() < 20


def test_probe_reads_the_header(tmp_path: Path) -> None:
    info = probe(write_video(tmp_path / "a.mp4", frames=24, fps=12))
    assert (info.width, info.height, info.fps, info.codec) == (48, 32, 12, "h264")
    assert info.duration == pytest.approx(2.0)


def test_broken_files_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(whole[: len(whole) // 2])
    audio = write_audio(tmp_path / "audio.mp4")
    reasons = {empty: "empty", text: "not a readable video", truncated: "not a readable", audio: "no picture"}
    for path, reason in reasons.items():
        with pytest.raises(DataError, match=f"{path.name}.*{reason}"):
            read_frames(path, None, None, 12, 16)
    with pytest.raises(DataError, match=r"missing\.mp4: no such file"):
        probe(tmp_path / "missing.mp4")


def test_damaged_pictures_are_no_frames(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (24, 64, 64, 3), np.uint8)
    path = write_video(tmp_path / "a.mp4", pictures=noise)
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + 4000
    content[begin : begin + 3000] = bytes(3000)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4"):
        read_frames(path, None, None, 12, 16)


def test_nothing_to_see_after_the_end(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=12, fps=12)
    with pytest.raises(DataError, match="no frame between 5 s"):
        read_frames(path, 5.0, 6.0, 12, 16)
