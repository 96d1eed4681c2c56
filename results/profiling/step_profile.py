"""Latency and memory of a network's step in a runtime, on the machine that this runs on."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from results import units
from results.inference.isolated_run import IsolatedRun, isolated_run
from results.runtimes.registry import SUFFIXES
from results.runtimes.sidecar import Precision, Sidecar, sidecar_of
from search_space.architecture.architecture import Architecture
from search_space.architecture.by_name import read_architecture
from search_space.cost.stopwatch import PYTORCH, WARMUP, Latency
from search_space.errors import SettingsError


@dataclass(frozen=True)
class Subject:
    """Network that is profiled.

    Args:
        architectures: architecture of the network, or of each network of an ensemble.
        classes: number of outputs.
        path: folder of a member, or an exported step; None if there are no weights.
    """

    architectures: tuple[Architecture, ...]
    classes: int
    path: Path | None

    @classmethod
    def of(cls, network: str, classes: int) -> Subject:
        """Open a member's folder, an exported file, or an architecture by name, text or file.

        Raises:
            MovinasError: there is no such thing, or it is damaged.
        """
        path = Path(network)
        if path.suffix in SUFFIXES:
            sidecar = Sidecar.read(sidecar_of(path))
            texts = tuple(Architecture.parse(text) for text in sidecar.architectures)
            return cls(texts, len(sidecar.labels), path)
        if (path / "architecture.json").is_file():
            from results.member import read_member

            member = read_member(path)
            return cls(member.architectures, len(member.labels), path if member.weights_sha256 else None)
        return cls((read_architecture(network),), classes, None)

    @property
    def streams(self) -> bool:
        """Whether it has a step."""
        return all(architecture.options.causal for architecture in self.architectures)


@dataclass(frozen=True)
class StepProfile:
    """Time of a step, and memory of its process.

    Args:
        runtime: name of the runtime.
        threads: number of threads of the runtime.
        precision: precision of the network.
        measured: measurements of the process.
        unit: what a call computes: ``frame``, or ``call of 8 frames``.
    """

    runtime: str
    threads: int
    precision: Precision
    measured: IsolatedRun
    unit: str = "frame"

    def text(self) -> str:
        """Return lines for a terminal."""
        times = Latency.of(self.measured.milliseconds[WARMUP:].tolist(), self.runtime)
        busy = Latency.of(self.measured.cpu_milliseconds[WARMUP:].tolist(), self.runtime)
        threads = "one thread" if self.threads == 1 else f"{self.threads} threads"
        call = f"a {self.unit}"
        return (
            f"  {call:<16} {units.milliseconds(times.median)} in {self.runtime}, {self.precision}, "
            f"{threads} (95th percentile {units.milliseconds(times.p95)}, {times.frames} frames; "
            f"processor {units.milliseconds(busy.median)})\n"
            f"  memory           {units.size(self.measured.peak_bytes)} at most, "
            f"{units.size(self.measured.model_bytes)} of it for the network and its steps"
        )


def profile_step(
    subject: Subject, frames: int, runtime: str, threads: int, precision: Precision
) -> StepProfile:
    """Time chained steps on noise in a process of their own.

    Args:
        subject: network to time; without weights it gets random ones.
        frames: number of timed frames.
        runtime: ``pytorch``, or a name of ``runtimes.registry.RUNTIMES``; an exported file has its own.
        threads: number of threads of the runtime.
        precision: precision of the export.

    Raises:
        MovinasError: it cannot be exported for the runtime, or run in it.
    """
    size = subject.architectures[0].input.size
    noise = np.random.default_rng(0).random((8, 3, size, size), dtype=np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        path, unit = subject.path, "frame"
        if path is not None and path.suffix in SUFFIXES:
            sidecar = Sidecar.read(sidecar_of(path))
            if runtime not in {PYTORCH, sidecar.runtime}:
                raise SettingsError(
                    f"--runtime {runtime}: {path} is for {sidecar.runtime}", hint="leave the option out"
                )
            if precision not in {"float32", sidecar.precision}:
                raise SettingsError(
                    f"--{precision}: {path} is {sidecar.precision}", hint="leave the option out"
                )
            runtime, precision, unit = sidecar.runtime, sidecar.precision, sidecar.unit
        else:
            path = prepared(subject, runtime, precision, Path(scratch))
        measured = isolated_run(path, noise, calls=WARMUP + frames, threads=threads)
    return StepProfile(runtime, threads, precision, measured, unit)


def prepared(subject: Subject, runtime: str, precision: Precision, scratch: Path) -> Path:
    """Return a member's folder or an export of the subject, with random weights if it has none."""
    import torch

    from results.export.export import ExportTarget, export_network
    from results.member import load_member, write_member
    from search_space.network.ensemble import Ensemble
    from search_space.network.model import MoViNet, build

    if runtime == PYTORCH and precision != "float32":
        raise SettingsError("--int8 with --runtime pytorch", hint="give another --runtime")
    if runtime == PYTORCH and subject.path is not None:
        return subject.path
    labels = [str(index) for index in range(subject.classes)]
    if subject.path is not None:
        model, _ = load_member(subject.path)
    else:
        with torch.no_grad():
            networks = [
                build(architecture, subject.classes, seed=0).eval() for architecture in subject.architectures
            ]
        untrained: MoViNet | Ensemble = networks[0] if len(networks) == 1 else Ensemble(networks)
        model = untrained.eval()
    if runtime == PYTORCH:
        write_member(scratch, "profiled", model, recipe_yaml="", labels=labels, metrics={})
        return scratch
    size = subject.architectures[0].input.size
    noise = np.random.default_rng(1).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    target = ExportTarget(runtime, precision=precision)
    result = export_network(model, scratch, noise, name="profiled", labels=labels, target=target)
    assert result.path is not None, "it raises when there is none"
    return result.path
