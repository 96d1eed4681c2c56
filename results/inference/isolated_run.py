"""A network in a process of its own: what it computes on given frames, its time and its memory.

It runs as ``python -m results.inference.isolated_run MODEL INPUT.npz OUTPUT.npz``: a runtime that crashes
takes no other process with it, and the memory is the network's own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from results.inference.memory import peak_bytes, resident_bytes
from results.runtimes.runtime import last_line
from results.runtimes.sidecar import Form
from search_space.errors import ExportError, MovinasError

_CLIP = "clip"
_USER_ERROR = 2


@dataclass(frozen=True)
class IsolatedRun:
    """Logits of a network in a process of its own, its times and its memory.

    Args:
        logits: logits (calls, rows, classes) after each call; a row for each video that a call takes.
        milliseconds: wall-clock time of each call (calls,).
        cpu_milliseconds: processor time of all threads during each call (calls,).
        peak_bytes: largest memory of the process.
        model_bytes: part of ``peak_bytes`` that came with the model, after interpreter and packages.
    """

    logits: NDArray[np.float32]
    milliseconds: NDArray[np.float64]
    cpu_milliseconds: NDArray[np.float64]
    peak_bytes: int
    model_bytes: int


def isolated_run(
    model: Path, frames: NDArray[np.float32], *, calls: int, form: Form = "step", threads: int = 1
) -> IsolatedRun:
    """Run a model over frames, from the first one again when they are used up.

    Args:
        model: exported file, or folder of a member.
        frames: pixels (frames, 3, size, size): chained for a step, or whole clips one after another. Of a
            step that takes several videos, each begins one frame later.
        calls: number of frames to feed to a step, or of clips.
        form: ``step`` or ``clip``.
        threads: number of threads of the runtime.

    Raises:
        ExportError: the model cannot be opened, or its process died.
    """
    with tempfile.TemporaryDirectory() as scratch:
        given, computed = Path(scratch) / "input.npz", Path(scratch) / "output.npz"
        np.savez(given, frames=frames, calls=calls)
        command = [
            sys.executable,
            "-m",
            "results.inference.isolated_run",
            str(model),
            str(given),
            str(computed),
        ]
        paths = {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
        threading = {"OMP_NUM_THREADS": str(threads)}
        process = subprocess.run(
            [*command, "--form", form, "--threads", str(threads)],
            env={**os.environ, **paths, **threading},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if process.returncode:
            raise _failure(model, process.returncode, process.stderr)
        with np.load(computed) as content:
            return IsolatedRun(
                content["logits"],
                content["milliseconds"],
                content["cpu_milliseconds"],
                int(content["memory"][1]),
                int(content["memory"][1] - content["memory"][0]),
            )


def _failure(model: Path, status: int, output: str) -> ExportError:
    """Return the error of a process that ended with a status, by the last line that it wrote."""
    last = last_line(output)
    if status == _USER_ERROR:
        return ExportError(last)
    ended = f"was ended by signal {-status}" if status < 0 else f"failed with status {status}"
    return ExportError(
        f"{model}: the process that ran it {ended}: {last[:300]}",
        hint="check the installed version of its runtime; export the member again",
    )


def main() -> None:
    """Run the model in this process, and write what it computed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("given", type=Path)
    parser.add_argument("computed", type=Path)
    parser.add_argument("--form", default="step")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    with np.load(arguments.given) as content:
        frames, calls = content["frames"], int(content["calls"])
    try:
        call, before = _open_call(arguments.model, arguments.form, arguments.threads, frames)
    except MovinasError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_USER_ERROR)
    logits, wall, processor = [], [], []
    for index in range(calls):
        began, worked = time.perf_counter_ns(), time.process_time_ns()
        logits.append(np.array(call(index)))
        processor.append((time.process_time_ns() - worked) / 1e6)
        wall.append((time.perf_counter_ns() - began) / 1e6)
    np.savez(
        arguments.computed,
        logits=np.stack(logits),
        milliseconds=wall,
        cpu_milliseconds=processor,
        memory=[before, max(peak_bytes(), before)],
    )


def _open_call(
    model: Path, form: str, threads: int, frames: NDArray[np.float32]
) -> tuple[Callable[[int], NDArray[np.float32]], int]:
    """Return what computes a call by its number, and the memory in bytes before the model was loaded."""
    from results.inference.open_step import open_step
    from results.inference.runners import ClipRunner

    if model.is_dir():
        # Imported before memory is looked at: it is not the model's.
        import results.inference.torch_runner  # noqa: F401
    before = resident_bytes()
    if form == _CLIP:
        clip = ClipRunner(model, threads=threads)
        clips = frames.reshape(-1, clip.sidecar.frames, *frames.shape[1:])
        return lambda index: clip.run(clips[index % len(clips)])[None], before
    runner = open_step(model, threads=threads).runner
    state, every = runner.initial_state(), np.ones(runner.streams, np.bool_)

    def call(index: int) -> NDArray[np.float32]:
        nonlocal state
        numbers = (index + np.arange(runner.streams)) % len(frames)
        logits, state = runner.run_all(frames[numbers], state, every)
        return logits

    return call, before


if __name__ == "__main__":
    main()
