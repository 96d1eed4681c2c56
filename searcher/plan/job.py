"""Jobs for the cluster, their results by epoch, and the evaluator between them.

Everything that travels to a worker is plain JSON, and an evaluator is named by its import path, so that a
worker on another machine, or another Python, needs no pickle of ours.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from proxy_train.fidelity import Fidelity, FidelityKey
from proxy_train.measurement import Purpose
from search_space.architecture.json_fields import ArchitectureJson
from search_space.errors import SettingsError
from search_space.json_files import from_json, to_json

REPEATS, TOP1_STD = "repeats", "top1_std"
"""Names of two metrics of repeated trainings: their number, and the deviation of top-1 accuracy."""
_BETWEEN_SEEDS = 1_000_000
"""Distance of the seeds of repeated trainings: far beyond those of confirmations and final trainings."""


@dataclass(frozen=True, slots=True)
class JobStage:
    """A part of a job at one fidelity.

    Args:
        horizon: fidelity of the whole schedule; the stage ends at the last of ``rungs``.
        folder: folder of the stage's checkpoint.
        rungs: epochs after which it is measured.
    """

    horizon: Fidelity
    folder: Path
    rungs: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """One training to run, or to resume if ``folder`` holds its checkpoint.

    Args:
        architecture: architecture of the network.
        fidelity: fidelity of the whole schedule; the learning rate is planned for all of its epochs.
        seed: seed of the training.
        purpose: part of the run that the training belongs to.
        folder: folder of the training's checkpoint, and of ``weights.safetensors`` once it has finished.
        rungs: epochs after which it is measured, increasing, the last one the schedule's end; by default only
            that.
        measured: rungs that the record already has, in epochs.
        recipe: JSON of a training recipe that replaces the run's own; None keeps the run's.
        fidelities: fidelity at each rung, the last one ``fidelity``; by default they differ in epochs only.
        repeats: number of trainings, each with a seed of its own, whose mean is the result.
    """

    architecture: ArchitectureJson
    fidelity: FidelityKey
    seed: int
    purpose: Purpose
    folder: Path
    rungs: tuple[int, ...] = ()
    measured: tuple[int, ...] = ()
    recipe: Mapping[str, Any] | None = None
    fidelities: tuple[FidelityKey, ...] = ()
    repeats: int = 1

    def __post_init__(self) -> None:
        if not self.rungs:
            object.__setattr__(self, "rungs", (self.fidelity.epochs,))
        if list(self.rungs) != sorted(set(self.rungs)) or self.rungs[-1] != self.fidelity.epochs:
            raise SettingsError(
                f"a job's rungs are {list(self.rungs)} in a schedule of {self.fidelity.epochs} epochs",
                hint="they increase, and the last one is the schedule's length",
            )
        spent = self._fidelities
        if tuple(fidelity.epochs for fidelity in spent) != self.rungs or spent[-1] != self.fidelity:
            raise SettingsError(
                f"a job's fidelities are {', '.join(fidelity.key for fidelity in spent)} for its rungs"
                f" {list(self.rungs)} up to {self.fidelity.key}",
                hint="one for each rung, with its epochs",
            )

    @property
    def _fidelities(self) -> tuple[Fidelity, ...]:
        """Fidelity at each rung."""
        return self.fidelities or tuple(map(self.fidelity.after, self.rungs))

    @cached_property
    def name(self) -> str:
        """Name that no other job of a run has."""
        return f"{self.architecture.digest}-s{self.seed}-{self.purpose}-{self.fidelity.key}"

    @property
    def weights(self) -> Path:
        """File of the trained weights once the job has finished."""
        return self.folder / "weights.safetensors"

    def fidelity_at(self, epochs: int) -> Fidelity:
        """Return the fidelity of a measurement after ``epochs`` of this job's schedule."""
        rung = next((fidelity for fidelity in self._fidelities if fidelity.epochs >= epochs), self.fidelity)
        return rung.after(epochs)

    @property
    def trainings(self) -> tuple[Job, ...]:
        """The trainings whose mean is the result, each in a folder of its own, the job's own first."""
        return tuple(
            replace(
                self,
                seed=self.seed + number * _BETWEEN_SEEDS,
                folder=self.folder / f"repeat-{number}" if number else self.folder,
                repeats=1,
            )
            for number in range(self.repeats)
        )

    @property
    def stages(self) -> tuple[JobStage, ...]:
        """Trainings that it consists of, each promoted from the one before."""
        stages: list[JobStage] = []
        for fidelity in self._fidelities:
            # All stages share one schedule, which is as long as the whole job.
            horizon = fidelity.after(self.fidelity.epochs)
            if stages and stages[-1].horizon == horizon:
                last = stages.pop()
                stages.append(replace(last, rungs=(*last.rungs, fidelity.epochs)))
            else:
                is_last = horizon == self.fidelity
                folder = self.folder if is_last else self.folder / f"before-{horizon.key}"
                stages.append(JobStage(horizon, folder, (fidelity.epochs,)))
        return tuple(stages)

    def to_json(self) -> str:
        """Return one line that ``from_json`` reads."""
        return json.dumps(to_json(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job that a line describes; the inverse of ``to_json``.

        Raises:
            SettingsError: the line is not a job.
        """
        hint = "use the same version of movinas on all machines"
        return from_json(json.loads(text), cls, where="a job", error=SettingsError, hint=hint)


def job_folder(
    run_dir: Path,
    digest: str,
    seed: int,
    purpose: Purpose,
    *,
    epochs: int | None = None,
    recipe: Mapping[str, Any] | None = None,
    origin: Sequence[str] = (),
) -> Path:
    """Return the folder of a training's checkpoint.

    The search has one schedule and one recipe. For other purposes they are part of the name, so that a
    changed final training does not resume the checkpoints of the old one.

    Args:
        run_dir: folder of the run.
        digest: digest of the architecture.
        seed: seed of the training.
        purpose: part of the run that the training belongs to.
        epochs: epochs of the schedule, if they are part of the name.
        recipe: JSON of the training's recipe, if it is part of the name.
        origin: digests of the weights that it begins with and of its teacher, if they are part of the name.
    """
    name = f"{digest}-s{seed}-{purpose}"
    if epochs is not None:
        name += f"-e{epochs}"
    if recipe is not None:
        name += "-" + hashlib.sha256(json.dumps(dict(recipe), sort_keys=True).encode()).hexdigest()[:8]
    name += "".join(f"-{digest}" for digest in origin if digest)
    return run_dir / "checkpoints" / name


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch of a job.

    Args:
        epoch: number of epochs that are finished.
        seconds: wall-clock time of this epoch in seconds, its evaluation included.
        metrics: top1, top5, loss, macs, ... if the epoch is a rung; else None.
    """

    epoch: int
    seconds: float
    metrics: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types."""
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "metrics": None if self.metrics is None else dict(self.metrics),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EpochResult:
        """Return the result that JSON types describe; the inverse of ``to_dict``."""
        return cls(int(data["epoch"]), float(data["seconds"]), data["metrics"])


class Evaluator(Protocol):
    """A training of jobs, epoch by epoch; each worker has one instance for all of its jobs, one at a time."""

    def __call__(self, job: Job) -> Iterator[EpochResult]:
        """Yield every epoch's result, with metrics at every rung that is not measured yet.

        The training resumes from the checkpoint in the job's folder, saves one before it yields, and is
        closed when the job is stopped early. A rung that the checkpoint has reached without being measured is
        evaluated at once.

        Raises:
            MovinasError: the training cannot succeed, however often it is tried.
        """
        ...


@dataclass(frozen=True)
class EvaluatorSpec:
    """An evaluator by name.

    Args:
        path: import path of the class, ``module:Class``.
        arguments: keyword arguments of the class, in JSON types.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Evaluator:
        """Import the class and create the evaluator.

        Raises:
            SettingsError: the class cannot be imported.
        """
        module, _, name = self.path.partition(":")
        try:
            evaluator: Evaluator = getattr(importlib.import_module(module), name)(**self.arguments)
        except (ImportError, AttributeError) as error:
            raise SettingsError(f"the evaluator {self.path!r} cannot be imported: {error}") from error
        return evaluator

    def to_json(self) -> str:
        """Return one line that ``from_json`` reads."""
        return json.dumps({"path": self.path, "arguments": dict(self.arguments)})

    @classmethod
    def from_json(cls, text: str) -> EvaluatorSpec:
        """Return the evaluator that a line describes; the inverse of ``to_json``."""
        data = json.loads(text)
        return cls(data["path"], data["arguments"])
