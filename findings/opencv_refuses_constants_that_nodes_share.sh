#!/usr/bin/env bash
# OpenCV 4.14.0: the DNN module refuses a file in which two products have the same constant on their left, or two joins
# the same constant or the same ConstantOfShape: "already into net".
#
# A constant on the right of two products is taken, and so are the same values under two names. OpenCV 5.0.0 takes all
# of them, as ONNX Runtime does. Exporters share constants as they like.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 4.14.0.94 5.0.0.93; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "opencv-python-headless==$version" onnx==1.23.2 onnxruntime==1.32.0 numpy==2.3.5
done
cat > "$folder/shared.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

twice = np.full((4, 4), 2, np.float32)
zeros = helper.make_node("ConstantOfShape", ["shape"], ["zeros"], value=numpy_helper.from_array(np.zeros(1, np.float32)))
constants = {"w": twice, "v": twice, "shape": np.array([1, 4])}


def chain(kind, first, second, **attributes):
    return [helper.make_node(kind, first, ["a"], **attributes), helper.make_node(kind, second, ["y"], **attributes)]


cases = {
    "products, left": chain("MatMul", ["w", "x"], ["w", "a"]),
    "products, right": chain("MatMul", ["x", "w"], ["a", "w"]),
    "products, own": chain("MatMul", ["w", "x"], ["v", "a"]),
    "joins, constant": chain("Concat", ["w", "r"], ["w", "a"], axis=0),
    "joins, zeros": [zeros, *chain("Concat", ["zeros", "r"], ["zeros", "a"], axis=0)],
    "joins, own": chain("Concat", ["w", "r"], ["v", "a"], axis=0),
}
taken = {}
for name, nodes in cases.items():
    nodes = [helper.make_node("Relu", ["x"], ["r"]), *nodes]
    used = {each for node in nodes for each in node.input}
    values = [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each, shape in (("x", [4, 4]), ("y", None))]
    tensors = [numpy_helper.from_array(value, each) for each, value in constants.items() if each in used]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model)
    onnx.save(model, "shared.onnx")
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    reference = onnxruntime.InferenceSession("shared.onnx", providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
    try:
        network = cv2.dnn.readNetFromONNX("shared.onnx")
    except cv2.error as error:
        (why,) = [line for line in str(error).splitlines() if line.startswith("> Node")]
        taken[name], told = False, why.partition(": error: ")[2]
    else:
        network.setInput(x, "x")
        np.testing.assert_allclose(network.forward("y"), reference)
        taken[name], told = True, "as ONNX Runtime"
    print(f"OpenCV {cv2.__version__}, {name}: {told}")
refused = {name for name, answer in taken.items() if not answer}
expected = {"products, left", "joins, constant", "joins, zeros"} if sys.argv[1].startswith("4.") else set()
if refused != expected:
    raise SystemExit(f"changed: {sorted(refused)} are refused, and were {sorted(expected)}")
PYTHON
cd "$folder"
for version in 4.14.0.94 5.0.0.93; do
    OPENCV_LOG_LEVEL=SILENT "$version/bin/python" shared.py "$version" 2> errors || { cat errors; exit 1; }
done
