"""Exports for every runtime, form and precision, and what is refused before a runtime sees it."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from results.export.export import ExportClips, ExportTarget, export_network
from results.inference.isolated_run import isolated_run
from results.inference.runners import ClipRunner
from results.inference.streaming import StreamingClassifier, softmax
from results.runtimes import sidecar
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.registry import RUNTIMES, companions_of
from results.runtimes.sidecar import Sidecar
from results.runtimes.torch_export import refuse_pickles
from search_space.architecture.parts import STREAM
from search_space.errors import ExportError
from search_space.network.ensemble import Ensemble
from tests.results.synthetic import EXTRAS, LABELS, SIZE, clip, clip_logits, network, require_extra


@pytest.mark.parametrize("runtime", EXTRAS)
def test_extras_are_asked_for(runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [EXTRAS[runtime], *(n for n in sys.modules if n.startswith(f"{EXTRAS[runtime]}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=rf"needs .*movinas\[{runtime}\]"):
        export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=ExportTarget(runtime))
    assert list(tmp_path.iterdir()) == []


FORMATS = [
    (form, name, precision)
    for name, runtime in RUNTIMES.items()
    for form in runtime.forms
    for precision in runtime.precisions
]
FAST = {
    ("clip", "onnxruntime", "float32"),
    ("step", "onnxruntime", "float32"),
    ("step", "onnx", "float16"),
    ("step", "openvino", "float32"),
    ("step", "opencv", "float32"),
    ("step", "ncnn", "float32"),
    ("step", "torch.export", "float32"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "form,runtime,precision",
    [
        pytest.param(*each, marks=[] if each in FAST else pytest.mark.slow, id="-".join(each))
        for each in FORMATS
    ],
)
def test_every_format_computes_the_network(
    form: sidecar.Form, runtime: str, precision: sidecar.Precision, tmp_path: Path
) -> None:
    require_extra(runtime)
    model = Ensemble([network(1), network(2, options=replace(STREAM, position_encoding=True))])
    # Two clips are too few for a loss.
    target = ExportTarget(runtime, form, precision, most_lost=1.0)
    labelled = [(clip(8, seed=3), 0), (clip(8, seed=4), 1)]
    result = export_network(
        model,
        tmp_path,
        clip(),
        name="A6",
        labels=LABELS,
        target=target,
        accuracy={"stream_top1": 0.5},
        clips=ExportClips(evaluation=labelled if precision == "int8" else ()),
    )
    assert result.check is not None
    assert result.check.frames == 16
    bound = {"float32": 1e-5, "float16": 3e-3, "int8": 0.1}[precision]
    assert 0 < result.check.relative < bound
    name = target.file_name
    about = Sidecar.read(tmp_path / f"{name}.json")
    companions = [path.name for path in companions_of(tmp_path / name, runtime)]
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.json", *companions}
    assert sorted(about.companions) == sorted(companions)
    assert result.bytes == sum((tmp_path / file).stat().st_size for file in (name, *companions))
    assert (about.form, about.runtime, about.precision) == (form, runtime, precision)
    assert about.accuracy["stream_top1"] == 0.5
    assert about.accuracy.get("videos", 0) == (2 if precision == "int8" else 0)
    assert about.check.latency_ms > 0
    assert (about.check.float32_share is None) == (precision != "int8")
    if runtime not in {"litert", "executorch"}:
        # Those compilers write what they like; all others' files say nothing of the machine that made them.
        assert b"step_module.py" not in (tmp_path / name).read_bytes()
    assert about.settings == RUNTIMES[runtime].settings
    assert (about.graph == "portable") == (runtime in {"onnx", "onnxruntime-web", "openvino", "opencv"})
    if runtime in {"onnx", "onnxruntime"}:
        assert about.oldest_runtime == "1.17" and onnx.load(tmp_path / name).ir_version <= 9
    told = json.loads((tmp_path / f"{name}.json").read_text())["preprocessing"]
    assert told["layout"] == ("NHWC" if runtime == "litert" else "NCHW")
    video = clip(8, SIZE, SIZE, seed=5)
    if form == "step":
        classifier = StreamingClassifier.open(tmp_path / name)
        for frame in video:
            probabilities = classifier.push(frame)
    else:
        frames = np.concatenate([Preprocessing(SIZE, 8.0).apply(frame) for frame in video])
        probabilities = softmax(ClipRunner(tmp_path / name).run(frames))
    np.testing.assert_allclose(probabilities, softmax(clip_logits(model, video)), atol=10 * bound)


def test_a_precision_that_a_runtime_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"torch\.export has no int8 export"):
        export_network(
            network(),
            tmp_path,
            clip(),
            name="A0",
            labels=LABELS,
            target=ExportTarget("torch.export", precision="int8"),
        )


def test_a_form_that_a_runtime_has_not_is_refused(tmp_path: Path) -> None:
    target = ExportTarget("ncnn", "clip")
    with pytest.raises(ExportError, match=r"ncnn has no export of the clip form.*--form step"):
        export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=target)


@pytest.mark.parametrize(
    ("entry", "content", "words"),
    [
        ("data/sample_inputs/model.pt", b"pickle", "sample_inputs"),
        ("data/weights/model.pt", b"pickle", "data/weights/model.pt"),
        ("data/constants/custom_obj_0", b"pickle", "custom_obj_0"),
        ("data/aotinductor/model/code.so", b"code", "code.so"),
        ("models/model.json", {"guards_code": ["1"]}, "guards"),
        ("models/model.json", {"range_constraints": {"s0": {}}}, "symbolic"),
        ("models/model.json", {"graph_module": {"expr_str": "s0"}}, "symbolic"),
        (
            "models/model.json",
            {"graph_module": {"nodes": [{"target": "os.system", "inputs": [], "outputs": []}]}},
            "os.system",
        ),
        ("models/model.json", {"graph_module": {"name": "x\nimport os"}}, "the name"),
        (
            "data/weights/model_weights_config.json",
            {"config": {"a": {"use_pickle": True, "path_name": "weight_0"}}},
            "a as a pickle",
        ),
        (
            "data/constants/model_constants_config.json",
            {"config": {"a": {"use_pickle": False, "path_name": "opaque_obj_0"}}},
            "a as a pickle",
        ),
    ],
)
def test_programs_that_would_unpickle_or_evaluate_are_refused(
    entry: str, content: object, words: str, tmp_path: Path
) -> None:
    graph: dict[str, object] = {"range_constraints": {}, "guards_code": [], "graph_module": {}}
    files = {"archive_format": b"pt2", "models/model.json": graph, entry: content}
    if isinstance(content, dict) and entry == "models/model.json":
        files[entry] = graph | content
    path = tmp_path / "step.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"step/{name}", data if isinstance(data, bytes) else json.dumps(data))
    with pytest.raises(ExportError, match=words):
        refuse_pickles(path)


def test_a_runtime_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.zeros((1, 3, SIZE, SIZE), np.float32)
    with pytest.raises(ExportError, match=r"step\.onnx does not exist"):
        isolated_run(tmp_path / "step.onnx", frames, calls=1)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ExportError, match="failed with status 1"):
        isolated_run(tmp_path / "step.onnx", frames, calls=1)
