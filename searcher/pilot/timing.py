"""The seconds of an epoch as a function of a network's multiply-adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

_FIXED = 0.5
"""Share of an epoch of a network of mean cost that is taken not to depend on the network, on any machine:
what a pilot trains must not hang on a clock. Small networks on short clips have that much; where it is less,
a pilot spends less than it may."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds of an epoch on one worker: ``fixed + per_mac * macs``.

    Args:
        fixed: seconds that do not depend on the network: clips, evaluation, the time to start its layers.
        per_mac: seconds a multiply-add of one clip.
    """

    fixed: float
    per_mac: float

    @classmethod
    def fit(cls, macs: Sequence[float], seconds: Sequence[float]) -> Timing:
        """Fit epochs that were timed, with neither part below 0, by the least squares of relative errors.

        Args:
            macs: multiply-adds of each network.
            seconds: seconds of an epoch of each.

        Raises:
            ValueError: nothing was timed.
        """
        costs, times = np.asarray(macs, dtype=float), np.maximum(np.asarray(seconds, dtype=float), 1e-9)
        if not len(costs):
            raise ValueError("no epoch was timed")
        if np.ptp(costs) < 0.05 * costs.max():
            mean = float(times.mean())
            return cls(_FIXED * mean, (1 - _FIXED) * mean / float(costs.mean()))
        scale = costs.mean()
        design = np.stack([np.ones_like(costs), costs / scale], axis=1) / times[:, None]
        fixed, slope = nnls(design, np.ones_like(times))[0].tolist()
        return cls(fixed, slope / float(scale))

    def epoch(self, macs: float) -> float:
        """Return the seconds of an epoch of a network with these multiply-adds."""
        return self.fixed + self.per_mac * macs


def relative_cost(macs: float, mean: float) -> float:
    """Return the cost of an epoch of a network, in epochs of one of mean cost."""
    return _FIXED + (1 - _FIXED) * macs / mean


def mean_macs(low: float, high: float) -> float:
    """Return the mean cost of networks that are spread evenly over the logarithm of a window's cost."""
    return (high - low) / float(np.log(high / low)) if high > low * 1.001 else low
