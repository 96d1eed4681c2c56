"""The same graph as ONNX Runtime's CPU kernels like it.

They run fastest on channels in blocks, and leave and enter that order, a pass over the tensor each, around
every operation that has no such kernel. Each rewrite here keeps what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

_BLOCK = 16
"""Channels in a block, where processors have the widest registers."""


def rewrite(path: Path) -> None:
    """Rewrite the file of an exported network."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "AveragePool":
            nodes += _pooling(model, node, shapes)
        elif node.op_type == "Mul":
            nodes += _gate(model, node, shapes)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _free_outputs(model, shapes)
    # Shapes of values that are there no more.
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _pooling(model: Any, node: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """A pooling over a whole image is global; one of few channels is two products with constant matrices."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    before, after = shapes[node.input[0]], shapes[node.output[0]]
    pads = attributes.get("pads", [0, 0, 0, 0])
    # A kernel as large as the image but with padding has several positions, and sees less in each.
    if attributes["kernel_shape"] == before[2:] and not any(pads):
        return [onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [node.output[0]], node.name)]
    if before[1] % _BLOCK == 0 or attributes.get("count_include_pad", 0):
        return [node]
    matrices = [
        _averages(
            before[2 + axis],
            after[2 + axis],
            attributes["kernel_shape"][axis],
            attributes["strides"][axis],
            pads[axis],
        )
        for axis in (0, 1)
    ]
    name = node.output[0]
    left = _constant(model, f"{name}_rows", matrices[0])
    right = _constant(model, f"{name}_columns", np.ascontiguousarray(matrices[1].T))
    return [
        onnx.helper.make_node("MatMul", [node.input[0], right], [f"{name}_narrow"]),
        onnx.helper.make_node("MatMul", [left, f"{name}_narrow"], [name]),
    ]


def _averages(inputs: int, outputs: int, kernel: int, stride: int, pad: int) -> NDArray[np.float32]:
    """The matrix (outputs, inputs) of an average pooling along one axis, padding not counted."""
    matrix = np.zeros((outputs, inputs), np.float32)
    for row in range(outputs):
        first = max(0, row * stride - pad)
        last = min(inputs, row * stride - pad + kernel)
        matrix[row, first:last] = 1.0 / (last - first)
    return matrix


def _gate(model: Any, node: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """An image times a gate (.., 1, 1), which is enlarged first: blocks are only multiplied alike."""
    wide, narrow = (shapes.get(name, []) for name in node.input)
    if len(wide) != 4 or len(narrow) != 4 or wide[:2] != narrow[:2] or narrow[2:] != [1, 1]:
        return [node]
    if wide[2:] == [1, 1] or node.input[1] in {tensor.name for tensor in model.graph.initializer}:
        return [node]
    name = f"{node.output[0]}_gate"
    scales = _constant(model, f"{name}_scales", np.array([1, 1, *wide[2:]], np.float32))
    enlarge = onnx.helper.make_node(
        "Resize",
        [node.input[1], "", scales],
        [name],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    node.input[1] = name
    return [enlarge, node]


def _free_outputs(model: Any, shapes: dict[str, list[int]]) -> None:
    """Outputs that are used within the graph too: an activation is only fused into its convolution when its
    result is not an output itself."""
    used = {name for node in model.graph.node for name in node.input}
    for output in list(model.graph.output):
        if output.name not in used or len(shapes[output.name]) != 4 or shapes[output.name][2:] == [1, 1]:
            continue
        inner = f"{output.name}_inner"
        for node in model.graph.node:
            _rename(node.input, output.name, inner)
            _rename(node.output, output.name, inner)
        model.graph.node.append(onnx.helper.make_node("Identity", [inner], [output.name]))


def _rename(names: Any, before: str, after: str) -> None:
    for index, name in enumerate(names):
        if name == before:
            names[index] = after


def _constant(model: Any, name: str, values: NDArray[np.float32] | Sequence[float]) -> str:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, np.float32), name))
    return name
