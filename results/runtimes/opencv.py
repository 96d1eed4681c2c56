"""The portable ONNX file, run in OpenCV's module for networks; an extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.onnx import Onnx
from results.runtimes.runtime import Compute
from search_space.errors import ExportError


class _OpenCv(Onnx):
    name = "opencv"
    modules = ("cv2",)
    named_files = True
    packages = ("onnx", "onnxscript", "opencv-python-headless")
    precisions = ("float32",)
    oldest = ""

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`."""
        cv2 = self.module("cv2")
        cv2.setNumThreads(threads)
        try:
            model = cv2.dnn.readNetFromONNX(np.frombuffer(path.read_bytes(), np.uint8))
        except cv2.error as error:
            raise ExportError(
                f"OpenCV {cv2.__version__} cannot load {path}: {_reason(error)}",
                hint="export the member again; if that fails, take another version of OpenCV",
            ) from error

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            for name in inputs:
                model.setInput(feed[name], name)
            try:
                found = model.forward(outputs)
            except cv2.error as error:
                raise ExportError(
                    f"OpenCV {cv2.__version__} cannot run {path}: {_reason(error)}",
                    hint="take another version of OpenCV, or another --runtime",
                ) from error
            # What it returns is overwritten by the next frame.
            return {name: np.array(values) for name, values in zip(outputs, found, strict=True)}

        return compute


def _reason(error: Exception) -> str:
    """Return the line that names the operation: the first one only says where in OpenCV it was met."""
    lines = [line.removeprefix("> ").strip() for line in str(error).splitlines() if line.strip()]
    return next(
        (line for line in lines if line.startswith("Node ")), lines[0] if lines else "no reason given"
    )


OPENCV = _OpenCv()
