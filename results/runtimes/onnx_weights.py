"""Smaller ONNX files: weights in 16 bits, and the layers that are faster in 8."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx

from results.runtimes.int8 import DenseLayer, in_8_bits

_SMALLEST = 256
"""Elements from which a weight is stored in 16 bits: for fewer, the node that converts it back is larger."""


def halve_weights(path: Path) -> None:
    """Store the weights of a file in 16 bits; runtimes convert them when they load it, and compute as before.

    Args:
        path: file of an exported network, which is rewritten.
    """
    model = onnx.load(path)
    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or math.prod(weight.dims) < _SMALLEST:
            continue
        name, values = weight.name, onnx.numpy_helper.to_array(weight)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
        casts.append(
            onnx.helper.make_node("Cast", [weight.name], [name], name=name, to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def layers_in_8_bits(path: Path) -> list[str]:
    """Return the names of the dense layers of a file that are to be computed in 8 bits (``int8.in_8_bits``).

    Args:
        path: file of a network whose shapes are written down or can be inferred.
    """
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    weights = {each.name: list(each.dims) for each in graph.initializer}
    shapes = {
        value.name: [each.dim_value for each in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    layers: list[tuple[str, DenseLayer]] = []
    for node in graph.node:
        groups = next((each.i for each in node.attribute if each.name == "group"), 1)
        if node.op_type not in {"Conv", "Gemm", "MatMul"} or node.input[1] not in weights or groups != 1:
            continue
        image, size = shapes[node.output[0]], math.prod(weights[node.input[1]])
        outputs = image[1] if node.op_type == "Conv" else image[-1]
        layers.append((node.name, DenseLayer(size // outputs, outputs, math.prod(image) // outputs)))
    return in_8_bits(layers)
