"""The frontier of a search while it runs, and its hypervolume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from searcher.hypervolume_box import in_box
from searcher.objectives import Objectives
from searcher.pareto import hypervolume, non_dominated
from searcher.record.candidate import Candidate


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A candidate whose latest measurement no other one dominates.

    Args:
        digest: digest of the architecture.
        architecture: text form of the architecture.
        macs: multiply-adds of one clip.
        accuracy: top-1 accuracy of the last measurement, a fraction.
        epochs: epochs of training before the last measurement.
        metrics: metrics of the last measurement, by their names in the record.
    """

    digest: str
    architecture: str
    macs: int
    accuracy: float
    epochs: int
    metrics: Mapping[str, float] = field(default_factory=dict)


def provisional_frontier(
    candidates: Sequence[Candidate], objectives: Objectives
) -> tuple[FrontierPoint, ...]:
    """Return the feasible candidates whose latest values no other one dominates, the cheapest first.

    Args:
        candidates: candidates of the search, measured or not.
        objectives: objectives and soft constraints of the search.
    """
    feasible = [
        candidate
        for candidate in candidates
        if candidate.state != "failed" and candidate.metrics and objectives.violation(candidate.latest) <= 0
    ]
    if not feasible:
        return ()
    mask = non_dominated(np.array([objectives.values(candidate.latest) for candidate in feasible]))
    front = [feasible[index] for index in np.flatnonzero(mask)]
    return tuple(
        FrontierPoint(
            candidate.digest,
            candidate.architecture,
            candidate.macs,
            candidate.accuracy or 0.0,
            candidate.epochs,
            dict(candidate.latest),
        )
        for candidate in sorted(front, key=lambda candidate: candidate.macs)
    )


def search_hypervolume(candidates: Sequence[Candidate], objectives: Objectives) -> float:
    """Return the hypervolume of all measurements of a search, at any rung, that keep the soft constraints.

    Args:
        candidates: candidates of the search, measured or not.
        objectives: objectives of the search.
    """
    measured = [metrics for candidate in candidates for metrics in candidate.metrics.values()]
    values = [objectives.values(metrics) for metrics in measured if objectives.violation(metrics) <= 0]
    return measured_hypervolume(np.array(values), objectives)


def measured_hypervolume(values: NDArray[np.float64], objectives: Objectives) -> float:
    """Return the hypervolume of measurements by their values (n, objectives); see ``search_hypervolume``."""
    if not len(values):
        return 0.0
    return hypervolume(in_box(values, objectives.names), (1.0,) * len(objectives.names))
