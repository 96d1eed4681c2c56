"""How a search went: the hypervolume that its frontier dominates, after each evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from results.analysis.candidates import Columns, Floats, check_measured, check_objectives
from searcher.hypervolume_box import in_box
from searcher.objectives import DEFAULT_OBJECTIVES, LEAST_COST, Objectives
from searcher.pareto import hypervolume
from searcher.record import Measurement

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class HypervolumeHistory:
    """Hypervolume after each evaluation, in [0, 1].

    Args:
        evaluations: 1, 2, ... one for each measurement made in the search, at whichever fidelity.
        architectures: number of distinct architectures measured by then.
        hypervolume: dominated share of the box of ``searcher.hypervolume_box``.
        seconds: training time spent by then, summed over the workers, in seconds.
    """

    evaluations: tuple[int, ...]
    architectures: tuple[int, ...]
    hypervolume: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def changes(self) -> list[int]:
        """The first index, the last, and those between at which the hypervolume rises."""
        last = len(self.hypervolume) - 1
        rises = np.flatnonzero(np.diff(self.hypervolume) > 0) + 1
        return sorted({0, last, *rises.tolist()}) if last >= 0 else []


def hypervolume_history(
    measurements: Iterable[Measurement],
    purpose: str = "search",
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    *,
    constraints: Mapping[str, float] | None = None,
    among: Iterable[Measurement] = (),
) -> HypervolumeHistory:
    """Return how the dominated hypervolume grew; every rung's measurement counts as an evaluation.

    Args:
        measurements: measurements of one run.
        purpose: purpose of the measurements that count.
        objectives: two names or more of ``searcher.objectives.OBJECTIVES``.
        constraints: upper limits of metrics by name; a measurement above one adds no volume.
        among: measurements of more runs whose costs widen the box, so that runs can be compared.

    Raises:
        SettingsError: an objective is unknown, or no measurement has it.
    """
    check_objectives(objectives)
    columns = Columns.of(measurements, purpose)
    if not len(columns.rows):
        return HypervolumeHistory((), (), (), ())
    limits = Objectives(tuple(objectives), constraints or {})
    values, others = (_values(part, limits) for part in (columns, Columns.of(among, purpose)))
    volumes = _running_hypervolume(in_box(values, objectives, others))
    architectures = np.maximum.accumulate(columns.digest) + 1
    seconds = np.cumsum([row.seconds for row in columns.rows])
    return HypervolumeHistory(
        tuple(range(1, len(volumes) + 1)),
        tuple(architectures.tolist()),
        tuple(volumes.tolist()),
        tuple(seconds.tolist()),
    )


def _values(columns: Columns, objectives: Objectives) -> Floats:
    """Return every objective to minimise, (rows, objectives): NaN for a row that breaks a limit."""
    values = np.empty((len(columns.rows), len(objectives.names)))
    for place, name in enumerate(objectives.names):
        measured = columns.values(name)
        check_measured(name, measured)
        values[:, place] = 1 - measured if name == "accuracy" else np.log(np.maximum(measured, LEAST_COST))
    if objectives.constraints:
        values[[objectives.violation(row.metrics) > 0 for row in columns.rows]] = np.nan
    return values


def _running_hypervolume(points: Floats) -> Floats:
    """Return the volume after each point; only a point that enters the front changes it, and most do not."""
    reference = (1.0,) * points.shape[1]
    front = np.empty((0, points.shape[1]))
    volumes = np.zeros(len(points))
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        beaten = np.any(np.all(front[None, :, :] <= block[:, None, :], axis=2), axis=1)
        beaten |= np.isnan(block).any(axis=1)
        for index in np.flatnonzero(~beaten).tolist():
            point = block[index]
            if not np.any(np.all(front <= point, axis=1)):
                front = np.vstack([front[~np.all(front >= point, axis=1)], point])
                volumes[start + index] = hypervolume(front, reference)
    grown: Floats = np.maximum.accumulate(volumes)
    return grown
