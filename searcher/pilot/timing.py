"""The seconds of an epoch as a function of a network's multiply-adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

_ASSUMED = 0.25
"""Share of an epoch of a mean network that is taken not to depend on its cost, where nothing tells."""


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
            return cls(_ASSUMED * mean, (1 - _ASSUMED) * mean / float(costs.mean()))
        scale = costs.mean()
        design = np.stack([np.ones_like(costs), costs / scale], axis=1) / times[:, None]
        fixed, slope = nnls(design, np.ones_like(times))[0].tolist()
        return cls(fixed, slope / float(scale))

    def epoch(self, macs: float) -> float:
        """Return the seconds of an epoch of a network with these multiply-adds."""
        return self.fixed + self.per_mac * macs

    def fixed_share(self, macs: float) -> float:
        """Return the part of an epoch of such a network that does not depend on it, in quarters.

        It is rounded so that a budget does not hang on the last digit of a clock.
        """
        whole = self.epoch(macs)
        return round(4 * self.fixed / whole) / 4 if whole > 0 else _ASSUMED


def relative_cost(macs: float, mean: float, fixed_share: float = _ASSUMED) -> float:
    """Return the cost of an epoch of a network, in epochs of one of mean cost."""
    return fixed_share + (1 - fixed_share) * macs / mean


def mean_macs(low: float, high: float) -> float:
    """Return the mean cost of networks that are spread evenly over the logarithm of a window's cost."""
    return (high - low) / float(np.log(high / low)) if high > low * 1.001 else low
