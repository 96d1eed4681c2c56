#!/usr/bin/env bash
# OpenCV 4.14.0: the DNN module's average pooling counts the padding, or not, by who the file says has written it.
#
# In ONNX, count_include_pad is 0 unless a node says otherwise: only pixels of the image are averaged. OpenCV does so
# for a file without a producer's name. The same file with the name "pytorch", which torch.onnx.export writes, gives
# averages over the padding as well, though its node says count_include_pad=0. ONNX Runtime gives the same for both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opencv-python-headless==4.14.0.94 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

node = helper.make_node(
    "AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=0
)
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, size, size]) for name, size in (("x", 4), ("y", 2))]
model = helper.make_model(
    helper.make_graph([node], "g", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", 20)], ir_version=9
)
image, seen = np.ones((1, 1, 4, 4), np.float32), {}
for producer in ("", "pytorch"):
    model.producer_name = producer
    onnx.save(model, "pool.onnx")
    network = cv2.dnn.readNetFromONNX("pool.onnx")
    network.setInput(image)
    reference = onnxruntime.InferenceSession("pool.onnx").run(None, {"x": image})[0]
    seen[producer] = float(network.forward()[0, 0, 0, 0]), float(reference[0, 0, 0, 0])
    print(f"producer {producer!r}: OpenCV {seen[producer][0]:.4f}, ONNX Runtime {seen[producer][1]:.4f}")
assert seen[""] == (1.0, 1.0) and seen["pytorch"][1] == 1.0
if abs(seen["pytorch"][0] - 4 / 9) > 1e-6:
    raise SystemExit("changed: the producer's name no longer decides")
PYTHON
