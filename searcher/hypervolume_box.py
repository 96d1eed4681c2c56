"""The box that hypervolumes are measured in: one for the live panel, the status and the report of a run.

Every objective goes from 0 to 1, so that a volume is a share of the box and does not depend on units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
