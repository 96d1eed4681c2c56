#!/usr/bin/env bash
# OpenCV 4.14.0: the DNN module does not see the values of an input that goes nowhere but into a join with a constant.
#
# Concat of a constant and of the file's own input gives the constant, and beside it whatever stood in memory, without
# an error. With a Relu between input and join it is right, and OpenCV 5.0.0 is right with and without.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 4.14.0.94 5.0.0.93; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "opencv-python-headless==$version" onnx==1.23.2 onnxruntime==1.32.0 numpy==2.3.5
done
cat > "$folder/joined.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

right = {}
for between in ("", "Relu"):
    joined = "positive" if between else "x"
    nodes = [helper.make_node("Relu", ["x"], ["positive"])] if between else []
    nodes.append(helper.make_node("Concat", ["constant", joined], ["y"], axis=0))
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [length, 2, 3, 3]) for name, length in (("x", 4), ("y", 5))
    ]
    constant = numpy_helper.from_array(np.full((1, 2, 3, 3), 7, np.float32), "constant")
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "joined.onnx")
    x = np.arange(1000, 1072, dtype=np.float32).reshape(4, 2, 3, 3)
    reference = onnxruntime.InferenceSession("joined.onnx", providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
    network = cv2.dnn.readNetFromONNX("joined.onnx")
    network.setInput(x, "x")
    found = network.forward("y")
    assert np.array_equal(found[:1], reference[:1])
    right[between] = np.array_equal(found, reference)
    how = "through a Relu" if between else "itself"
    print(f"OpenCV {cv2.__version__}, the input {how}: {'right' if right[between] else 'not its values'}")
expected = {"": not sys.argv[1].startswith("4."), "Relu": True}
if right != expected:
    raise SystemExit(f"changed: right were {expected}, and now {right}")
PYTHON
cd "$folder"
for version in 4.14.0.94 5.0.0.93; do
    OPENCV_LOG_LEVEL=SILENT "$version/bin/python" joined.py "$version" 2> errors || { cat errors; exit 1; }
done
