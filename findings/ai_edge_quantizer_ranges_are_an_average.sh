#!/usr/bin/env bash
# ai-edge-quantizer 0.10.0: a static quantisation does not cover the values that it was calibrated with.
#
# From sample to sample the range of a tensor becomes 0.95 of what it was and 0.05 of the new sample's. The first sample
# dominates: if it is small (silence, a black frame, a recurrent network's state of zeros), what comes later is clipped.
# Here the samples are 1, 10, 10, ..., 10 in size: the range ends at 4.3 after ten of them, and the quantised model gives
# 4.3 for 10. Calibrator(..., qsv_update_func=qsv_utils.min_max_update) covers all: 10.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ai-edge-quantizer==0.10.0 ai-edge-litert==2.3.0 numpy==2.3.5
cd "$folder"
venv/bin/python -W ignore - 2> told.txt <<'PYTHON' || { cat told.txt; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
from ai_edge_quantizer.utils import qsv_utils

SIZE = 4


def tensor(name, shape, buffer):
    made = schema.TensorT()
    made.name, made.shape, made.buffer, made.type = name, shape, buffer, schema.TensorType.FLOAT32
    return made


def buffer(data=None):
    made = schema.BufferT()
    made.data = data
    return made


def mapped(name, index):
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made


# A model of one dense layer, whose weights are the identity.
code = schema.OperatorCodeT()
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
code.version = 1
layer = schema.OperatorT()
layer.inputs, layer.outputs = [0, 1, -1], [2]
layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
layer.builtinOptions = schema.FullyConnectedOptionsT()
graph = schema.SubGraphT()
graph.tensors = [tensor("x", [1, SIZE], 1), tensor("w", [SIZE, SIZE], 2), tensor("y", [1, SIZE], 3)]
graph.inputs, graph.outputs, graph.operators = [0], [2], [layer]
signature = schema.SignatureDefT()
signature.signatureKey, signature.subgraphIndex = "serving_default", 0
signature.inputs, signature.outputs = [mapped("x", 0)], [mapped("y", 2)]
model = schema.ModelT()
model.version, model.operatorCodes, model.subgraphs, model.signatureDefs = 3, [code], [graph], [signature]
weights = np.frombuffer(np.eye(SIZE, dtype=np.float32).tobytes(), np.uint8)
model.buffers = [buffer(), buffer(), buffer(weights), buffer()]
builder = flatbuffers.Builder(0)
builder.Finish(model.Pack(builder), b"TFL3")
written = bytes(builder.Output())

samples = [{"x": np.full((1, SIZE), value, np.float32)} for value in [1.0] + [10.0] * 9]
recipe = recipe_manager.RecipeManager()
recipe.add_static_config(".*", qtyping.TFLOperationName.FULLY_CONNECTED, 8, 8)
seen = {}
for name, options in {"by default": {}, "min_max_update": {"qsv_update_func": qsv_utils.min_max_update}}.items():
    ranges = calibrator.Calibrator(written, num_threads=1, **options)
    ranges.calibrate({"serving_default": samples}, recipe)
    made = quantizer.Quantizer(written, recipe.get_quantization_recipe()).quantize(
        ranges.get_model_qsvs(), enable_progress_report=False
    )
    runner = Interpreter(model_content=bytes(made.quantized_model)).get_signature_runner()
    end = float(np.max(ranges.get_model_qsvs()["x"]["max"]))
    seen[name] = (round(end, 1), round(float(runner(**samples[-1])["y"][0, 0]), 1))
    print(f"{name}: the range ends at {seen[name][0]}, and the layer gives {seen[name][1]} for 10")
if seen != {"by default": (4.3, 4.3), "min_max_update": (10.0, 10.0)}:
    raise SystemExit(f"changed: {seen}")
PYTHON
