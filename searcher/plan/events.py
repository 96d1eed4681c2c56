"""What a run tells while it works, for a live display or a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy_train.measurement import Measurement, Purpose
from searcher.objectives import DEFAULT_OBJECTIVES
from searcher.plan.provisional_frontier import FrontierPoint
from searcher.record.candidate import Decision


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """Where a phase stands.

    Args:
        phase: the part of the run.
        planned: trainings in all.
        done: those that ended well, held ones included.
        running: those on a worker now.
        failed: those that ended badly.
        stopped: of those done, the ones that were stopped or are held before the last rung.
        epochs: trained in this session.
        frontier: the best candidates so far, the cheapest first; empty outside the search.
        hypervolume: share of the box that the measurements so far dominate; see ``search_hypervolume``.
        seconds: since the phase began in this session.
        seconds_left: an estimate, None while there is nothing to go by.
        objectives: of the search.
        ended: trainings that ended in this session, however they did; one that was held counts each time.
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
    """A training went to a worker; it may go on from a checkpoint."""

    phase: Purpose
    digest: str
    architecture: str
    seed: int


@dataclass(frozen=True, slots=True)
class EpochTrained:
    """A training has one epoch more behind it.

    Args:
        phase: the part of the run.
        digest: of the architecture.
        seed: of the training.
        epoch: how many it has behind it.
        seconds: that this one took.
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
    """A worker was lost, failed or hung; the training is tried again, unless that was often enough.

    Args:
        phase: the part of the run.
        digest: of the architecture.
        seed: of the training.
        reason: one line.
        details: a traceback, if there is one.
    """

    phase: Purpose
    digest: str
    seed: int
    reason: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement is in the record; in the search, with what became of the candidate."""

    measurement: Measurement
    decision: Decision | None = None


Event = PhaseProgress | Started | EpochTrained | Lost | Measured
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Nobody listens."""
    del event
