"""LiteRT files through litert-torch, run in LiteRT with XNNPACK; an extra in an environment of its own."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.runtime import Compute, Program, Runtime, first_line, quiet
from search_space.errors import ExportError


class _LiteRt(Runtime):
    name = "litert"
    modules = ("litert_torch",)
    remark = " into an environment of its own: it pins older packages"
    suffix = ".tflite"
    packages = ("litert-torch", "ai-edge-litert")
    channels_last = True

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


def _numbered(word: str) -> Iterator[str]:
    """LiteRT's names of inputs and outputs: by their order."""
    return (f"{word}_{index}" for index in itertools.count())


LITERT = _LiteRt()
