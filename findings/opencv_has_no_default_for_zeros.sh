#!/usr/bin/env bash
# OpenCV 5.0.0: the DNN module refuses a ConstantOfShape without the attribute "value", which says nothing but zeros.
#
# In ONNX the attribute is optional, and its default is a float32 zero; torch.onnx.export leaves it out for zeros. With
# the attribute the same file is right, and OpenCV 4.14.0 and ONNX Runtime take both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 4.14.0.94 5.0.0.93; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "opencv-python-headless==$version" onnx==1.23.2 onnxruntime==1.32.0 numpy==2.3.5
done
cat > "$folder/zeros.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

taken = {}
for said in (False, True):
    value = {"value": numpy_helper.from_array(np.zeros(1, np.float32))} if said else {}
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"], **value),
        helper.make_node("Concat", ["zeros", "positive"], ["y"], axis=0),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [length, 2, 3, 3]) for name, length in (("x", 4), ("y", 5))
    ]
    shape = numpy_helper.from_array(np.array([1, 2, 3, 3]), "shape")
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "zeros.onnx")
    x = np.arange(72, dtype=np.float32).reshape(4, 2, 3, 3)
    reference = onnxruntime.InferenceSession("zeros.onnx", providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
    try:
        network = cv2.dnn.readNetFromONNX("zeros.onnx")
        network.setInput(x, "x")
        np.testing.assert_allclose(network.forward("y"), reference)
        taken[said], told = True, "as ONNX Runtime"
    except cv2.error as error:
        taken[said], told = False, str(error).splitlines()[0].partition(": error: ")[2]
    print(f"OpenCV {cv2.__version__}, value {'said' if said else 'not said'}: {told}")
expected = {False: sys.argv[1].startswith("4."), True: True}
if taken != expected:
    raise SystemExit(f"changed: taken were {expected}, and now {taken}")
PYTHON
cd "$folder"
for version in 4.14.0.94 5.0.0.93; do
    OPENCV_LOG_LEVEL=SILENT "$version/bin/python" zeros.py "$version" 2> errors || { cat errors; exit 1; }
done
