#!/usr/bin/env bash
# LiteRT 2.3.0: memory that a caller shares with a CompiledModel has one axis, whatever shape its array has.
#
# TensorBuffer.create_from_host_memory(array) is to spare the copy of an input. The buffer that it makes of an array (2, 4) has
# the shape (8,); a model whose input is (2, 4) refuses it when it runs: "Cannot auto-resize tensor". Only inputs of one
# axis can be shared; the others are written into buffers that the model makes, a copy each.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ai-edge-litert==2.3.0 numpy==2.3.5
cd "$folder"
venv/bin/python -W ignore - 2> told.txt <<'PYTHON' || { cat told.txt; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.tensor_buffer import TensorBuffer


def doubled(shape):
    """A model that adds x to itself."""
    graph, signature, model = schema.SubGraphT(), schema.SignatureDefT(), schema.ModelT()
    code, add = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    code.version = 1
    add.opcodeIndex, add.inputs, add.outputs = 0, [0, 0], [1]
    add.builtinOptionsType, add.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    for name in ("x", "y"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer, tensor.type = name, shape, 0, schema.TensorType.FLOAT32
        graph.tensors = [*(graph.tensors or []), tensor]
    graph.operators, graph.inputs, graph.outputs = [add], [0], [1]
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
    signature.inputs[0].name, signature.inputs[0].tensorIndex = "x", 0
    signature.outputs[0].name, signature.outputs[0].tensorIndex = "y", 1
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.signatureDefs, model.buffers = [signature], [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def ran(shape, *, shared):
    """What a run gives with memory that is shared, or written."""
    model, values = CompiledModel.from_buffer(doubled(shape)), np.ones(shape, np.float32)
    if shared:
        given = TensorBuffer.create_from_host_memory(values)
    else:
        (given,) = model.create_input_buffers(0)
        given.write(values)
    outputs = model.create_output_buffers(0)
    try:
        model.run_by_index(0, [given], outputs)
    except RuntimeError as error:
        return "refused: " + ("Cannot auto-resize tensor" if "Cannot auto-resize tensor" in str(error) else str(error))
    return f"sum {outputs[0].read(values.size, np.float32).sum():g}"


seen = {}
for shape in ([8], [2, 4]):
    for shared in (True, False):
        seen[len(shape), shared] = ran(shape, shared=shared)
        print(f"input {shape}, {'shared' if shared else 'written'}: {seen[len(shape), shared]}")
told = "refused: Cannot auto-resize tensor"
if seen != {(1, True): "sum 16", (1, False): "sum 16", (2, True): told, (2, False): "sum 16"}:
    raise SystemExit(f"changed: {seen}")
PYTHON
