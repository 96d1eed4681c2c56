"""Exports with fewer bits: their size, their time beside float32's, and what they may lose."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from results.export import comparison
from results.export.export import ExportClips, ExportTarget, export_network
from results.runtimes.onnx import Onnx
from results.runtimes.onnx_weights import halve_weights, layers_in_8_bits
from results.runtimes.runtime import Arrays, Compute, Program
from results.runtimes.sidecar import Sidecar
from search_space.errors import ExportError
from tests.results.synthetic import LABELS, SIZE, clip, network, require_extra


def test_int8_is_told_with_its_time_beside_float32(tmp_path: Path) -> None:
    target = ExportTarget("onnxruntime", precision="int8")
    result = export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=target)
    files = [target.file_name, f"{target.file_name}.json"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == files
    check = Sidecar.read(tmp_path / files[1]).check
    assert check == result.check and check.float32_share is not None and check.float32_share > 0
    for share, words in ((0.5, "0.50 of the time in float32"), (1.8, "float32 is the better file")):
        assert words in replace(result, check=replace(check, float32_share=share)).text()


def test_the_share_of_float32_time_is_of_calls_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, called = [0], list[str]()

    class Invented(Onnx):
        def convert(self, program: Program, path: Path) -> None:
            assert program.precision == "float32"
            path.write_bytes(b"float32")

        def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
            name, nanoseconds = path.stem, 300 if path.stem == "int8" else 100

            def compute(feed: Arrays) -> Arrays:
                called.append(name)
                clock[0] += nanoseconds
                return feed

            return compute

    monkeypatch.setattr("results.export.comparison.time.process_time_ns", lambda: clock[0])
    (tmp_path / "int8.onnx").write_bytes(b"int8")
    example = (torch.zeros(1, 3, 2, 2),)
    program = Program(torch.nn.Identity(), ["frame"], ["logits"], [example], (0,), precision="int8")
    assert comparison.share_of_float32_time(Invented(), program, tmp_path / "int8.onnx") == 3.0
    assert called[::2] == ["int8"] * (len(called) // 2) and set(called[1::2]) == {"float32"}


def test_weights_in_16_bits_take_half_the_file(tmp_path: Path) -> None:
    paths = []
    for precision in ("float32", "float16"):
        target = ExportTarget(precision=precision)
        paths.append(
            export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=target).path
        )
    assert [path and path.name for path in paths] == ["step.onnx", "step.float16.onnx"]
    assert paths[0] is not None and paths[1] is not None
    plain, halved = (
        {weight.name.removesuffix("_float16"): weight for weight in onnx.load(path).graph.initializer}
        for path in paths
    )
    assert set(plain) == set(halved)
    for name, weight in plain.items():
        large = weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= 256
        assert halved[name].data_type == (TensorProto.FLOAT16 if large else weight.data_type), name
        ours, theirs = (onnx.numpy_helper.to_array(each).astype(float) for each in (halved[name], weight))
        np.testing.assert_allclose(ours, theirs, rtol=2**-11, atol=2**-25)
    large = sum(4 * np.prod(w.dims) for w in plain.values() if np.prod(w.dims) >= 256)
    saved = paths[0].stat().st_size - paths[1].stat().st_size
    assert 0.35 * large < saved < 0.5 * large, "a node for each weight is small"


def test_weights_beyond_16_bits_stay(tmp_path: Path) -> None:
    path, values = tmp_path / "step.onnx", np.linspace(0, 7e4, 256, dtype=np.float32).reshape(16, 16)
    _save_dense_layer(path, values)
    halve_weights(path)
    (weight,) = onnx.load(path).graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weight), values)


def _save_dense_layer(path: Path, weights: NDArray[np.float32]) -> None:
    node = onnx.helper.make_node("MatMul", ["row", "weights"], ["logits"], name="dense")
    row, logits = (
        onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in zip(("row", "logits"), weights.shape, strict=True)
    )
    graph = onnx.helper.make_graph(
        [node], "graph", [row], [logits], [onnx.numpy_helper.from_array(weights, "weights")]
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), path)


@pytest.mark.parametrize(
    ("convolutions", "chosen"),
    [
        # Input channels, output channels, groups, size of the image.
        ({"wide": (64, 64, 1, 8), "narrow": (8, 24, 1, 8), "depthwise": (64, 64, 64, 8)}, ["wide"]),
        ({"gate": (64, 64, 1, 1), "small": (32, 32, 1, 1)}, ["gate"]),
        ({"narrow": (8, 24, 1, 8), "depthwise": (64, 64, 64, 8)}, ["narrow"]),
    ],
    ids=["images", "single pixels", "none gains: all dense ones"],
)
def test_layers_are_in_8_bits_where_they_gain(
    convolutions: dict[str, tuple[int, int, int, int]], chosen: list[str], tmp_path: Path
) -> None:
    nodes, weights, inputs, outputs = list[Any](), list[Any](), list[Any](), list[Any]()
    for name, (before, after, groups, size) in convolutions.items():
        nodes.append(
            onnx.helper.make_node("Conv", [f"{name}_in", f"{name}_w"], [name], name=name, group=groups)
        )
        kernel = np.zeros((after, before // groups, 1, 1), np.float32)
        weights.append(onnx.numpy_helper.from_array(kernel, f"{name}_w"))
        for values, label, channels in ((inputs, f"{name}_in", before), (outputs, name, after)):
            shape = [1, channels, size, size]
            values.append(onnx.helper.make_tensor_value_info(label, TensorProto.FLOAT, shape))
    path = tmp_path / "step.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "graph", inputs, outputs, weights)), path)
    assert layers_in_8_bits(path) == chosen


def test_fewer_bits_that_cost_accuracy_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = {"pytorch_top1": 0.9, "export_top1": 0.88, "videos": 200.0}
    monkeypatch.setattr("results.export.export.measure_accuracy", lambda *_: lossy)

    def export(target: ExportTarget) -> None:
        clips = ExportClips(evaluation=[(clip(8, seed=3), 0)])
        export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=target, clips=clips)

    told = r"int8 export is 88\.0 % on 200 videos, 2\.0 points below.*0\.5 are allowed.*--most-lost"
    with pytest.raises(ExportError, match=told):
        export(ExportTarget(precision="int8"))
    assert list(tmp_path.iterdir()) == []
    export(ExportTarget(precision="int8", most_lost=0.02))
    with pytest.raises(ExportError, match="points below"):
        export(ExportTarget(precision="int8"))
    assert Sidecar.read(tmp_path / "step.int8.onnx.json").accuracy["export_top1"] == 0.88


def test_litert_takes_no_ranges_of_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not ExportTarget("litert", precision="int8").calibrates and not ExportTarget().calibrates
    target = ExportTarget(precision="int8")
    assert target.calibrates
    seen = list[int]()

    class ToldError(ExportError):
        pass

    def convert(_: Onnx, program: Program, __: Path) -> None:
        seen.append(len(program.examples))
        raise ToldError("seen", hint="")

    monkeypatch.setattr(Onnx, "convert", convert)
    clips = ExportClips(calibration=[clip(8, seed=3), clip(8, seed=4), clip(8, seed=5)])
    for calibrates in (True, False):
        monkeypatch.setattr(Onnx, "calibrates", calibrates)
        with pytest.raises(ToldError):
            export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=target, clips=clips)
    assert seen == [24, 16]


@pytest.mark.slow
def test_litert_in_8_bits_takes_the_range_that_a_frame_has(tmp_path: Path) -> None:
    require_extra("litert")
    black = np.zeros((8, SIZE, SIZE, 3), np.uint8)
    target = ExportTarget("litert", precision="int8")
    frames = np.concatenate([black, clip(8, SIZE, SIZE)])
    result = export_network(network(), tmp_path, frames, name="A0", labels=LABELS, target=target)
    assert result.check is not None and result.check.relative < 0.1, "the first frames are black"
    assert result.path is not None
    tools = importlib.import_module("ai_edge_litert.tools.flatbuffer_utils")
    model = tools.read_model(str(result.path))
    (graph,) = model.subgraphs
    operations = Counter(tools.opcode_to_name(model, each.opcodeIndex) for each in graph.operators)
    assert not operations.keys() & {"QUANTIZE", "DEQUANTIZE", "TRANSPOSE"}
    blocks: list[Any] = list(network().blocks.values())
    layers = [layer for block in blocks for layer in (block.spatial, block.temporal) if layer is not None]
    assert operations["DEPTHWISE_CONV_2D"] == len(layers), "frames are joined"
