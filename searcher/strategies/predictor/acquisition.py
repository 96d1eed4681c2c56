"""How much volume a design is expected to add to the frontier, for any number of objectives.

The volume between a front and a reference is the mean, over random limits on the other objectives, of how far
the best first objective within those limits is below its reference. A design adds what it is expected to take
off that best one, wherever it keeps to the limits: an integral in closed form but for the limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

Floats = NDArray[np.float64]

_GRID, _LIMITS = 256, 1024
_PULL = 0.25
# Gauss-Hermite quadrature of a normal distribution.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def limits(dimensions: int) -> Floats:
    """Evenly spread limits on so many objectives, each in (0, 1), shape (limits, dimensions)."""
    if dimensions == 1:
        return ((np.arange(_GRID) + 0.5) / _GRID)[:, None]
    found: Floats = qmc.Sobol(dimensions, scramble=False).random(_LIMITS) + 0.5 / _LIMITS
    return found


def logit(error: Floats) -> Floats:
    """Errors between 0 and 1 on the scale on which they are modelled."""
    inside = np.clip(error, 1e-3, 1 - 1e-3)
    found: Floats = np.log(inside / (1 - inside))
    return found


def error_of(value: Floats) -> Floats:
    """The inverse of ``logit``."""
    found: Floats = 1 / (1 + np.exp(-value))
    return found


def outcomes(mean: Floats, deviation: Floats) -> Floats:
    """The nodes of a quadrature over normal distributions, shape (n, nodes)."""
    found: Floats = mean[:, None] + deviation[:, None] * _NODES
    return found


@dataclass(frozen=True, slots=True)
class Warp:
    """Draws in the far end of a scale, where designs are so bad that it matters little how bad.

    Args:
        knee: where it begins.
    """

    knee: float

    @classmethod
    def of(cls, values: Floats) -> Warp:
        """Twice as far from the least as the median is."""
        middle = float(np.median(values))
        return cls(2 * middle - float(values.min()))

    def __call__(self, values: Floats) -> Floats:
        """The scale drawn in."""
        return np.where(values > self.knee, self.knee + _PULL * (values - self.knee), values)

    def back(self, values: Floats) -> Floats:
        """The inverse."""
        return np.where(values > self.knee, self.knee + (values - self.knee) / _PULL, values)


def best_within(within: Floats, errors: Floats, others: Floats, reference: float) -> Floats:
    """The least error of a set of points within each limit, or the reference, shape (limits,)."""
    reached = np.full(len(within), reference)
    for error, place in zip(errors.tolist(), others, strict=True):
        keeps = (place <= within).all(axis=1)
        np.minimum(reached, error, out=reached, where=keeps)
    return reached


def expected_improvement(within: Floats, reached: Floats, errors: Floats, others: Floats) -> Floats:
    """The volume that each design is expected to add.

    Args:
        within: limits on the other objectives, shape (limits, d - 1).
        reached: the least error so far within each, shape (limits,).
        errors: the ``outcomes`` of the designs' errors, shape (n, nodes).
        others: the designs' other objectives on the scale of the limits, shape (n, d - 1).

    Returns:
        Shape (n,), at least 0.
    """
    levels, level = np.unique(reached, return_inverse=True)
    keeps = (others[:, None, :] <= within[None]).all(axis=2)
    share = np.zeros((len(levels), len(within)))
    share[level, np.arange(len(within))] = 1 / len(within)
    room = keeps.astype(np.float64) @ share.T
    gain = np.maximum(levels[None, :, None] - errors[:, None, :], 0) @ _WEIGHTS
    found: Floats = (room * gain).sum(axis=1)
    return found
