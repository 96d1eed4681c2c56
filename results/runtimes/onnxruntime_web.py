"""The portable ONNX file in ONNX Runtime for the web, checked with Node.js; its package comes from npm."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.onnx import Onnx
from results.runtimes.runtime import Compute, last_line
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
    precisions = ("float32", "float16")
    oldest = ""
    settings = ("ort.env.wasm.numThreads = 1, or cross-origin isolation; else it warns and takes one thread",)

    def versions(self) -> dict[str, str]:
        """See :class:`Runtime`."""
        return {**super().versions(), PACKAGE: package_version()}

    def require_installed(self) -> None:
        """See :class:`Runtime`."""
        _node(), package_folder()

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`.

        Raises:
            ExportError: Node.js or the package is missing, cannot load the file, or was asked for threads.
        """
        if threads != 1:
            raise ExportError(f"{PACKAGE} with {threads} threads", hint="it is run with one")
        names = json.dumps({"inputs": list(inputs), "outputs": list(outputs)})
        script = resources.files("results.runtimes") / "onnxruntime_web.mjs"
        process = subprocess.Popen(
            [_node(), str(script), str(package_folder()), str(path), names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        sent, answered = process.stdin, process.stdout

        def failure() -> ExportError:
            return _failure(path, process)

        told = answered.readline()
        if not told:
            raise failure()
        shapes: dict[str, list[int]] = json.loads(told)

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            _send(sent, [feed[name] for name in inputs], failure)
            return {name: _received(answered, shapes[name], failure) for name in outputs}

        return compute


def _send(pipe: IO[bytes], arrays: Sequence[NDArray[Any]], failure: Callable[[], ExportError]) -> None:
    try:
        for array in arrays:
            pipe.write(np.ascontiguousarray(array, np.float32).tobytes())
        pipe.flush()
    except BrokenPipeError as error:
        raise failure() from error


def _received(
    pipe: IO[bytes], shape: Sequence[int], failure: Callable[[], ExportError]
) -> NDArray[np.float32]:
    length = math.prod(shape) * np.dtype(np.float32).itemsize
    content = pipe.read(length)
    if len(content) < length:
        raise failure()
    return np.frombuffer(content, np.float32).reshape(shape)


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
