"""The portable ONNX file, run in OpenVINO; an extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.onnx import Onnx
from results.runtimes.runtime import Compute, first_line
from search_space.errors import ExportError


class _OpenVino(Onnx):
    name = "openvino"
    modules = ("openvino",)
    named_files = True
    packages = ("onnx", "onnxscript", "openvino")
    precisions = ("float32", "float16")
    oldest = ""
    settings = (
        "INFERENCE_PRECISION_HINT: f32; where the processor has bfloat16, OpenVINO computes in that, "
        "and differs by 1 to 4 %",
        "share_inputs=True when it is called; else every state is copied at every frame",
    )

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`."""
        openvino = self.module("openvino")
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        try:
            model = openvino.compile_model(openvino.Core().read_model(path.read_bytes()), "CPU", options)
        except RuntimeError as error:
            raise ExportError(
                f"OpenVINO {openvino.__version__.partition('-')[0]} cannot load {path}: {first_line(error)}",
                hint="export the member again; if that fails, take another version of OpenVINO",
            ) from error

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            found = model({name: feed[name] for name in inputs}, share_inputs=True)
            # What it returns is overwritten by the next frame.
            return {name: np.array(found[name]) for name in outputs}

        return compute


OPENVINO = _OpenVino()
