"""The portable ONNX file in ONNX Runtime for the web, checked with Node.js; its package comes from npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.onnx import Onnx
from results.runtimes.runtime import Compute, Program, last_line
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.errors import ExportError

PACKAGE = "onnxruntime-web"
TRIED = "1.30.0"
"""Version of the package that the tests ran with."""


def package_folder() -> Path:
    """Return the folder of the npm package, by npm's rule: ``node_modules`` here or in a folder above.

    Raises:
        ExportError: there is none.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        found = folder / "node_modules" / PACKAGE
        if (found / "package.json").is_file():
            return found
    raise ExportError(
        f"an export for {PACKAGE} needs the npm package {PACKAGE}, which is not installed",
        hint=f"run npm install {PACKAGE}@{TRIED} in this folder, {Path.cwd()}",
    )


def package_version() -> str:
    """Return the version of the npm package.

    Raises:
        ExportError: there is none.
    """
    about = json.loads((package_folder() / "package.json").read_text(encoding="utf-8"))
    return str(about["version"])


class _OnnxRuntimeWeb(Onnx):
    name = PACKAGE
    named_files = True
    packages = ("onnx", "onnxscript")
    precisions = ("float32",)
    oldest = ""
    settings = ("ort.env.wasm.numThreads = 1, or cross-origin isolation; else it warns and takes one thread",)

    def versions(self) -> dict[str, str]:
        """See :class:`Runtime`."""
        return {**super().versions(), PACKAGE: package_version()}

    def convert(self, program: Program, path: Path) -> None:
        """See :class:`Runtime`."""
        # Converting takes a while, and would be for nothing.
        _node(), package_folder()
        super().convert(program, path)

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`.

        Raises:
            ExportError: Node.js or the package is missing, cannot load the file, or was asked for threads.
        """
        if threads != 1:
            raise ExportError(f"{PACKAGE} with {threads} threads", hint="it is run with one")
        shapes = {tensor.name: tensor.shape for tensor in Sidecar.read(sidecar_of(path)).inputs}
        of_outputs = {tensor.name: tensor.shape for tensor in Sidecar.read(sidecar_of(path)).outputs}
        names = json.dumps({"inputs": [[name, shapes[name]] for name in inputs], "outputs": list(outputs)})
        script = resources.files("results.runtimes") / "onnxruntime_web.mjs"
        process = subprocess.Popen(
            [_node(), str(script), str(package_folder()), str(path), names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        sent, answered = process.stdin, process.stdout

        def values(dtype: type[np.generic], count: int) -> NDArray[Any]:
            length = count * np.dtype(dtype).itemsize
            content = answered.read(length)
            if len(content) < length:
                raise _failure(path, process)
            return np.frombuffer(content, dtype)

        values(np.int32, 1)

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            _send(sent, [feed[name] for name in inputs], lambda: _failure(path, process))
            lengths = values(np.int32, len(outputs))
            return {
                name: values(np.float32, int(length)).reshape(of_outputs[name])
                for name, length in zip(outputs, lengths, strict=True)
            }

        return compute


def _send(pipe: IO[bytes], arrays: Sequence[NDArray[Any]], failure: Any) -> None:
    try:
        for array in arrays:
            pipe.write(np.ascontiguousarray(array, np.float32).tobytes())
        pipe.flush()
    except BrokenPipeError as error:
        raise failure() from error


def _failure(path: Path, process: subprocess.Popen[bytes]) -> ExportError:
    """Return the error of a process that ended, by what it wrote."""
    assert process.stderr is not None
    process.kill()
    text = process.stderr.read().decode("utf-8", "replace")
    return ExportError(
        f"{PACKAGE} {package_version()} cannot run {path}: {_reason(text)}",
        hint=f"export the member again; if that fails, npm install {PACKAGE}@{TRIED}",
    )


def _reason(text: str) -> str:
    """Return the line with the error in what Node.js wrote: the stack comes after it."""
    return next((line for line in text.splitlines() if "Error" in line), last_line(text))


def _node() -> str:
    found = shutil.which("node")
    if found is None:
        raise ExportError(
            f"an export for {PACKAGE} is checked with Node.js, which is not installed",
            hint="install Node.js 20 or later",
        )
    return found


ONNXRUNTIME_WEB = _OnnxRuntimeWeb()
