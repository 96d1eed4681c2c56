#!/usr/bin/env bash
# LiteRT 2.3.0: an 8-bit hard swish falls out of XNNPACK, and each one cuts the network in two.
#
# In float32 XNNPACK takes a hard swish with all around it. Quantised by ai-edge-quantizer 0.10.0 as its recipe
# static_wi8_ai8 does, it runs in a kernel of LiteRT's own, and XNNPACK gets the parts before and after it: here two parts
# for one. A mobile network has a hard swish after every convolution; in 8 bits it may take longer than in float32. The same
# function of multiplications and an addition, (x / 6) * relu6(x + 3), stays in one part.
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
from ai_edge_quantizer import quantizer, recipe

SIZE = 8
KINDS = schema.BuiltinOperator
RELU6 = schema.ActivationFunctionType.RELU6


class Model:
    """A model of operations one after the other."""

    def __init__(self):
        self.tensors, self.buffers, self.codes, self.operators = [], [self.buffer()], [], []
        self.last = self.tensor("x", [1, SIZE])

    @staticmethod
    def buffer(values=None):
        made = schema.BufferT()
        made.data = None if values is None else np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
        return made

    def tensor(self, name, shape, values=None):
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, shape, len(self.buffers)
        made.type = schema.TensorType.FLOAT32
        self.buffers.append(self.buffer(values))
        self.tensors.append(made)
        return len(self.tensors) - 1

    def add(self, kind, others=(), options="", activation=None):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode, code.version = kind, 1
        code.deprecatedBuiltinCode = kind
        self.codes.append(code)
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs = [self.last, *others]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            if activation is not None:
                operator.builtinOptions.fusedActivationFunction = activation
        self.last = self.tensor(f"t{len(self.tensors)}", [1, SIZE])
        operator.outputs = [self.last]
        self.operators.append(operator)

    def dense(self):
        weights = np.random.default_rng(len(self.tensors)).normal(size=(SIZE, SIZE))
        self.add(KINDS.FULLY_CONNECTED, [self.tensor(f"w{len(self.tensors)}", [SIZE, SIZE], weights), -1], "FullyConnectedOptions")

    def constant(self, value):
        return self.tensor(f"c{len(self.tensors)}", [1], np.array([value]))

    def written(self):
        graph, signature, model = schema.SubGraphT(), schema.SignatureDefT(), schema.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [0], [self.last]
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
        signature.inputs[0].name, signature.inputs[0].tensorIndex = "x", 0
        signature.outputs[0].name, signature.outputs[0].tensorIndex = "y", self.last
        model.version, model.operatorCodes, model.subgraphs = 3, self.codes, [graph]
        model.signatureDefs, model.buffers = [signature], self.buffers
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def hard_swish(model):
    model.add(KINDS.HARD_SWISH, options="HardSwishOptions")


def of_products(model):
    x = model.last
    model.add(KINDS.ADD, [model.constant(3.0)], "AddOptions", RELU6)
    gate, model.last = model.last, x
    model.add(KINDS.MUL, [model.constant(1 / 6)], "MulOptions")
    model.add(KINDS.MUL, [gate], "MulOptions")


def parts(written):
    """The number of parts that XNNPACK computes."""
    loaded = Interpreter(model_content=written, num_threads=1)
    loaded.allocate_tensors()
    return sum(each["op_name"] == "DELEGATE" for each in loaded._get_ops_details())


samples = [{"x": np.random.default_rng(seed).normal(size=(1, SIZE)).astype(np.float32)} for seed in range(8)]
seen = {}
for name, activation in {"hard swish": hard_swish, "of products": of_products}.items():
    model = Model()
    model.dense()
    activation(model)
    model.dense()
    written = model.written()
    shrinking = quantizer.Quantizer(written, recipe.static_wi8_ai8())
    ranges = shrinking.calibrate({"serving_default": samples}, num_threads=1)
    small = bytes(shrinking.quantize(ranges, enable_progress_report=False).quantized_model)
    seen[name] = (parts(written), parts(small))
    print(f"{name}: {seen[name][0]} part in float32, {seen[name][1]} in 8 bits")
if seen != {"hard swish": (1, 2), "of products": (1, 1)}:
    raise SystemExit(f"changed: {seen}")
PYTHON
