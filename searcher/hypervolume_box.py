"""The box that hypervolumes are measured in: one for the live panel, the status and the report of a run.

Every objective goes from 0 to 1, so that a volume is a share of the box and does not depend on units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from searcher.objectives import Objectives
from searcher.pareto import hypervolume
from searcher.record.candidate import Candidate

_MARGIN = 0.1


def in_box(
    values: NDArray[np.float64], names: Sequence[str], among: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Scale points to the box, in which 1 is the worst corner; what is beyond it adds no volume.

    The error stays as it is. Each logarithm of a cost is scaled to the range of all that was measured, and a
    tenth beyond it: the most expensive network would otherwise add no volume, however accurate it is.

    Args:
        values: points (n, objectives) to minimise, as ``Objectives.values`` gives them; NaN if not measured.
        names: names of the objectives.
        among: further points whose costs widen the box, so that several searches can be compared.
    """
    scaled = np.array(values, dtype=np.float64)
    everything = scaled if among is None else np.concatenate([scaled, among])
    for column, name in enumerate(names):
        if name != "accuracy":
            low = np.nanmin(everything[:, column], initial=np.inf)
            high = np.nanmax(everything[:, column], initial=-np.inf)
            scaled[:, column] = (scaled[:, column] - low) / max((1 + _MARGIN) * (high - low), 1e-9)
    return scaled


def search_hypervolume(candidates: Sequence[Candidate], objectives: Objectives) -> float:
    """Return the hypervolume of a search: of every measurement, at any rung, that keeps the soft limits.

    Args:
        candidates: candidates of the search, measured or not.
        objectives: objectives of the search.
    """
    measured = [metrics for candidate in candidates for metrics in candidate.metrics.values()]
    values = [objectives.values(metrics) for metrics in measured if objectives.violation(metrics) <= 0]
    if not values:
        return 0.0
    return hypervolume(in_box(np.array(values), objectives.names), (1.0,) * len(objectives.names))
