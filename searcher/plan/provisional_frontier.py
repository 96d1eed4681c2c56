"""The frontier of a search while it runs, over the latest measurement of every candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from searcher.objectives import Objectives
from searcher.pareto import hypervolume, non_dominated
from searcher.record.candidate import Candidate


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
