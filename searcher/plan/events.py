"""Events of a run while it works, for a live display or a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy_train.measurement import Measurement, Purpose
from searcher.objectives import DEFAULT_OBJECTIVES
from searcher.plan.provisional_frontier import FrontierPoint
from searcher.record.candidate import Decision


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """The progress of a phase.

    Args:
        phase: part of the run.
        planned: number of all trainings.
        done: number of trainings that succeeded, held ones included.
        running: number of trainings on a worker now.
        failed: number of trainings that failed.
        stopped: number of those done that were stopped or are held before the last rung.
        epochs: epochs trained in this session.
        frontier: best candidates so far, the cheapest first; empty outside the search.
        hypervolume: share of the box that the measurements so far dominate; see ``search_hypervolume``.
        seconds: seconds since the phase started in this session.
        seconds_left: estimate of the seconds left; None before the first epoch.
        objectives: names of the objectives of the search.
        ended: number of trainings that ended in this session, with or without success; one that was held
            counts each time.
    """

    phase: Purpose
    planned: int
    done: int
    running: int
    failed: int
    stopped: int = 0
    epochs: int = 0
    frontier: tuple[FrontierPoint, ...] = ()
    hypervolume: float = 0.0
    seconds: float = 0.0
    seconds_left: float | None = None
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """The start of a training on a worker, perhaps from a checkpoint.

    Args:
        phase: part of the run.
        digest: digest of the architecture.
        architecture: text form of the architecture.
        seed: seed of the training.
    """

    phase: Purpose
    digest: str
    architecture: str
    seed: int


@dataclass(frozen=True, slots=True)
class EpochTrained:
    """The end of an epoch of a training.

    Args:
        phase: part of the run.
        digest: digest of the architecture.
        seed: seed of the training.
        epoch: number of epochs that are finished.
        seconds: seconds of this epoch.
        where: host and process of the worker.
        log: warnings of the training since the last epoch.
    """

    phase: Purpose
    digest: str
    seed: int
    epoch: int
    seconds: float
    where: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """The loss of a worker, which failed, hung or vanished; the training is retried up to a limit.

    Args:
        phase: part of the run.
        digest: digest of the architecture.
        seed: seed of the training.
        reason: reason in one line.
        details: traceback, if there is one.
    """

    phase: Purpose
    digest: str
    seed: int
    reason: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement that was added to the record.

    Args:
        measurement: the measurement.
        decision: decision about the candidate, in the search.
    """

    measurement: Measurement
    decision: Decision | None = None


Event = PhaseProgress | Started | EpochTrained | Lost | Measured
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore every event."""
    del event
