"""What the cluster is asked to do, and what it answers: jobs, epoch results, and the evaluator between them.

Everything that travels to a worker is plain JSON, and an evaluator is named by its import path, so that a
worker on another machine, or another Python, needs no pickle of ours.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, get_args

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Purpose
from search_space.architecture.architecture import Architecture
from search_space.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a job at one fidelity.

    Args:
        horizon: of the training, which ends at the last of ``rungs``.
        folder: of its checkpoint.
        rungs: epochs after which it is measured.
    """

    horizon: Fidelity
    folder: Path
    rungs: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """One training to run, or to go on with: ``folder`` decides, which holds the training's own checkpoint.

    Args:
        architecture: the network.
        fidelity: the whole schedule; the learning rate is planned for all of its epochs.
        seed: of the training.
        purpose: the part of the run that asks.
        folder: where the training checkpoints, and leaves ``weights.safetensors`` when it is through.
        rungs: epochs after which it is measured, increasing, the last one the schedule's end; by default only
            that.
        measured: the rungs that the record already has.
        fidelities: what is spent at each rung, the last one ``fidelity``; by default they differ in epochs
            only.
        recipe: JSON of a training recipe that replaces the run's own; None keeps that.
    """

    architecture: Architecture
    fidelity: Fidelity
    seed: int
    purpose: Purpose
    folder: Path
    rungs: tuple[int, ...] = ()
    measured: tuple[int, ...] = ()
    recipe: Mapping[str, Any] | None = None
    fidelities: tuple[Fidelity, ...] = ()

    def __post_init__(self) -> None:
        if not self.rungs:
            object.__setattr__(self, "rungs", (self.fidelity.epochs,))
        if list(self.rungs) != sorted(set(self.rungs)) or self.rungs[-1] != self.fidelity.epochs:
            raise SettingsError(
                f"a job's rungs are {list(self.rungs)} in a schedule of {self.fidelity.epochs} epochs",
                hint="they increase, and the last one is the schedule's length",
            )
        if tuple(each.epochs for each in self._spent) != self.rungs or self._spent[-1] != self.fidelity:
            raise SettingsError(
                f"a job's fidelities are {', '.join(each.key for each in self._spent)} for its rungs"
                f" {list(self.rungs)} up to {self.fidelity.key}",
                hint="one for each rung, with its epochs",
            )

    @property
    def _spent(self) -> tuple[Fidelity, ...]:
        """At each rung."""
        return self.fidelities or tuple(map(self.fidelity.after, self.rungs))

    @cached_property
    def name(self) -> str:
        """What tells it from the other jobs of a run."""
        return f"{self.architecture.digest}-s{self.seed}-{self.purpose}-{self.fidelity.key}"

    @property
    def weights(self) -> Path:
        """Where the trained weights lie once the job is through."""
        return self.folder / "weights.safetensors"

    def fidelity_at(self, epochs: int) -> Fidelity:
        """The fidelity of a measurement after ``epochs`` of this job's schedule."""
        rung = next((each for each in self._spent if each.epochs >= epochs), self.fidelity)
        return rung.after(epochs)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The trainings that it consists of, each promoted from the one before."""
        stages: list[Stage] = []
        for each in self._spent:
            # All stages share one schedule, which is as long as the whole job.
            horizon = each.after(self.fidelity.epochs)
            if stages and stages[-1].horizon == horizon:
                last = stages.pop()
                stages.append(replace(last, rungs=(*last.rungs, each.epochs)))
            else:
                own = horizon == self.fidelity
                folder = self.folder if own else self.folder / f"before-{horizon.key}"
                stages.append(Stage(horizon, folder, (each.epochs,)))
        return tuple(stages)

    def to_json(self) -> str:
        """One line that ``from_json`` reads back."""
        return json.dumps(
            {
                "architecture": self.architecture.to_json(),
                "fidelity": self.fidelity.key,
                "seed": self.seed,
                "purpose": self.purpose,
                "folder": str(self.folder),
                "rungs": list(self.rungs),
                "measured": list(self.measured),
                "recipe": None if self.recipe is None else dict(self.recipe),
                "fidelities": [each.key for each in self.fidelities],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The inverse of ``to_json``."""
        data = json.loads(text)
        purpose: Purpose = data["purpose"]
        if purpose not in get_args(Purpose):
            raise SettingsError(
                f"a job's purpose is {purpose!r}", hint=f"one of {', '.join(get_args(Purpose))}"
            )
        return cls(
            architecture=Architecture.from_json(data["architecture"]),
            fidelity=Fidelity.parse(data["fidelity"]),
            seed=data["seed"],
            purpose=purpose,
            folder=Path(data["folder"]),
            rungs=tuple(data["rungs"]),
            measured=tuple(data["measured"]),
            recipe=data["recipe"],
            fidelities=tuple(map(Fidelity.parse, data["fidelities"])),
        )


def job_folder(
    run_dir: Path,
    digest: str,
    seed: int,
    purpose: Purpose,
    *,
    epochs: int | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Path:
    """Where a training of a run keeps its checkpoint.

    The search has one schedule and one recipe; for other purposes they are part of the name, so that a run
    whose final training was changed does not meet the checkpoints of the old one.
    """
    name = f"{digest}-s{seed}-{purpose}"
    if epochs is not None:
        name += f"-e{epochs}"
    if recipe is not None:
        name += "-" + hashlib.sha256(json.dumps(dict(recipe), sort_keys=True).encode()).hexdigest()[:8]
    return run_dir / "checkpoints" / name


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch of a job.

    Args:
        epoch: how many epochs the training has behind it.
        seconds: wall clock of this epoch, its evaluation included.
        metrics: top1, top5, loss, macs, ... when the epoch is a rung; else None.
    """

    epoch: int
    seconds: float
    metrics: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "metrics": None if self.metrics is None else dict(self.metrics),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EpochResult:
        """The inverse of ``to_dict``."""
        return cls(int(data["epoch"]), float(data["seconds"]), data["metrics"])


class Evaluator(Protocol):
    """Trains a job epoch by epoch; one instance lives in each worker and serves many jobs, one at a time."""

    def __call__(self, job: Job) -> Iterator[EpochResult]:
        """Yields after every epoch, with metrics at every rung that the job does not have measured yet.

        It goes on from the job's folder if there is a checkpoint, saves one before it yields, and is closed
        when the job is stopped early. A rung whose epochs lie in the checkpoint but whose metrics are missing
        is evaluated at once. Whatever makes a training hopeless is raised as an error of the project's
        family.
        """
        ...


@dataclass(frozen=True)
class EvaluatorSpec:
    """An evaluator by name: ``path`` is ``module:Class``, ``arguments`` its keywords, JSON types only."""

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Evaluator:
        """Imports and creates it.

        Raises:
            SettingsError: the path names nothing that can be imported.
        """
        module, _, name = self.path.partition(":")
        try:
            evaluator: Evaluator = getattr(importlib.import_module(module), name)(**self.arguments)
        except (ImportError, AttributeError) as error:
            raise SettingsError(f"the evaluator {self.path!r} cannot be imported: {error}") from error
        return evaluator

    def to_json(self) -> str:
        """One line that ``from_json`` reads back."""
        return json.dumps({"path": self.path, "arguments": dict(self.arguments)})

    @classmethod
    def from_json(cls, text: str) -> EvaluatorSpec:
        """The inverse of ``to_json``."""
        data = json.loads(text)
        return cls(data["path"], data["arguments"])
