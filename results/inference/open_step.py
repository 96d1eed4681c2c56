"""Whatever can stream, opened by its path: a member's folder in PyTorch, an exported step in its runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.inference.runners import ExportRunner, Runner
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.registry import SUFFIXES
from search_space.errors import NetworkError


@dataclass(frozen=True)
class OpenedStep:
    """A step that is ready to run.

    Args:
        runner: runner that computes the step.
        preprocessing: preprocessing from a picture to the step's input.
        labels: label of each class.
    """

    runner: Runner[Any]
    preprocessing: Preprocessing
    labels: tuple[str, ...]


def open_step(path: Path, *, threads: int = 1, streams: int = 1) -> OpenedStep:
    """Open the step of a member or of an export.

    Args:
        path: folder of a member, or an exported file with its sidecar beside it.
        threads: number of threads of the runtime.
        streams: number of videos of which a call takes a frame each, in PyTorch; exports have their own.

    Raises:
        NetworkError: there is no such thing, its weights are damaged or do not fit, or it cannot stream.
        ExportError: the export is damaged, of another version, or of the clip form.
    """
    if path.suffix in SUFFIXES:
        runner = ExportRunner(path, threads=threads)
        return OpenedStep(runner, runner.sidecar.preprocessing, runner.sidecar.labels)
    if not path.is_dir():
        raise NetworkError(
            f"{path} is neither a member's folder nor an exported step",
            hint="give a folder such as runs/NAME/family/A0, or its step.onnx",
        )
    # PyTorch takes seconds to load, which programs that run exports need not wait for.
    from results.inference.torch_runner import TorchRunner
    from results.member import load_member

    model, member = load_member(path)
    if not member.streams:
        raise NetworkError(
            f"{path} holds a base network, which needs whole clips", hint="only causal networks can stream"
        )
    return OpenedStep(TorchRunner(model, threads, streams), Preprocessing.of(member.input), member.labels)
