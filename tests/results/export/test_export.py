"""Export and streaming: the exported step computes what the network computes, or it is not there."""

from __future__ import annotations

import gc
import json
import logging
import shutil
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from results.export import export_members as export_module
from results.export.export import ExportResult, export_network, retimed
from results.export.export_members import export_members
from results.family.family import Family, FamilyMember
from results.family.outcome import read_outcomes
from results.inference.runners import ClipRunner, ExportRunner
from results.inference.streaming import StreamingClassifier, softmax
from results.member import write_member
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.registry import RUNTIMES
from results.runtimes.runtime import quiet
from results.runtimes.sidecar import Sidecar
from search_space.architecture.parts import BASE, STREAM, Options
from search_space.collection import without_collection
from search_space.errors import DataError, ExportError, NetworkError
from search_space.files import sha256
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet
from tests.results.synthetic import CLASSES, LABELS, SIZE, clip, clip_logits, network


def models() -> dict[str, MoViNet | Ensemble]:
    return {"A4": network(1), "A6": Ensemble([network(1), network(2, expansion=24)])}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the members A4 and A6, written and exported."""
    folder = tmp_path_factory.mktemp("family")
    for name, model in models().items():
        parts = ("A4", "A5") if isinstance(model, Ensemble) else ()
        write_member(
            folder / name,
            name,
            model,
            recipe_yaml="",
            labels=LABELS,
            metrics={"top1": 0.5},
            part_names=parts,
        )
    results = list(export_members([folder / name for name in models()], clip()))
    assert [result.reason for result in results] == ["", ""]
    return folder


@pytest.mark.parametrize("name", ["A4", "A6"])
def test_following_the_sidecar_alone_gives_the_clip_s_logits(exported: Path, name: str) -> None:
    about = json.loads((exported / name / "step.onnx.json").read_text())
    session = onnxruntime.InferenceSession(str(exported / name / about["file"]))
    inputs = {tensor.name: tuple(tensor.shape) for tensor in session.get_inputs()}
    assert inputs == {tensor["name"]: tuple(tensor["shape"]) for tensor in about["inputs"]}
    assert [tensor.name for tensor in session.get_outputs()] == [
        tensor["name"] for tensor in about["outputs"]
    ]
    assert about["preprocessing"]["size"] == SIZE
    assert about["preprocessing"]["fps"] == 8.0
    assert about["labels"] == list(LABELS)

    video = clip(20, SIZE, SIZE, seed=3)
    assert {c["name"]: c["value"] for c in about["counters"]} == {"reciprocal": "1 / n"}
    feed = {s["name"]: np.zeros(s["shape"], dtype=s["dtype"]) for s in about["states"]}
    for number, frame in enumerate(video, start=1):
        feed["frame"] = frame.astype(np.float32).transpose(2, 0, 1)[None] / 255
        feed["reciprocal"] = np.full((1, 1, 1, 1), 1 / number, dtype=np.float32)
        outputs = dict(zip([t["name"] for t in about["outputs"]], session.run(None, feed), strict=True))
        values = feed | outputs
        feed = {s["name"]: values[s["next"]] for s in about["states"]}
    expected = clip_logits(models()[name], video)
    assert outputs["logits"].shape == (1, CLASSES)
    np.testing.assert_allclose(outputs["logits"][0], expected, atol=1e-4 * np.abs(expected).max())


def test_check_is_recorded(exported: Path) -> None:
    about = Sidecar.read(exported / "A4" / "step.onnx.json")
    assert about.check.passed
    assert about.check.frames == 16
    assert 0 < about.check.relative < 1e-5
    assert about.check.largest_logit > 0.1
    assert about.sha256 == sha256(exported / "A4" / "step.onnx")
    assert {"torch", "onnxruntime", "python"} <= set(about.versions)
    assert about.architectures == (network(1).architecture.text,)


def test_exporter_is_quiet_only_for_the_while() -> None:
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    with pytest.raises(KeyError), quiet("torch.onnx"), without_collection():
        assert not gc.isenabled()
        assert not logger.isEnabledFor(logging.WARNING)
        raise KeyError
    assert gc.isenabled()
    assert logger.level == before


def test_an_export_that_differs_is_not_written(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(exported / "A4", tmp_path / "A4")

    def convert_another(_runtime: object, _program: object, path: Path) -> None:
        shutil.copy(exported / "A4" / "step.onnx", path)

    monkeypatch.setattr(type(RUNTIMES["onnx"]), "convert", convert_another)
    same = export_network(network(1), tmp_path / "A4", clip(), name="A4", labels=LABELS)
    assert same.passed
    before = {path: path.read_bytes() for path in (tmp_path / "A4").iterdir()}
    with pytest.raises(ExportError, match="differs from the network by"):
        export_network(network(7), tmp_path / "A4", clip(), name="A4", labels=LABELS)
    assert {path: path.read_bytes() for path in (tmp_path / "A4").iterdir()} == before
    write_member(tmp_path / "A4", "A4", network(7), recipe_yaml="", labels=LABELS, metrics={})
    assert not export_module.export_folder(tmp_path / "A4", clip()).passed
    assert not list((tmp_path / "A4").glob("step.*")), "it was of other weights"


def test_a_failing_exporter_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unsupported operator\nand pages more")

    monkeypatch.setattr(torch.export, "export", fail)
    (tmp_path / "step.onnx").write_text("old")
    (tmp_path / "step.onnx.json").write_text("old")
    with pytest.raises(ExportError, match="unsupported operator") as caught:
        export_network(network(), tmp_path, clip(), name="A0", labels=LABELS)
    assert "pages" not in str(caught.value)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("step.onnx", "step.onnx.json"), "old"
    )


def test_a_failing_member_does_not_keep_the_others(exported: Path, tmp_path: Path) -> None:
    write_member(tmp_path / "A0", "A0", network(options=BASE), recipe_yaml="", labels=LABELS, metrics={})
    write_member(tmp_path / "A1", "A1", network(), recipe_yaml="", labels=LABELS, metrics={})
    (tmp_path / "A1" / "weights.safetensors").write_bytes(b"nothing")
    results = list(export_members([tmp_path / name for name in ("A0", "A1", "A2")], clip()))
    assert [result.name for result in results] == ["A0", "A1", "A2"]
    assert not any(result.passed for result in results)
    for result, words in zip(results, ("base form", "SHA-256", "does not exist"), strict=True):
        assert words in result.reason
    assert not list(tmp_path.rglob("step.*"))


def test_timing_again_changes_nothing_else(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported / "A4", tmp_path / "A4")
    before = Sidecar.read(tmp_path / "A4" / "step.onnx.json")
    result = retimed(ExportResult("A4", tmp_path / "A4" / "step.onnx", before.check, 1, 1.0))
    after = Sidecar.read(tmp_path / "A4" / "step.onnx.json")
    assert result.check == after.check
    assert after.check.latency_ms > 0
    assert (after.check.max_difference, after.check.frames) == (before.check.max_difference, 16)
    assert (after.digest, after.states, after.sha256) == (before.digest, before.states, before.sha256)
    failed = ExportResult("A4", None, None, 0, 1.0, "no")
    assert retimed(failed) is failed


class _KilledPool:
    """A pool whose workers are killed at once."""

    def __init__(self, *_: object, **__: object) -> None:
        self.submitted = 0

    def __enter__(self) -> _KilledPool:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, *_: object) -> Future[ExportResult]:
        future: Future[ExportResult] = Future()
        future.set_exception(BrokenProcessPool("killed"))
        return future


def test_killed_processes_are_results_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "ProcessPoolExecutor", _KilledPool)
    results = list(export_members([tmp_path / "A0", tmp_path / "A1"], clip(), workers=2))
    assert {result.name for result in results} == {"A0", "A1"}
    assert all("killed" in result.reason for result in results)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        replace(STREAM, position_encoding=True, gate="hard_sigmoid_keras"),
        replace(STREAM, convolution="3d_2plus1d", squeeze="2d"),
        replace(STREAM, convolution="3d", squeeze="3d", activation="swish", gate="sigmoid"),
        replace(STREAM, squeeze="none", activation="relu6"),
    ],
    ids=["position", "3d_2plus1d", "3d", "plain"],
)
def test_every_causal_form_exports(options: Options, tmp_path: Path) -> None:
    result = export_network(network(options=options), tmp_path, clip(), name="A0", labels=LABELS)
    assert result.passed


@pytest.mark.parametrize("size", [9, 12])
def test_a_pooling_as_large_as_its_image_is_not_global(size: int, tmp_path: Path) -> None:
    # The last stage's shortcut pools 3 x 3 pixels by 3 x 3, in steps of two with padding around.
    assert export_network(network(size=size), tmp_path, clip(), name="A0", labels=LABELS).passed


@pytest.mark.slow
def test_members_are_exported_side_by_side(exported: Path, tmp_path: Path) -> None:
    for name in models():
        shutil.copytree(exported / name, tmp_path / name, ignore=shutil.ignore_patterns("step.*"))
    results = list(export_members([tmp_path / name for name in models()], clip(), workers=2))
    assert {result.name for result in results if result.passed} == {"A4", "A6"}


@pytest.mark.parametrize("labels", [LABELS[:-1], (*LABELS, "more")])
def test_labels_have_to_be_as_many_as_classes(labels: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="5 classes"):
        export_network(network(), tmp_path, clip(), name="A0", labels=labels)


def test_an_empty_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="shape"):
        export_network(network(), tmp_path, clip()[:0], name="A0", labels=LABELS)


def test_outcomes_have_the_export(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "family")
    family = Family(tuple(FamilyMember(name, "", "", 1, 0.5, 0.0, 1, 1, 1) for name in models()))
    found = read_outcomes(tmp_path, family)
    result = found["A6"].export
    assert result is not None
    assert result.passed
    assert result.check == Sidecar.read(exported / "A6" / "step.onnx.json").check


@pytest.mark.parametrize("name", ["A4", "A6"])
@pytest.mark.parametrize("file", ["", "step.onnx"])
def test_stream_ends_where_the_clip_does(exported: Path, name: str, file: str) -> None:
    video = clip(20, seed=4)
    classifier = StreamingClassifier.open(exported / name / file)
    for frame in video:
        probabilities = classifier.push(frame)
    np.testing.assert_allclose(probabilities, softmax(clip_logits(models()[name], video)), atol=1e-5)
    assert probabilities.sum() == pytest.approx(1.0)
    assert classifier.frames == 20
    best, share = classifier.top(1)[0]
    assert best == LABELS[int(probabilities.argmax())]
    assert share == pytest.approx(float(probabilities.max()))


@pytest.mark.parametrize("file", ["", "step.onnx"])
def test_streams_are_independent_and_reset(exported: Path, file: str) -> None:
    classifier = StreamingClassifier.open(exported / "A4" / file)
    other = classifier.another()
    first = [classifier.push(frame) for frame in clip(6, seed=1)]
    for frame in clip(3, seed=2):
        other.push(frame)
    classifier.reset()
    assert classifier.frames == 0
    again = [classifier.push(frame) for frame in clip(6, seed=1)]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[-1])


@pytest.mark.parametrize("file", ["", "step.onnx"])
def test_state_stays_as_large_as_it_is(exported: Path, file: str) -> None:
    classifier = StreamingClassifier.open(exported / "A4" / file)

    def shapes() -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in classifier._state.items()}

    before = shapes()
    for frame in clip(40):
        classifier.push(frame)
    assert shapes() == before


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_leaves_the_stream_as_it_was(exported: Path, frame: NDArray[np.uint8]) -> None:
    classifier = StreamingClassifier.open(exported / "A4")
    video = clip(2)
    classifier.push(video[0])
    with pytest.raises(DataError, match="not a picture"):
        classifier.push(frame)
    after = classifier.push(video[1])
    fresh = classifier.another()
    fresh.push(video[0])
    np.testing.assert_array_equal(after, fresh.push(video[1]))


def test_things_that_cannot_stream_are_named(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="neither"):
        StreamingClassifier.open(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="does not exist"):
        StreamingClassifier.open(tmp_path / "step.onnx")
    write_member(tmp_path / "A0", "A0", network(options=BASE), recipe_yaml="", labels=LABELS, metrics={})
    with pytest.raises(NetworkError, match="whole clips"):
        StreamingClassifier.open(tmp_path / "A0")


def test_damaged_exports_are_refused(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "A4"
    shutil.copytree(exported / "A4", folder)
    content = bytearray((folder / "step.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "step.onnx").write_bytes(content)
    with pytest.raises(ExportError, match="SHA-256"):
        ExportRunner(folder / "step.onnx")
    (folder / "step.onnx").unlink()
    with pytest.raises(ExportError, match=r"step\.onnx does not exist"):
        ExportRunner(folder / "step.onnx")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("format", "movinas-step-9", "movinas-step-9"),
        ("states", None, "states"),
        ("preprocessing", {"size": 24, "fps": 8, "range": [-1, 1]}, "range"),
        ("check", {}, "incomplete"),
    ],
)
def test_sidecars_of_other_versions_are_refused(
    exported: Path, tmp_path: Path, key: str, value: object, words: str
) -> None:
    content = json.loads((exported / "A4" / "step.onnx.json").read_text())
    (tmp_path / "step.onnx.json").write_text(json.dumps({**content, key: value}))
    with pytest.raises(ExportError, match=words):
        Sidecar.read(tmp_path / "step.onnx.json")


def test_runners_are_for_their_own_files(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"not an exported network .*\.onnx, \.param, \.pt2, \.pte, \.tflite"
    ):
        ExportRunner(tmp_path / "step.bin")
    path = shutil.copy(exported / "A4" / "step.onnx", tmp_path / "step.tflite")
    shutil.copy(exported / "A4" / "step.onnx.json", tmp_path / "step.tflite.json")
    with pytest.raises(ExportError, match=r"is for onnx, whose files end in \.onnx"):
        ExportRunner(Path(path))
    for file in ("step.onnx", "step.onnx.json"):
        shutil.copy(exported / "A4" / file, tmp_path / file)
    with pytest.raises(ExportError, match="is the step form, and this needs the clip form"):
        ClipRunner(tmp_path / "step.onnx")


def test_sidecar_round_trips(exported: Path, tmp_path: Path) -> None:
    about = Sidecar.read(exported / "A6" / "step.onnx.json")
    about.write(tmp_path / "step.onnx.json")
    assert Sidecar.read(tmp_path / "step.onnx.json") == about
    assert (tmp_path / "step.onnx.json").read_text() == (exported / "A6" / "step.onnx.json").read_text()


def test_preprocessing_keeps_proportions_and_scale() -> None:
    fit = Preprocessing(8, 5.0)
    exact = clip(1, 8, 8)[0]
    np.testing.assert_array_equal(fit.apply(exact)[0], exact.transpose(2, 0, 1).astype(np.float32) / 255)
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 255
    # The middle third is the square that stays.
    assert fit.apply(wide).min() == 1.0
    for shape in ((9, 31), (31, 9), (3, 5), (8, 9)):
        result = fit.apply(np.full((*shape, 3), 51, np.uint8))
        assert result.shape == (1, 3, 8, 8)
        np.testing.assert_allclose(result, 0.2, atol=1e-6)
    assert Preprocessing.from_json(fit.to_json()) == fit
