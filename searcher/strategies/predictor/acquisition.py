"""The volume that a design is expected to add to the frontier, for any number of objectives.

The volume between a front and a reference is the mean, over random limits on the other objectives, of how far
the best first objective within those limits is below its reference. A design adds the amount by which it is
expected to lower that best one, wherever it keeps to the limits: an integral in closed form but for the
limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

Floats = NDArray[np.float64]

_GRID_LIMITS, _SOBOL_LIMITS = 256, 1024
_TAIL_SLOPE = 0.25
# Gauss-Hermite quadrature of a normal distribution.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def objective_limits(dimensions: int) -> Floats:
    """Return evenly spread limits on objectives, each in (0, 1), shape (limits, dimensions)."""
    if dimensions == 1:
        return ((np.arange(_GRID_LIMITS) + 0.5) / _GRID_LIMITS)[:, None]
    spread: Floats = qmc.Sobol(dimensions, scramble=False).random(_SOBOL_LIMITS) + 0.5 / _SOBOL_LIMITS
    return spread


def logit(error: Floats) -> Floats:
    """Return errors between 0 and 1 on the scale on which they are modelled."""
    inside = np.clip(error, 1e-3, 1 - 1e-3)
    logits: Floats = np.log(inside / (1 - inside))
    return logits


def inverse_logit(value: Floats) -> Floats:
    """Return the errors of logits; the inverse of ``logit``."""
    error: Floats = 1 / (1 + np.exp(-value))
    return error


def quadrature_nodes(mean: Floats, deviation: Floats) -> Floats:
    """Return the nodes of a quadrature over normal distributions, shape (n, nodes)."""
    nodes: Floats = mean[:, None] + deviation[:, None] * _NODES
    return nodes


@dataclass(frozen=True, slots=True)
class Winsoriser:
    """Soft winsorisation: it compresses the bad end of a scale, where exact values matter little.

    Args:
        knee: value above which the scale is compressed.
    """

    knee: float

    @classmethod
    def of(cls, values: Floats) -> Winsoriser:
        """Return the winsorisation whose knee is twice as far from the least value as the median is."""
        middle = float(np.median(values))
        return cls(2 * middle - float(values.min()))

    def __call__(self, values: Floats) -> Floats:
        """Return the values on the compressed scale."""
        return np.where(values > self.knee, self.knee + _TAIL_SLOPE * (values - self.knee), values)

    def invert(self, values: Floats) -> Floats:
        """Return compressed values on the original scale."""
        return np.where(values > self.knee, self.knee + (values - self.knee) / _TAIL_SLOPE, values)


def best_errors(within: Floats, errors: Floats, others: Floats, reference: float) -> Floats:
    """Return the least error of a set of points within each limit, or the reference, shape (limits,).

    Args:
        within: limits on the other objectives, shape (limits, d - 1).
        errors: errors of the points, shape (n,).
        others: other objectives of the points on the scale of the limits, shape (n, d - 1).
        reference: worst error, which counts where no point keeps the limits.
    """
    reached = np.full(len(within), reference)
    for error, place in zip(errors.tolist(), others, strict=True):
        keeps = (place <= within).all(axis=1)
        np.minimum(reached, error, out=reached, where=keeps)
    return reached


def expected_improvement(within: Floats, reached: Floats, errors: Floats, others: Floats) -> Floats:
    """Return the volume that each design is expected to add.

    Args:
        within: limits on the other objectives, shape (limits, d - 1).
        reached: least error so far within each limit, shape (limits,).
        errors: quadrature nodes of the designs' errors, shape (n, nodes).
        others: other objectives of the designs on the scale of the limits, shape (n, d - 1).

    Returns:
        Volumes of shape (n,), at least 0.
    """
    levels, level = np.unique(reached, return_inverse=True)
    keeps = (others[:, None, :] <= within[None]).all(axis=2)
    share = np.zeros((len(levels), len(within)))
    share[level, np.arange(len(within))] = 1 / len(within)
    room = keeps.astype(np.float64) @ share.T
    gain = np.maximum(levels[None, :, None] - errors[:, None, :], 0) @ _WEIGHTS
    volumes: Floats = (room * gain).sum(axis=1)
    return volumes
