"""The graph of an export as all runtimes read it rightly, and as ONNX Runtime's CPU kernels like it.

Many runtimes refuse or misread windows that are larger than their image (OpenVINO 2026.4, OpenCV 4.14, ncnn).
ONNX Runtime's kernels run fastest on channels in blocks, and leave and enter that order, a pass over the
tensor each, around every operation that has no such kernel. Each rewrite here keeps what is computed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

_BLOCK = 16
"""Channels in a block, where processors have the widest registers."""
_ZERO = np.zeros(1, np.float32)
_CHANNELWISE = {"Add", "AveragePool", "Clip", "HardSwish", "Relu"}


def make_portable(path: Path) -> None:
    """Rewrite the file of an exported network so that many runtimes compute it rightly."""
    model, own = onnx.load(path), _with_own_constants
    constants = {"ConstantOfShape": _with_value, "Concat": own, "MatMul": own}
    _rewrite(model, {"AveragePool": _global_pooling, "Conv": _cut, **constants})
    _save(model, path)


def make_fast(path: Path) -> None:
    """Rewrite the file of an exported network so that ONNX Runtime computes it fast on x86 processors."""
    model = onnx.load(path)
    _widen(model, _shapes(model))
    shapes = _shapes(model)
    _rewrite(model, {"AveragePool": _pooling, "Conv": _cut, "Gemm": _dense, "Mul": _gate})
    _free_outputs(model, shapes)
    _save(model, path)


def for_old_runtimes(path: Path) -> None:
    """Give a file the lowest format version that its operators allow, as the other rewrites do, too."""
    _save(onnx.load(path), path)


def _rewrite(
    model: Any, rewrites: Mapping[str, Callable[[Any, Any, dict[str, list[int]]], list[Any]]]
) -> None:
    """Put nodes in the place of each node whose operator has a rewrite."""
    shapes = _shapes(model)
    nodes = []
    for node in model.graph.node:
        rewrite = rewrites.get(node.op_type)
        nodes += [node] if rewrite is None else rewrite(model, node, shapes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_unused(model)


def _save(model: Any, path: Path) -> None:
    """Write a model so that old runtimes take it: they refuse newer versions, whatever is in them."""
    used = {node.domain for node in _nodes(model.graph)}
    # OpenCV 4.14 counts padding in averages of files that say that they are PyTorch's, which is wrong here.
    model.producer_name, model.producer_version = "movinas", ""
    # Some runtimes call a graph's outputs by the names of the nodes that make them.
    for node in model.graph.node:
        node.name = node.output[0]
    # The exporter writes down where in which file of this machine each node comes from.
    for described in (model, model.graph, *_nodes(model.graph), *_values(model.graph)):
        described.ClearField("metadata_props")
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    model.ir_version = onnx.helper.find_min_ir_version_for(kept, ignore_unknown=True)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _nodes(graph: Any) -> Iterator[Any]:
    """Return an iterator over the nodes of a graph and of the graphs inside of them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _values(graph: Any) -> list[Any]:
    return [*graph.value_info, *graph.input, *graph.output, *graph.initializer]


def _shapes(model: Any) -> dict[str, list[int]]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def _attributes(node: Any) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


@dataclass
class _Images:
    """Images that need the same channels, for they are added, pooled or activated, and what is around them.

    Args:
        names: names of the images.
        operations: that take and give them.
        makers: convolutions that make them.
        users: convolutions that take them.
    """

    names: set[str] = field(default_factory=set)
    operations: set[str] = field(default_factory=set)
    makers: list[Any] = field(default_factory=list)
    users: list[Any] = field(default_factory=list)


def _widen(model: Any, shapes: dict[str, list[int]]) -> None:
    """Whole blocks of channels where there is less than one, or where they are pooled.

    Convolutions make up blocks by themselves, poolings do not, and a convolution takes less than a block in
    the default order. The channels that are added meet weights of zero.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    users: dict[str, list[Any]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            users[name].append(node)
    # What leaves the graph has the channels that callers know.
    for output in model.graph.output:
        makers.pop(output.name, None)
    seen: set[str] = set()
    for node in model.graph.node:
        shape = shapes.get(node.output[0], [])
        if not _is_dense(node) or node.output[0] in seen or len(shape) != 4 or shape[1] % _BLOCK == 0:
            continue
        images = _together(node.output[0], makers, users)
        if images is None or not (shape[1] < _BLOCK or "AveragePool" in images.operations):
            continue
        seen |= images.names
        extra = -shape[1] % _BLOCK
        for maker in images.makers:
            for index in range(1, len(maker.input)):
                _padded(model, maker, index, axis=0, extra=extra)
        for user in images.users:
            _padded(model, user, 1, axis=1, extra=extra)
    # Those of the images that have more channels now.
    del model.graph.value_info[:]


def _is_dense(node: Any) -> bool:
    return bool(node.op_type == "Conv" and _attributes(node).get("group", 1) == 1)


def _together(name: str, makers: dict[str, Any], users: dict[str, list[Any]]) -> _Images | None:
    """Return all images that need as many channels as this one; None if others than convolutions set them."""
    images, left = _Images(), [name]
    while left:
        name = left.pop()
        if name in images.names:
            continue
        images.names.add(name)
        maker = makers.get(name)
        if maker is None:
            return None
        for node in [maker, *users[name]]:
            if node.op_type in _CHANNELWISE:
                images.operations.add(node.op_type)
                left += [*(node.input if node.op_type == "Add" else node.input[:1]), node.output[0]]
            elif not _is_dense(node):
                return None
        if _is_dense(maker):
            images.makers.append(maker)
        images.users += [node for node in users[name] if _is_dense(node)]
    return images


def _padded(model: Any, node: Any, index: int, *, axis: int, extra: int) -> None:
    """Let a node's constant end in zeros along an axis; others that share it keep theirs."""
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[index])
    values = onnx.numpy_helper.to_array(tensor)
    widths = [(0, extra if other == axis else 0) for other in range(values.ndim)]
    name = f"{node.output[0]}_{index}_{axis}"
    node.input[index] = _constant(model, name, np.pad(values, widths))


def _dense(model: Any, node: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """Return a dense layer of one row as a 1x1 convolution, whose weights are read faster."""
    attributes = _attributes(node)
    weights = next((t for t in model.graph.initializer if t.name == node.input[1]), None)
    plain = attributes.get("transB", 0) == 1 and not attributes.get("transA", 0)
    plain = plain and attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0
    if weights is None or not plain or shapes[node.input[0]][0] != 1:
        return [node]
    name, values = node.output[0], onnx.numpy_helper.to_array(weights)
    kernel = _constant(model, f"{name}_kernel", values[:, :, None, None])
    before = _constant(model, f"{name}_before", np.array([1, values.shape[1], 1, 1]))
    after = _constant(model, f"{name}_after", np.array([1, values.shape[0]]))
    return [
        onnx.helper.make_node("Reshape", [node.input[0], before], [f"{name}_pixel"]),
        onnx.helper.make_node("Conv", [f"{name}_pixel", kernel, *node.input[2:]], [f"{name}_convolved"]),
        onnx.helper.make_node("Reshape", [f"{name}_convolved", after], [name]),
    ]


def _global_pooling(_: Any, node: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """Return a pooling whose one window sees the whole image as a global one."""
    attributes = _attributes(node)
    before, after = shapes[node.input[0]], shapes[node.output[0]]
    pads = attributes.get("pads", [0, 0, 0, 0])
    kernel = attributes["kernel_shape"]
    # A kernel as large as the image but with padding may have several positions, and sees less in each.
    sees_all = all(
        size <= length - pad for size, length, pad in zip(before[2:], kernel, pads[:2], strict=True)
    )
    padding_counts = any(pads) and attributes.get("count_include_pad", 0)
    if after[2:] == [1, 1] and sees_all and not padding_counts:
        return [onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [node.output[0]], node.name)]
    return [node]


def _pooling(model: Any, node: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """Return a pooling over a whole image as a global one; one of few channels as two matrix products."""
    (pooled,) = _global_pooling(model, node, shapes)
    attributes = _attributes(node)
    before, after = shapes[node.input[0]], shapes[node.output[0]]
    if pooled is not node or before[1] % _BLOCK == 0 or attributes.get("count_include_pad", 0):
        return [pooled]
    pads, kernel = attributes.get("pads", [0, 0, 0, 0]), attributes["kernel_shape"]
    matrices = [
        _averages(
            before[2 + axis],
            after[2 + axis],
            kernel[axis],
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
    """Return the matrix (outputs, inputs) of an average pooling along one axis, padding not counted."""
    matrix = np.zeros((outputs, inputs), np.float32)
    for row in range(outputs):
        first = max(0, row * stride - pad)
        last = min(inputs, row * stride - pad + kernel)
        matrix[row, first:last] = 1.0 / (last - first)
    return matrix


def _with_value(_: Any, node: Any, __: dict[str, list[int]]) -> list[Any]:
    """Return zeros that say that they are zeros: OpenCV 5.0 has no default for the value."""
    if not node.attribute:
        node.attribute.append(onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(_ZERO)))
    return [node]


def _with_own_constants(model: Any, node: Any, _: dict[str, list[int]]) -> list[Any]:
    """Return a node with constants of its own: OpenCV 4.14 refuses those that several such nodes share."""
    shapes = {made.output[0]: made for made in model.graph.node if made.op_type == "ConstantOfShape"}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for index, name in enumerate(node.input):
        own = f"{node.output[0]}_constant{index}"
        if name in shapes:
            nodes.append(onnx.helper.make_node("ConstantOfShape", shapes[name].input, [own]))
            nodes[-1].attribute.extend(shapes[name].attribute)
            node.input[index] = own
        elif name in constants:
            node.input[index] = _constant(model, own, onnx.numpy_helper.to_array(constants[name]))
    return [*nodes, node]


def _cut(model: Any, node: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """Return a convolution without the outer rows and columns of its kernel that only ever meet padding."""
    attributes = _attributes(node)
    images, results = shapes.get(node.input[0], []), shapes.get(node.output[0], [])
    weights = next((t for t in model.graph.initializer if t.name == node.input[1]), None)
    usual = attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    usual = usual and all(step == 1 for step in attributes.get("dilations", []))
    if weights is None or not usual or len(images) != 4 or len(results) != 4:
        return [node]
    values = onnx.numpy_helper.to_array(weights)
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
    strides = attributes.get("strides", [1, 1])
    kept = []
    for axis in (0, 1):
        starts = np.arange(results[2 + axis]) * strides[axis] - pads[axis]
        meets = [
            bool(np.any((starts + tap >= 0) & (starts + tap < images[2 + axis])))
            for tap in range(values.shape[2 + axis])
        ]
        first, last = meets.index(True), len(meets) - meets[::-1].index(True)
        pads[axis] -= first
        pads[2 + axis] -= len(meets) - last
        kept.append(slice(first, last))
    cut = values[:, :, kept[0], kept[1]]
    if cut.shape == values.shape or min(pads) < 0:
        return [node]
    inputs = [node.input[0], _constant(model, f"{node.output[0]}_kernel", cut), *node.input[2:]]
    attributes |= {"kernel_shape": list(cut.shape[2:]), "pads": pads}
    return [onnx.helper.make_node("Conv", inputs, list(node.output), **attributes)]


def _gate(model: Any, node: Any, shapes: dict[str, list[int]]) -> list[Any]:
    """Return an image times a gate (.., 1, 1) that is enlarged first: blocks are only multiplied alike."""
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
    """Give outputs that are used within the graph too a node of their own.

    An activation is only fused into its convolution if its result is not an output itself.
    """
    used = {name for node in model.graph.node for name in node.input}
    # The runtime begins with what the last end of a graph needs. So the first frame's copy is the last node,
    # each copy is made right after its frame, and no frame is kept, and leaves the caches, until the others.
    for output in reversed(model.graph.output):
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


def _drop_unused(model: Any) -> None:
    used = {name for node in model.graph.node for name in node.input}
    used |= {output.name for output in model.graph.output}
    nodes = [node for node in model.graph.node if not used.isdisjoint(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _constant(model: Any, name: str, values: NDArray[Any]) -> str:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name
