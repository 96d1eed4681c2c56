"""How a search went: the hypervolume that its frontier dominates, after each evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from results.analysis.candidates import DEFAULT, Columns, Floats, check_measured, check_objectives
from searcher.pareto import hypervolume
from searcher.record import Measurement

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Progress:
    """Hypervolume after each evaluation, in [0, 1].

    Args:
        evaluations: 1, 2, ... one for each measurement made in the search, at whichever fidelity.
        architectures: number of distinct architectures measured by then.
        hypervolume: the dominated share of the box of accuracy 0 to 1 and the logarithm of each cost from the
            cheapest measured network to the dearest, and a tenth of that range beyond.
        seconds: training time spent by then, summed over the workers.
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


def progress(
    measurements: Iterable[Measurement],
    purpose: str = "search",
    objectives: Sequence[str] = DEFAULT,
    among: Iterable[Measurement] = (),
) -> Progress:
    """How the dominated hypervolume grew; every rung's measurement counts as an evaluation.

    Args:
        measurements: of one run.
        purpose: of the measurements that count.
        objectives: two or three of ``searcher.strategies.domain.OBJECTIVES``.
        among: measurements of more runs whose costs stretch the box, so that runs can be compared.

    Raises:
        SettingsError: an objective is unknown, or was measured of none.
    """
    check_objectives(objectives)
    columns = Columns.of(measurements, purpose)
    if not len(columns.rows):
        return Progress((), (), (), ())
    points = _in_box(columns, Columns.of(among, purpose), objectives)
    volumes = _running_hypervolume(points)
    seen = np.maximum.accumulate(columns.digest) + 1
    seconds = np.cumsum([row.seconds for row in columns.rows])
    return Progress(
        tuple(range(1, len(points) + 1)),
        tuple(seen.tolist()),
        tuple(volumes.tolist()),
        tuple(seconds.tolist()),
    )


def _in_box(columns: Columns, among: Columns, objectives: Sequence[str]) -> Floats:
    """Every objective to minimise, from 0 to 1; 1 and above adds nothing."""
    found = []
    for name in objectives:
        values = columns.values(name)
        check_measured(name, values)
        if name == "accuracy":
            found.append(1.0 - values)
            continue
        logs = np.log(np.maximum(values, 1e-9))
        everywhere = np.append(logs, np.log(np.maximum(among.values(name), 1e-9)))
        # A tenth beyond the dearest network, which would otherwise add no volume however accurate it is.
        low, high = np.nanmin(everywhere, initial=np.inf), np.nanmax(everywhere, initial=-np.inf)
        found.append((logs - low) / max(1.1 * (high - low), 1e-9))
    return np.column_stack(found)


def _running_hypervolume(points: Floats) -> Floats:
    """The volume after each point; only a point that enters the front changes it, and most do not."""
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
