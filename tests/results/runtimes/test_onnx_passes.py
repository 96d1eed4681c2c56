"""The rewritten graph computes what the exporter's does, with whole blocks of channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from results.runtimes.onnx_passes import for_old_runtimes, make_fast, make_portable

SIZE = 9


def graph(*, state: bool) -> Any:
    """Two images of 8 channels added and pooled, beside each other, and a dense layer.

    The biases are one tensor, as exporters leave them. With ``state`` the sum is an output, too.
    """
    rng = np.random.default_rng(0)
    constants = {
        "stem": rng.normal(size=(8, 3, 3, 3)),
        "branch": rng.normal(size=(8, 8, 1, 1)),
        "bias": rng.normal(size=8),
        "mixed": rng.normal(size=(16, 8, 1, 1)),
        "eight": rng.normal(size=(8, 16, 1, 1)),
        "dense": rng.normal(size=(5, 8)),
        "row": np.array([1, 8]),
    }
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        make_node("Conv", ["image", "stem", "bias"], ["stemmed"], pads=[1, 1, 1, 1]),
        make_node("HardSwish", ["stemmed"], ["active"]),
        make_node("Conv", ["active", "branch", "bias"], ["branched"]),
        make_node("Add", ["active", "branched"], ["sum"]),
        make_node("AveragePool", ["sum"], ["pooled"], **pool),
        make_node("Conv", ["pooled", "mixed"], ["mix"]),
        make_node("Conv", ["mix", "eight", "bias"], ["narrow"]),
        make_node("GlobalAveragePool", ["narrow"], ["mean"]),
        make_node("Reshape", ["mean", "row"], ["flat"]),
        make_node("Gemm", ["flat", "dense"], ["logits"], transB=1),
    ]
    outputs = {
        "logits": (1, 5),
        **({"sum": (1, 8, SIZE, SIZE), "active": (1, 8, SIZE, SIZE)} if state else {}),
    }
    made = make_graph(
        nodes,
        "graph",
        [make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, SIZE, SIZE))],
        [make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [
            onnx.numpy_helper.from_array(values if name == "row" else values.astype(np.float32), name)
            for name, values in constants.items()
        ],
    )
    return make_model(made, opset_imports=[make_opsetid("", 20)], ir_version=9)


def computed(path: Path) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).random((1, 3, SIZE, SIZE), dtype=np.float32)
    return list(session.run(None, {"image": image}))


@pytest.mark.parametrize("rewrite", [make_fast, make_portable])
@pytest.mark.parametrize("state", [False, True])
def test_what_is_computed_stays(state: bool, rewrite: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "step.onnx"
    onnx.save(graph(state=state), path)
    before = computed(path)
    rewrite(path)
    for ours, theirs in zip(computed(path), before, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def rewritten(path: Path, *, state: bool) -> Any:
    onnx.save(graph(state=state), path)
    make_fast(path)
    return onnx.load(path).graph


def test_pooled_images_get_whole_blocks(tmp_path: Path) -> None:
    found = rewritten(tmp_path / "step.onnx", state=False)
    shapes = {tensor.name: list(tensor.dims) for tensor in found.initializer}
    kernels = [shapes[node.input[1]] for node in found.node if node.op_type == "Conv"]
    assert kernels == [[16, 3, 3, 3], [16, 16, 1, 1], [16, 16, 1, 1], [8, 16, 1, 1], [5, 8, 1, 1]]
    assert "AveragePool" in {node.op_type for node in found.node}
    assert "Gemm" not in {node.op_type for node in found.node}
    # What was replaced does not stay in the file.
    assert set(shapes) <= {name for node in found.node for name in node.input}


def test_images_that_leave_the_graph_keep_their_channels(tmp_path: Path) -> None:
    found = rewritten(tmp_path / "step.onnx", state=True)
    shapes = {tensor.name: list(tensor.dims) for tensor in found.initializer}
    assert [shapes[name] for name in ("stem", "branch")] == [[8, 3, 3, 3], [8, 8, 1, 1]]
    # Their copies come last, those of early images after those of late ones.
    assert [node.output[0] for node in found.node if node.op_type == "Identity"] == ["active", "sum"]
    assert [node.op_type for node in found.node][-2:] == ["Identity", "Identity"]


def test_a_portable_graph_keeps_its_operators(tmp_path: Path) -> None:
    path, before = tmp_path / "step.onnx", graph(state=True)
    onnx.save(before, path)
    make_portable(path)
    after = onnx.load(path).graph
    assert [node.op_type for node in after.node] == [node.op_type for node in before.graph.node]
    assert {t.name: t.dims for t in after.initializer} == {t.name: t.dims for t in before.graph.initializer}


def test_files_have_the_lowest_version_and_the_domains_that_they_use(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    before = graph(state=True)
    before.ir_version = onnx.IR_VERSION
    before.opset_import.extend([make_opsetid("com.microsoft", 1), make_opsetid("ai.onnx.ml", 5)])
    told = onnx.ModelProto()
    told.CopyFrom(before)
    for part in (told, told.graph, told.graph.node[0], told.graph.input[0], told.graph.initializer[0]):
        onnx.helper.set_model_props(part, {"stack_trace": "/home/someone/network.py"})
    onnx.save(told, path)
    for_old_runtimes(path)
    assert b"someone" not in path.read_bytes()
    after = onnx.load(path)
    # The format's table of versions: operators of version 20 came with 9, those of version 11 with 6.
    expected = {20: 9, 19: 9, 18: 8, 17: 8, 11: 6}
    assert after.ir_version == expected[after.opset_import[0].version]
    assert [opset.domain for opset in after.opset_import] == [""]
    assert after.producer_name == "movinas"
    assert [node.name for node in after.graph.node] == [node.output[0] for node in after.graph.node]
    for node in after.graph.node:
        node.ClearField("name")
    assert after.graph == before.graph


def small_image(image: tuple[int, int], nodes: list[Any], weights: tuple[int, ...] = ()) -> Any:
    """A graph of a few nodes from ``image`` to ``result``, over an image of 16 channels."""
    constants = (
        {"weights": np.random.default_rng(0).normal(size=weights).astype(np.float32)} if weights else {}
    )
    made = make_graph(
        nodes,
        "small",
        [make_tensor_value_info("image", TensorProto.FLOAT, (1, 16, *image))],
        [make_tensor_value_info("result", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return make_model(made, opset_imports=[make_opsetid("", 20)], ir_version=9)


def same_results(path: Path, before: Any, image: tuple[int, int]) -> list[Any]:
    """The nodes of the portable graph, which gives what the graph gave, as does the fast one."""
    pixels = np.random.default_rng(1).random((1, 16, *image), dtype=np.float32)
    results = []
    for rewrite in (for_old_runtimes, make_fast, make_portable):
        onnx.save(onnx.shape_inference.infer_shapes(before), path)
        rewrite(path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"image": pixels})[0])
    for rewritten in results[1:]:
        np.testing.assert_allclose(rewritten, results[0], rtol=1e-5, atol=1e-6)
    return list(onnx.load(path).graph.node)


@pytest.mark.parametrize(
    ("image", "pool", "all_seen"),
    [
        ((2, 2), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, True),
        ((2, 2), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, True),
        ((1, 2), {"kernel_shape": [1, 3], "strides": [1, 2], "ceil_mode": 1}, True),
        ((1, 1), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, True),
        ((3, 3), {"kernel_shape": [3, 3]}, True),
        ((3, 3), {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 0, 0]}, False),
        (
            (2, 2),
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
            False,
        ),
        ((3, 3), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, False),
    ],
)
def test_a_pooling_that_sees_the_whole_image_is_global(
    image: tuple[int, int], pool: dict[str, Any], all_seen: bool, tmp_path: Path
) -> None:
    before = small_image(image, [make_node("AveragePool", ["image"], ["result"], **pool)])
    (node,) = same_results(tmp_path / "pool.onnx", before, image)
    assert (node.op_type == "GlobalAveragePool") == all_seen


@pytest.mark.parametrize(
    "zeros", [{}, {"value": onnx.numpy_helper.from_array(np.zeros(1, np.float32))}], ids=["unsaid", "said"]
)
def test_constants_are_shared_by_no_products_or_joins_and_say_their_value(
    zeros: dict[str, Any], tmp_path: Path
) -> None:
    before = small_image(
        (4, 4),
        [
            make_node("ConstantOfShape", ["frames"], ["past"], **zeros),
            make_node("Concat", ["past", "image"], ["longer"], axis=1),
            make_node("Concat", ["longer", "past"], ["longest"], axis=1),
            make_node("MatMul", ["weights", "longest"], ["mixed"]),
            make_node("MatMul", ["weights", "mixed"], ["result"]),
        ],
        (4, 4),
    )
    before.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 8, 4, 4]), "frames"))
    nodes = same_results(tmp_path / "shared.onnx", before, (4, 4))
    values = [node.attribute[0].t for node in nodes if node.op_type == "ConstantOfShape"]
    assert [onnx.numpy_helper.to_array(value).tolist() for value in values] == [[0.0], [0.0]]
    made = {name for node in nodes if node.op_type not in {"ConstantOfShape"} for name in node.output}
    constants = [name for node in nodes for name in node.input if name not in made | {"image", "frames"}]
    assert len(constants) == len(set(constants)) == 4


@pytest.mark.parametrize(
    ("image", "kernel", "attributes", "left"),
    [
        ((1, 1), (3, 3), {"pads": [1, 1, 1, 1]}, (1, 1)),
        ((1, 1), (5, 5), {"pads": [2, 2, 2, 2], "strides": [2, 2]}, (1, 1)),
        ((2, 2), (5, 5), {"pads": [2, 2, 2, 2]}, (3, 3)),
        ((2, 1), (5, 3), {"pads": [2, 1, 2, 1], "strides": [2, 2]}, (2, 1)),
        ((2, 2), (3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2]}, (2, 2)),
        ((3, 3), (3, 3), {"pads": [1, 1, 1, 1]}, (3, 3)),
        ((1, 1), (3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2]}, (3, 3)),
    ],
)
def test_what_only_meets_padding_is_cut_from_kernels(
    image: tuple[int, int],
    kernel: tuple[int, int],
    attributes: dict[str, Any],
    left: tuple[int, int],
    tmp_path: Path,
) -> None:
    before = small_image(
        image, [make_node("Conv", ["image", "weights"], ["result"], group=16, **attributes)], (16, 1, *kernel)
    )
    (node,) = same_results(tmp_path / "conv.onnx", before, image)
    shapes = {t.name: tuple(t.dims) for t in onnx.load(tmp_path / "conv.onnx").graph.initializer}
    assert shapes[node.input[1]] == (16, 1, *left)
