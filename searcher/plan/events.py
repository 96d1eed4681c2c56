"""What a run tells while it works, for a live display or a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from proxy_train.measurement import Measurement, Purpose
from searcher.objectives import DEFAULT, Objectives
from searcher.pareto import hypervolume, non_dominated
from searcher.record.candidate import Candidate, Decision


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A candidate that no other beats in all objectives, as far as ``epochs`` of training tell.

    ``metrics`` are those of its last measurement, by their names in the record.
    """

    digest: str
    architecture: str
    macs: int
    accuracy: float
    epochs: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
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
        hypervolume: of that frontier, 0 to 1; see ``frontier_so_far``.
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
    objectives: tuple[str, ...] = DEFAULT
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """A training went to a worker; it may go on from a checkpoint."""

    phase: Purpose
    digest: str
    architecture: str
    seed: int


@dataclass(frozen=True, slots=True)
class Trained:
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


Event = Progress | Started | Trained | Lost | Measured
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Nobody listens."""
    del event


def scaled(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Objective values to minimise, shape (n, objectives), with every column from 0 to 1.

    The error stays as it is. Multiply-adds, if they are the second objective, are cut at the ends of their
    window; costs without a window at the least and a tenth beyond the most of the values.

    Args:
        values: as ``Objectives.values`` gives them.
        low: least multiply-adds of the search, NaN if they are no objective.
        high: most of them.
    """
    first, last = values[:, 1:].min(axis=0), values[:, 1:].max(axis=0)
    last = last + 0.1 * (last - first)
    if math.isfinite(low):
        first[0], last[0] = math.log(low), math.log(high)
    return np.column_stack([values[:, 0], (values[:, 1:] - first) / np.maximum(last - first, 1e-9)])


def frontier_so_far(
    candidates: Sequence[Candidate], objectives: Objectives, low: float, high: float
) -> tuple[tuple[FrontierPoint, ...], float]:
    """The provisional frontier over the latest values of every feasible candidate, and its hypervolume.

    The hypervolume is that of the first three objectives at most, each from 0 to 1 with the reference at 1,
    so that it does not depend on units; see ``scaled``.

    Args:
        candidates: of the search.
        objectives: of the search.
        low: least multiply-adds of the search.
        high: most of them.
    """
    known = [
        each
        for each in candidates
        if each.state != "failed" and each.metrics and objectives.violation(each.latest) <= 0
    ]
    if not known:
        return (), 0.0
    values = np.array([objectives.values(each.latest) for each in known])
    front = sorted(
        (known[index] for index in np.flatnonzero(non_dominated(values))), key=lambda each: each.macs
    )
    found = tuple(
        FrontierPoint(
            each.digest, each.architecture, each.macs, each.accuracy or 0.0, each.epochs, dict(each.latest)
        )
        for each in front
    )
    windowed = (low, high) if objectives.names[1] == "macs" else (math.nan, math.nan)
    whole = values[~np.isnan(values).any(axis=1)]
    points = scaled(whole, *windowed)[:, :3] if len(whole) else np.empty((0, 2))
    return found, hypervolume(points, (1.0,) * points.shape[1])
