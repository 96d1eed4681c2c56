"""Ncnn files, of the portable ONNX graph through pnnx; an extra. Weights are in a file beside the graph."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.onnx import Onnx
from results.runtimes.runtime import Compute, Program
from search_space.errors import ExportError

_MAGIC = "7767517"
"""First line of every graph of ncnn."""
_REMEDY = "take another version of ncnn and pnnx, or another --runtime"


class _Ncnn(Onnx):
    name = "ncnn"
    modules = ("ncnn", "pnnx")
    suffix = ".param"
    companions = (".bin",)
    named_files = True
    packages = ("onnx", "onnxscript", "ncnn", "pnnx")
    precisions = ("float32",)
    forms = ("step",)
    batches = False
    oldest = ""
    graph = ""
    settings = (
        "opt.use_fp16_packed, use_fp16_storage and use_fp16_arithmetic: false; they are on by default, and "
        "logits then differ by up to 0.2 %",
        "arrays without the first axis, the batch's: a frame is (3, size, size), 1 / n is (1, 1, 1)",
    )

    def convert(self, program: Program, path: Path) -> None:
        """See :class:`Runtime`."""
        ncnn, pnnx = self.module("ncnn"), self.module("pnnx")
        with tempfile.TemporaryDirectory() as scratch:
            graph = Path(scratch) / "step.onnx"
            super().convert(program, graph)
            # It writes nine files, and pages of text, of which only an error's line matters.
            done = subprocess.run(
                [pnnx.EXEC_PATH, graph.name, "fp16=0"],
                cwd=scratch,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            made, weights = graph.with_suffix(".ncnn.param"), graph.with_suffix(".ncnn.bin")
            if done.returncode or not made.is_file() or not weights.is_file():
                raise ExportError(f"pnnx cannot convert the network for ncnn: {_reason(done)}", hint=_REMEDY)
            text = _renamed(made.read_text(encoding="utf-8"), program.inputs, program.outputs)
            unknown = [kind for kind in _kinds(text) if ncnn.layer_to_index(kind) < 0]
            if unknown:
                raise ExportError(
                    f"ncnn has no operation {unknown[0]}, which the network needs", hint=_REMEDY
                )
            path.with_suffix(self.companions[0]).write_bytes(weights.read_bytes())
            path.write_text(text, encoding="utf-8")

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`."""
        ncnn = self.module("ncnn")
        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        # Read here: ncnn takes paths as UTF-8 only.
        weights = path.with_suffix(self.companions[0]).read_bytes()
        if net.load_param_mem(path.read_text(encoding="utf-8")):
            raise ExportError(f"ncnn {ncnn.__version__} cannot load {path}", hint=_REMEDY)
        net.load_model_mem(weights)

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            assert weights, "ncnn computes with them, so they live as long as this function"
            extractor = net.create_extractor()
            # A Mat has no copy of the array that it is made of.
            given = {name: np.ascontiguousarray(feed[name][0]) for name in inputs}
            mats = {name: ncnn.Mat(values) for name, values in given.items()}
            for name, mat in mats.items():
                extractor.input(name, mat)
            found = {}
            for name in outputs:
                status, mat = extractor.extract(name)
                if status:
                    raise ExportError(
                        f"ncnn {ncnn.__version__} cannot compute {name} of {path}: status {status}",
                        hint=_REMEDY,
                    )
                # What it returns is overwritten by the next frame.
                found[name] = np.array(mat)[None]
            return found

        return compute


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says why pnnx failed."""
    if done.returncode < 0:
        return f"it was ended by signal {-done.returncode}"
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    words = ("error", "fail", "unsupported", "unknown")
    told = [line for line in lines if any(word in line.lower() for word in words)]
    return (told or lines or ["it gave no reason"])[-1][:200]


def _kinds(text: str) -> list[str]:
    """Return the kinds of the layers of a graph, each once, in order."""
    return list(dict.fromkeys(line.split()[0] for line in text.splitlines()[2:] if line.strip()))


def _renamed(text: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Return a graph whose inputs and outputs have the names of the sidecar: pnnx numbers them.

    A line is a layer: its kind, its name, how many arrays it takes and gives, their names, and settings.

    Raises:
        ExportError: it is not such a graph.
    """
    first, counts, *layers = text.splitlines()
    if first != _MAGIC:
        raise ExportError(f"pnnx wrote a graph that begins with {first[:40]!r}, not {_MAGIC}", hint=_REMEDY)
    names = {f"in{index}": name for index, name in enumerate(inputs)}
    names |= {f"out{index}": name for index, name in enumerate(outputs)}
    lines = [first, counts]
    for layer in layers:
        words = layer.split()
        end = 4 + int(words[2]) + int(words[3])
        lines.append(" ".join([*words[:4], *(names.get(word, word) for word in words[4:end]), *words[end:]]))
    return "\n".join(lines) + "\n"


NCNN = _Ncnn()
