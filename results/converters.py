"""From a deploy form to a runtime's file: ONNX through PyTorch's exporter, LiteRT through litert-torch."""

from __future__ import annotations

import gc
import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from search_space.errors import ExportError
from search_space.network import StepModule

OPSET = 20


def convert_to_onnx(module: StepModule, path: Path) -> None:
    """Writes a step as ONNX, inputs and outputs named as the module's.

    Raises:
        ExportError: if the exporter fails.
    """
    try:
        with _quiet(), _without_collection(), torch.no_grad():
            program = torch.export.export(module, _example(module), strict=False)
            converted = torch.onnx.export(
                program,
                (),
                dynamo=True,
                optimize=True,
                verbose=False,
                opset_version=OPSET,
                input_names=module.input_names,
                output_names=module.output_names,
            )
            if converted is None:
                raise ExportError(
                    "the exporter returned nothing", hint="check the installed versions of torch and onnx"
                )
            converted.save(str(path), external_data=False)
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        # What torch's exporter raises for a network that it cannot convert; its message is pages long.
        raise ExportError(
            f"the exporter cannot convert the network: {_first_line(error)}",
            hint="check the installed versions of torch and onnx",
        ) from error
    globalise_pooling(path)


def globalise_pooling(path: Path) -> None:
    """Turns average poolings over a whole image into GlobalAveragePool, much faster in ONNX Runtime."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    values = [*model.graph.value_info, *model.graph.input]
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim][2:] for v in values}
    for node in model.graph.node:
        lists = {a.name: list(a.ints) for a in node.attribute}
        # A kernel as large as the image but with padding has several positions, and sees less in each.
        whole = lists.get("kernel_shape") == sizes.get(node.input[0] if node.input else "", [])
        if node.op_type == "AveragePool" and whole and not any(lists.get("pads", [])):
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
    onnx.save(model, path)


def convert_to_litert(module: StepModule, path: Path) -> None:
    """Writes a step for LiteRT, the frame and the states with channels last, as its kernels have them.

    Raises:
        ExportError: if litert-torch is not installed or fails.
    """
    try:
        litert: Any = importlib.import_module("litert_torch")
    except ImportError as error:
        raise ExportError(
            "exporting for LiteRT needs litert-torch, which is not installed",
            hint="pip install 'movinas[litert]' into an environment of its own: it pins older packages",
        ) from error
    example = _example(module)
    count = len(module.counters(1))
    images = [0, *range(1 + count, len(example))]
    arguments = tuple(
        tensor.permute(0, 2, 3, 1).contiguous() if index in images else tensor
        for index, tensor in enumerate(example)
    )
    try:
        with _quiet(), torch.no_grad():
            outputs = list(range(1, len(module.output_names)))
            wrapped = litert.to_channel_last_io(module, args=images, outputs=outputs).eval()
            litert.convert(wrapped, arguments).export(str(path))
    except Exception as error:
        # The converter is many libraries deep, and each raises its own.
        raise ExportError(
            f"litert-torch cannot convert the network: {_first_line(error)}",
            hint="check the installed versions of torch and litert-torch",
        ) from error


def _example(module: StepModule) -> tuple[torch.Tensor, ...]:
    frame = torch.zeros(1, 3, module.size, module.size)
    return (frame, *module.counters(1), *module.initial_states())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def _without_collection() -> Iterator[None]:
    """The exporter makes millions of objects that stay; searching them for garbage takes a fifth of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters' remarks on optional packages and their own deprecations are of no use to a user."""
    words = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "litert_torch")
    loggers = [logging.getLogger(name) for name in words]
    loggers += [
        logging.getLogger(name)
        for name in logging.root.manager.loggerDict
        if name.startswith(tuple(f"{word}." for word in words))
    ]
    levels = [(logger, logger.level) for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
