"""Several videos in one call are each what they are alone, whatever the others do."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from results.export.export import ExportTarget, export_network
from results.inference.many_streams import ManyStreams
from results.inference.streaming import StreamingClassifier
from results.member import write_member
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.architecture.parts import STREAM
from search_space.errors import DataError, ExportError, MovinasError
from search_space.network.ensemble import Ensemble
from tests.results.inference.test_stream import call, encode
from tests.results.synthetic import LABELS, SIZE, clip, network

FILE = "step.x3.onnx"


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble that encodes positions, and its steps of one and of three videos."""
    folder = tmp_path_factory.mktemp("family") / "A6"
    model = Ensemble([network(1), network(2, options=replace(STREAM, position_encoding=True))])
    write_member(
        folder, "A6", model, recipe_yaml="", labels=LABELS, metrics={"top1": 0.5}, part_names=("A4", "A5")
    )
    for streams in (1, 3):
        export_network(model, folder, clip(), name="A6", labels=LABELS, target=ExportTarget(streams=streams))
    return folder


def test_the_sidecar_says_how_many_videos_a_call_takes(member: Path) -> None:
    about = Sidecar.read(sidecar_of(member / FILE))
    assert (about.streams, about.unit) == (3, "call of 3 frames")
    assert about.pixels.shape == (3, 3, SIZE, SIZE) and about.logits.shape == (3, len(LABELS))
    assert {tensor.shape[0] for tensor in about.inputs} == {3}
    assert Sidecar.read(sidecar_of(member / "step.onnx")).streams == 1


@pytest.mark.parametrize("file", [FILE, "step.onnx", ""])
@pytest.mark.parametrize("seed", range(4))
def test_videos_come_and_go_by_themselves(file: str, seed: int, member: Path) -> None:
    draw, pictures = random.Random(seed), np.random.default_rng(seed)
    many, one = ManyStreams.open(member / file, streams=3), StreamingClassifier.open(member)
    alone: dict[int, StreamingClassifier] = {}
    for _ in range(40):
        action = draw.choice(["join", "push", "push", "push", "reset", "leave"])
        if action == "join" or not alone:
            stream = many.join()
            assert stream not in alone
            alone[stream] = one.another()
        elif action == "push":
            chosen = draw.sample(sorted(alone), draw.randint(1, len(alone)))
            frames = {s: pictures.integers(0, 256, (30, 40, 3), np.uint8) for s in chosen}
            for stream, probabilities in many.push(frames).items():
                np.testing.assert_allclose(probabilities, alone[stream].push(frames[stream]), atol=1e-5)
                assert many.top(stream, 1)[0][0] == alone[stream].top(1)[0][0]
        elif action == "reset":
            stream = draw.choice(sorted(alone))
            many.reset(stream)
            alone[stream].reset()
            np.testing.assert_allclose(dict(many.top(stream, 99))[LABELS[0]], 1 / len(LABELS))
        else:
            stream = draw.choice(sorted(alone))
            many.leave(stream)
            del alone[stream]
        assert len(many) == len(alone)


def test_a_place_that_is_left_is_taken(member: Path) -> None:
    many = ManyStreams.open(member / FILE)
    streams = [many.join() for _ in range(4)]
    assert len(many._calls) == 2
    many.leave(streams[0])
    many.join()
    assert len(many._calls) == 2
    for stream in (streams[3], *streams[1:3]):
        many.leave(stream)
    assert len(many._calls) == 1 and len(many) == 1


def test_what_cannot_be_pushed_changes_nothing(member: Path) -> None:
    many, one = ManyStreams.open(member / FILE), StreamingClassifier.open(member)
    first, second = many.join(), many.join()
    frames = clip(3)
    many.push({first: frames[0], second: frames[0]})
    one.push(frames[0])
    with pytest.raises(DataError, match=f"video {second}: a frame of shape"):
        many.push({first: frames[1], second: frames[1].astype(np.float32)})
    with pytest.raises(ExportError, match="there is no video 99"):
        many.push({first: frames[1], 99: frames[1]})
    many.leave(second)
    for refused in (many.reset, many.leave, many.top):
        with pytest.raises(ExportError, match=f"there is no video {second}"):
            refused(second)
    np.testing.assert_allclose(many.push({first: frames[1]})[first], one.push(frames[1]), atol=1e-5)


def test_logits_that_are_not_finite_are_no_answer(member: Path) -> None:
    many = ManyStreams.open(member / FILE)
    first, second = many.join(), many.join()
    right = many._runner.run_all

    def broken(
        frames: NDArray[np.float32], state: object, fed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], object]:
        logits, after = right(frames, state, fed)
        return np.where(np.arange(3)[:, None] == 1, np.nan, logits), after

    many._runner.run_all = broken  # type: ignore[method-assign]
    frame = clip(1)[0]
    with pytest.raises(ExportError, match=f"the logits of video {second} are not finite"):
        many.push({first: frame, second: frame})
    # The other one goes on: what is in a row that no frame was given for means nothing.
    assert np.isfinite(many.push({first: frame})[first]).all()


def test_an_export_of_several_videos_is_opened_as_such(member: Path) -> None:
    with pytest.raises(ExportError, match="takes frames of 3 videos at once"):
        StreamingClassifier.open(member / FILE)


@pytest.mark.parametrize("file", [FILE, ""])
def test_videos_side_by_side_on_the_command_line(
    file: str,
    member: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    long, short, none = tmp_path / "long.mp4", tmp_path / "short.mp4", tmp_path / "none.mp4"
    encode(long, 3), encode(short, 1)
    none.write_text("no video")
    status, out, _ = call(monkeypatch, capsys, "stream", member / file, long, short, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    for video, frames in ((long, 24), (short, 8)):
        mine = [line for line in lines if line["video"] == str(video)]
        assert [line["frame"] for line in mine] == list(range(frames))
        _, alone, _ = call(monkeypatch, capsys, "stream", member, video, "--json")
        best = [json.loads(line)["top"][0]["probability"] for line in alone.splitlines()]
        np.testing.assert_allclose([line["top"][0]["probability"] for line in mine], best, atol=1e-5)
    # One that cannot be read ends nothing but itself, and is said at the end.
    status, out, err = call(monkeypatch, capsys, "stream", member / file, none, short)
    assert status == 2 and str(none) in err
    assert len([line for line in out.splitlines() if line.startswith(str(short))]) == 8
    status, _, err = call(
        monkeypatch, capsys, "stream", member, long, short, "--output", tmp_path / "out.mp4"
    )
    assert status == 2 and "for a single video" in " ".join(err.split())


def test_clip_forms_and_no_videos_are_refused(tmp_path: Path) -> None:
    for target in (ExportTarget(form="clip", streams=2), ExportTarget(streams=0)):
        with pytest.raises(MovinasError, match="a step takes one or more, a clip one"):
            export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=target)
