#!/usr/bin/env bash
# OpenVINO 2026.4.1: an average pooling of 3x3 with stride 2 and ceil_mode over an image of 2x2 is refused when read.
#
# Its one window ends beyond the image, which is what ceil_mode is for: ONNX Runtime and ONNX's reference average the
# four pixels that are there. OpenVINO raises an error of conversion about the kernel's size; with the same window
# over 4x4 pixels, where the last one ends beyond the image as well, it gives the right averages.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

answers = {}
for size in (2, 4):
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, n, n]) for name, n in (("x", size), ("y", size // 2))]
    model = helper.make_model(
        helper.make_graph([node], "g", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    onnx.checker.check_model(model)
    onnx.save(model, "pool.onnx")
    image = np.arange(size * size, dtype=np.float32).reshape(1, 1, size, size)
    right = ReferenceEvaluator(model).run(None, {"x": image})[0]
    np.testing.assert_allclose(onnxruntime.InferenceSession("pool.onnx").run(None, {"x": image})[0], right)
    try:
        compiled = openvino.compile_model("pool.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answers[size] = "right" if np.allclose(compiled(image)[0], right) else "wrong"
    except RuntimeError as error:
        answers[size] = "refused"
        print([line for line in str(error).splitlines() if "Kernel" in line or "kernel" in line][:1])
    print(f"{size}x{size}: {answers[size]}, the reference gives {right.ravel().tolist()}")
if answers != {2: "refused", 4: "right"}:
    raise SystemExit(f"changed: {answers}")
PYTHON
