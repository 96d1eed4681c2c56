"""Streaming from files and cameras: what is shown, written and refused, and many streams at once."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest

import movinas
from proxy_train.video import live
from proxy_train.video.video import Video
from results.export.export import export_network
from results.inference.annotated_video import annotated_video
from results.inference.memory import peak_bytes, resident_bytes
from results.inference.streaming import StreamingClassifier, softmax
from results.inference.watching import watch
from results.member import write_member
from results.profiling.step_profile import Subject, profile_step
from search_space.errors import DataError, SettingsError
from tests.results.synthetic import LABELS, SIZE, clip, clip_logits, network

FPS = 8


def encode(path: Path, seconds: int, kind: str = "mp4") -> Path:
    """A video of a moving square at the networks' frame rate."""
    video = clip(seconds * FPS, 48, 64)
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member's folder with its step in ONNX."""
    folder = tmp_path_factory.mktemp("family") / "A4"
    write_member(folder, "A4", network(1), recipe_yaml="", labels=LABELS, metrics={"top1": 0.5})
    export_network(network(1), folder, clip(), name="A4", labels=LABELS)
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("video") / "video.mp4", 3)


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> tuple[int, str, str]:
    """Exit status, output and errors of a command."""
    monkeypatch.setattr(sys, "argv", ["movinas", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


@pytest.mark.parametrize("file", ["", "step.onnx"])
def test_last_line_is_what_the_clip_form_says(
    member: Path,
    video: Path,
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.mp4"
    status, out, _ = call(
        monkeypatch, capsys, "stream", member / file, video, "--json", "--top", "5", "--output", output
    )
    assert status == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["frame"] for line in lines] == list(range(3 * FPS))
    assert lines[-1]["seconds"] == pytest.approx((3 * FPS - 1) / FPS)
    assert all(line["ms"] > 0 and line["memory_mib"] > 10 for line in lines)
    whole = softmax(clip_logits(network(1), Video(video).read(FPS, SIZE)))
    told = {each["label"]: each["probability"] for each in lines[-1]["top"]}
    assert [told[label] for label in LABELS] == pytest.approx(list(whole), abs=1e-5)
    with av.open(str(output)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == FPS
    assert len(frames) == 3 * FPS
    # The bar of the most probable label is there, and longer than the last's.
    blue = (frames[-1].astype(int)[480:, :, 2] - frames[-1].astype(int)[480:, :, 0]) > 60
    assert blue[40:50].sum() > blue[-20:-10].sum()


def test_lines_to_read(
    member: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = call(monkeypatch, capsys, "stream", member, video, "--top", "1")
    assert status == 0
    assert len(out.splitlines()) == 3 * FPS
    assert all(word in out.splitlines()[-1] for word in ("2.88 s", " ms ", " MiB ", "label", "%"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("camera:73", ["there is no camera 73", "/dev/video73"]),
        ("nowhere.mp4", ["no such file"]),
        ("/dev/null", ["cannot be read as a camera"]),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="devices are named so on Linux")
def test_what_is_not_there_is_named(
    member: Path,
    source: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = call(monkeypatch, capsys, "stream", member / "step.onnx", source)
    assert status == 2
    assert out == ""
    assert all(word in err for word in words)


@pytest.mark.parametrize("kind", ["mp4", "matroska"])
def test_a_video_that_ends_early_is_shown_as_far_as_it_goes(
    member: Path,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = encode(tmp_path / "whole", 12, kind)
    if kind == "mp4":
        whole = remuxed(whole, tmp_path / "first.mp4")
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    output = tmp_path / "out.mp4"
    status, out, err = call(monkeypatch, capsys, "stream", member / "step.onnx", cut, "--output", output)
    assert status == 2
    assert 10 < len(out.splitlines()) < 12 * FPS
    assert "cut off" in err
    with av.open(str(output)) as container:
        assert len(list(container.decode(video=0))) == len(out.splitlines())


def remuxed(path: Path, target: Path) -> Path:
    """The same mp4 file with its index at the beginning, as files for the web have it."""
    with av.open(str(path)) as given, av.open(str(target), "w", options={"movflags": "faststart"}) as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return target


def test_a_damaged_member_is_refused_before_any_frame(
    member: Path,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(member, tmp_path / "A4")
    weights = tmp_path / "A4" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    status, out, err = call(monkeypatch, capsys, "stream", tmp_path / "A4", video)
    assert (status, out) == (2, "")
    assert "weights.safetensors" in err and "SHA-256" in err
    about = tmp_path / "A4" / "step.onnx.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "format": "movinas-step-2"}))
    status, out, err = call(monkeypatch, capsys, "stream", tmp_path / "A4" / "step.onnx", video)
    assert (status, out) == (2, "")
    assert "movinas-step-2" in err and "export the member again" in err


@pytest.mark.parametrize("name", ["out.nothing", "missing/out.mp4"])
def test_a_video_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"), annotated_video(tmp_path / name, 8, 1):
        pass


def test_a_camera_s_pictures_are_those_that_are_due(tmp_path: Path) -> None:
    path = encode(tmp_path / "camera.mkv", 3, "matroska")
    pictures = list(live._camera_pictures(str(path), None, FPS / 2, SIZE))
    assert len(pictures) == 3 * FPS // 2
    expected = Video(path).read(FPS / 2, SIZE)
    np.testing.assert_array_equal(np.stack(pictures), expected)
    # A camera slower than the network: each of its pictures once.
    assert len(list(live._camera_pictures(str(path), None, 3 * FPS, SIZE))) == 3 * FPS


@pytest.mark.parametrize("file", ["", "step.onnx"])
def test_many_streams_at_once_are_each_their_own(member: Path, file: str) -> None:
    first = StreamingClassifier.open(member / file)
    streams = [first, *(first.another() for _ in range(31))]
    videos = [clip(5, seed=index) for index in range(len(streams))]
    rng = np.random.default_rng(0)
    # In an order of their own: a stream never has the same neighbours.
    turns = rng.permutation(np.repeat(np.arange(len(streams)), 5))
    for index in turns:
        streams[index].push(videos[index][streams[index].frames])
    for stream, frames in zip(streams, videos, strict=True):
        alone = first.another()
        for frame in frames:
            expected = alone.push(frame)
        np.testing.assert_array_equal(stream.push(frames[0]), alone.push(frames[0]))
        assert expected.sum() == pytest.approx(1.0)


def test_memory_is_told(member: Path) -> None:
    seen = list(watch(StreamingClassifier.open(member / "step.onnx"), clip(4), 2))
    assert [each.frame for each in seen] == [0, 1, 2, 3]
    assert 0 < resident_bytes() <= peak_bytes()
    assert len(seen[0].top) == 2


def test_a_step_is_profiled_in_its_runtime(member: Path) -> None:
    found = profile_step(Subject.of(str(member / "step.onnx"), 0), 5, "pytorch", 1, "float32")
    assert found.runtime == "onnx"
    assert len(found.measured.milliseconds) == 15
    assert 0 < found.measured.model_bytes < found.measured.peak_bytes
    assert all(word in found.text() for word in ("onnx", "one thread", "95th percentile", "memory"))
    with pytest.raises(SettingsError, match="--runtime litert"):
        profile_step(Subject.of(str(member / "step.onnx"), 0), 5, "litert", 1, "float32")
    with pytest.raises(SettingsError, match=r"--int8: .*step\.onnx is float32"):
        profile_step(Subject.of(str(member / "step.onnx"), 0), 5, "pytorch", 1, "int8")
    assert Subject.of("A0-stream", 7).classes == 7
