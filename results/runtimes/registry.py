"""The runtimes that networks are exported for, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from results.runtimes.executorch import EXECUTORCH
from results.runtimes.litert import LITERT
from results.runtimes.ncnn import NCNN
from results.runtimes.onnx import ONNX, ONNXRUNTIME
from results.runtimes.onnxruntime_web import ONNXRUNTIME_WEB
from results.runtimes.opencv import OPENCV
from results.runtimes.openvino import OPENVINO
from results.runtimes.runtime import Runtime
from results.runtimes.torch_export import TORCH_EXPORT
from search_space.errors import ExportError

RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        ONNX,
        ONNXRUNTIME,
        ONNXRUNTIME_WEB,
        OPENVINO,
        OPENCV,
        NCNN,
        TORCH_EXPORT,
        LITERT,
        EXECUTORCH,
    )
}
SUFFIXES = frozenset(runtime.suffix for runtime in RUNTIMES.values())


def runtime_named(name: str) -> Runtime:
    """Return the runtime of a name.

    Raises:
        ExportError: there is none.
    """
    if name not in RUNTIMES:
        raise ExportError(f"runtime {name!r} is not known", hint=f"there are {', '.join(RUNTIMES)}")
    return RUNTIMES[name]


def companions_of(path: Path, runtime: str) -> tuple[Path, ...]:
    """Return the further files that belong to an exported file of a runtime.

    Raises:
        ExportError: there is no runtime of that name.
    """
    return tuple(path.with_suffix(suffix) for suffix in runtime_named(runtime).companions)
