"""LiteRT files through litert-torch, run in LiteRT with XNNPACK; an extra in an environment of its own."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.int8 import DenseLayer, in_8_bits
from results.runtimes.runtime import Compute, Program, Runtime, first_line, quiet
from results.runtimes.sidecar import Precision
from search_space.errors import ExportError

_QUANTIZER = "ai_edge_quantizer"
"""Package that comes with litert-torch."""
_DENSE = ("CONV_2D", "FULLY_CONNECTED")


class _LiteRt(Runtime):
    name = "litert"
    modules = ("litert_torch", "ai_edge_quantizer.quantizer")
    remark = " into an environment of its own: it pins older packages"
    suffix = ".tflite"
    packages = ("litert-torch", "ai-edge-litert", "ai-edge-quantizer")
    precisions: tuple[Precision, ...] = ("float32", "float16", "int8")
    channels_last = True
    joined = True
    calibrates = False

    def module(self, name: str) -> Any:
        """See :class:`Runtime`."""
        # Its variable against thirty lines of progress for each export.
        os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "n")
        return super().module(name)

    def convert(self, program: Program, path: Path) -> None:
        """See :class:`Runtime`."""
        litert = self.module("litert_torch")
        import torch

        arguments = tuple(
            tensor.permute(0, 2, 3, 1).contiguous() if index in program.images else tensor
            for index, tensor in enumerate(program.examples[0])
        )
        try:
            with quiet("torch.export", "litert_torch"), torch.no_grad():
                outputs = list(program.image_outputs)
                images = list(program.images)
                wrapped = litert.to_channel_last_io(program.module, args=images, outputs=outputs).eval()
                litert.convert(wrapped, arguments).export(str(path))
                if program.precision == "float16":
                    _halve_weights(path)
                if program.precision == "int8":
                    _quantise(path)
        except Exception as error:
            # The converter is many libraries deep, and each raises its own.
            raise ExportError(
                f"litert-torch cannot convert the network: {first_line(error)}",
                hint="check the installed versions of torch and litert-torch",
            ) from error

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`."""
        try:
            interpreter = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise ExportError(
                f"{path} needs LiteRT, which is not installed", hint="pip install ai-edge-litert"
            ) from error
        try:
            loaded = interpreter.Interpreter(model_path=str(path), num_threads=threads)
            signature = loaded.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"LiteRT cannot load {path}: {error}", hint="export the member again"
            ) from error
        theirs = dict(zip(inputs, _numbered("args"), strict=False))
        ours = dict(zip(outputs, _numbered("output"), strict=False))
        shape = tuple(signature.get_input_details()[theirs[inputs[0]]]["shape"])

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            named = {theirs[name]: value for name, value in feed.items()}
            pixels = named[theirs[inputs[0]]]
            if pixels.shape != shape:
                named[theirs[inputs[0]]] = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
            results = signature(**named)
            return {name: results[number] for name, number in ours.items()}

        return compute


def _halve_weights(path: Path) -> None:
    """Store the weights of a file in 16 bits; LiteRT converts them as it loads it, and computes as before."""
    types, recipes = (importlib.import_module(f"{_QUANTIZER}.{n}") for n in ("qtyping", "recipe_manager"))
    in_16_bits = types.OpQuantizationConfig(
        weight_tensor_config=types.TensorQuantizationConfig(num_bits=16, dtype=types.TensorDataType.FLOAT),
        compute_precision=types.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    recipe = recipes.RecipeManager()
    every = types.TFLOperationName.ALL_SUPPORTED
    recipe.add_quantization_config(".*", every, in_16_bits, algorithm_key="float_casting")
    _write_shrunk(path, recipe.get_quantization_recipe())


def _quantise(path: Path) -> None:
    """Quantise the dense layers that gain: weights by channel, activations by image as they come.

    XNNPACK converts what goes into such a layer in the range that it has, and what comes out is float32: with
    ranges of examples instead, A0 differs twice as much and takes as long. All between them stays in
    float32: XNNPACK has no 8-bit hard swish, and its depthwise convolutions do not gain.
    """
    types, recipes = (importlib.import_module(f"{_QUANTIZER}.{n}") for n in ("qtyping", "recipe_manager"))
    recipe = recipes.RecipeManager()
    for operation, output in _layers_in_8_bits(path):
        recipe.add_dynamic_config(f"^{re.escape(output)};?$", types.TFLOperationName(operation), 8)
    _write_shrunk(path, recipe.get_quantization_recipe())


def _write_shrunk(path: Path, recipe: Any) -> None:
    """Rewrite a file as a recipe of the quantizer says."""
    quantizer = importlib.import_module(f"{_QUANTIZER}.quantizer").Quantizer(str(path), recipe)
    with contextlib.redirect_stderr(io.StringIO()):
        shrunk = quantizer.quantize(enable_progress_report=False)
    path.write_bytes(bytes(shrunk.quantized_model))


def _layers_in_8_bits(path: Path) -> list[tuple[str, str]]:
    """Return operation and output of the dense layers that are to be computed in 8 bits."""
    tools = importlib.import_module("ai_edge_litert.tools.flatbuffer_utils")
    model = tools.read_model(str(path))
    (graph,) = model.subgraphs
    layers: list[tuple[tuple[str, str], DenseLayer]] = []
    for operator in graph.operators:
        operation = tools.opcode_to_name(model, operator.opcodeIndex)
        if operation not in _DENSE:
            continue
        weight, output = graph.tensors[operator.inputs[1]], graph.tensors[operator.outputs[0]]
        outputs = int(weight.shape[0])
        dense = DenseLayer(math.prod(weight.shape[1:]), outputs, math.prod(output.shape) // outputs)
        layers.append(((operation, output.name.decode()), dense))
    return in_8_bits(layers)


def _numbered(word: str) -> Iterator[str]:
    """LiteRT's names of inputs and outputs: by their order."""
    return (f"{word}_{index}" for index in itertools.count())


LITERT = _LiteRt()
