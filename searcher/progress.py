"""What a run tells while it works, for a live display or a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from proxy_train.measurement import Measurement, Purpose
from searcher.candidate import Candidate, Decision
from searcher.pareto import hypervolume, non_dominated


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A candidate that no other beats in accuracy and cost, as far as ``epochs`` of training tell."""

    digest: str
    architecture: str
    macs: int
    accuracy: float
    epochs: int


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
        hypervolume: of that frontier, 0 to 1; see ``scaled``.
        seconds: since the phase began in this session.
        seconds_left: an estimate, None while there is nothing to go by.
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


@dataclass(frozen=True, slots=True)
class Started:
    """A training went to a worker; it may go on from a checkpoint."""

    phase: Purpose
    digest: str
    architecture: str
    seed: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement is in the record; in the search, with what became of the candidate."""

    measurement: Measurement
    decision: Decision | None = None


Event = Progress | Started | Measured
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Nobody listens."""
    del event


def scaled(
    macs: Sequence[float], accuracy: Sequence[float], low: float, high: float
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Points to minimise, shape (n, 2): log multiply-adds over the window, 0 to 1, and the error, 0 to 1.

    The hypervolume of a run is measured in this square with the reference (1, 1), so that it does not depend
    on units.
    """
    span = max(math.log(high / low), 1e-9)
    cost = (np.log(np.asarray(macs, dtype=np.float64)) - math.log(low)) / span
    return np.stack([cost, 1 - np.asarray(accuracy, dtype=np.float64)], axis=1)


def frontier_so_far(
    candidates: Sequence[Candidate], low: float, high: float
) -> tuple[tuple[FrontierPoint, ...], float]:
    """The provisional frontier over the latest accuracy of every candidate, and its hypervolume."""
    known = [each for each in candidates if each.accuracy is not None]
    if not known:
        return (), 0.0
    points = scaled([each.macs for each in known], [each.accuracy or 0.0 for each in known], low, high)
    front = sorted(
        (known[index] for index in np.flatnonzero(non_dominated(points))), key=lambda each: each.macs
    )
    found = tuple(
        FrontierPoint(each.digest, each.architecture, each.macs, each.accuracy or 0.0, each.epochs)
        for each in front
    )
    return found, hypervolume(points, (1.0, 1.0))
