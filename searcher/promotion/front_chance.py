"""The chance of noisy results to lie on the Pareto front, if costs are exact and accuracy is not.

The accuracy of a short training is half luck, and the measurements of other networks tell how much: a linear
model of the errors over architecture features and costs is fitted with an evidence-maximised ridge (MacKay
1992), on top of a shorter training's errors if there are any, and each error is shrunk half-way towards its
leave-one-out prediction. What remains is assumed to be normal, and the chance that no network of at most the
same costs has a lower error is integrated numerically, without random numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Floats = NDArray[np.float64]

SHRINK = 0.5
"""Share of the way by which an error is shrunk towards its prediction. From one result a network, luck
cannot be told from merit that the model does not explain: half of the residual counts as either."""
_RIDGES = np.logspace(-2, 4, 25)
_LARGEST_LEVERAGE = 0.99
_GRID_POINTS = 256
_FAR = 10.0
"""Standard deviations above the best rival from which a result has no chance."""


def front_chance(means: Floats, deviation: float, costs: Floats) -> Floats:
    """Return the chance of each result to have a lower error than all results of at most its costs.

    Args:
        means: means of the errors, to minimise, shape (n,); see ``smoothed``.
        deviation: standard deviation of every error.
        costs: exact costs, to minimise, shape (n, costs).

    Returns:
        Chances from 0 to 1, shape (n,).
    """
    chances = np.zeros(len(means))
    # A result far above the best of the cheaper ones has no chance, and reduces no other's.
    near = np.flatnonzero(margins(means, costs) <= _FAR * max(deviation, 1e-9))
    chances[near] = _integrated(means[near], deviation, costs[near])
    return chances


def margins(means: Floats, costs: Floats) -> Floats:
    """Return each error less the least error of all results of at most its costs, shape (n,)."""
    return means - _rivals(means[:, None], costs, np.minimum)[:, 0]


def _integrated(means: Floats, deviation: float, costs: Floats) -> Floats:
    """Integrate, over a grid of errors, the density of a result times the chance that no rival is better."""
    if len(means) < 2:
        return np.ones(len(means))
    spread = float(np.ptp(means))
    # The grid has to resolve the density: one much narrower than its range is widened.
    deviation = max(deviation, 2 * spread / (_GRID_POINTS - 16), 1e-9)
    points = int(min(spread / deviation * 2 + 17, _GRID_POINTS))
    grid = np.linspace(means.min() - 4 * deviation, means.max() + 4 * deviation, points)
    places = (grid - means[:, None]) / deviation
    worse = log_ndtr(-places)
    density = np.exp(-0.5 * places**2)
    density /= density.sum(axis=1, keepdims=True)
    chances: Floats = (density * np.exp(_rivals(worse, costs, np.add) - worse)).sum(axis=1)
    return np.minimum(chances, 1.0)


def smoothed(errors: Floats, features: Floats, earlier: Floats | None = None) -> tuple[Floats, float]:
    """Return the errors, each shrunk towards its prediction from the others, and their standard deviation.

    Args:
        errors: finite errors, shape (n,).
        features: features of the networks in any units, shape (n, features).
        earlier: smoothed errors of the same networks after a shorter training, shape (n,); later errors are
            modelled as a linear function of them plus a function of the features.
    """
    if len(errors) < 3:
        return errors, 0.0
    basis = np.ones((len(errors), 1)) if earlier is None else np.column_stack([np.ones(len(errors)), earlier])
    residuals = errors - basis @ np.linalg.lstsq(basis, errors, rcond=None)[0]
    design = _standardised(features)
    gram, vectors = np.linalg.eigh(design.T @ design)
    gram = np.maximum(gram, 0.0)
    rotated = vectors.T @ (design.T @ residuals)
    ridge, variance = _most_evident(gram, rotated, float(residuals @ residuals), len(errors))
    scores = design @ vectors
    fitted = scores @ (rotated / (gram + ridge))
    leverage = np.minimum((scores**2 / (gram + ridge)).sum(axis=1), _LARGEST_LEVERAGE)
    # Leave-one-out residuals, in closed form.
    left_out = (residuals - fitted) / (1 - leverage)
    return errors - SHRINK * left_out, SHRINK * math.sqrt(variance)


def _standardised(features: Floats) -> Floats:
    """Return the features that vary, each with mean 0 and deviation 1."""
    spread = features.std(axis=0)
    varying = spread > 1e-9 * np.maximum(np.abs(features).max(axis=0, initial=0.0), 1e-9)
    kept = features[:, varying]
    design: Floats = (kept - kept.mean(axis=0)) / spread[varying]
    return design


def _most_evident(gram: Floats, rotated: Floats, total: float, count: int) -> tuple[float, float]:
    """Return the ridge of the greatest evidence, and the variance of the noise under it.

    Args:
        gram: eigenvalues of the design's Gram matrix, shape (features,).
        rotated: products of design and residuals in the basis of its eigenvectors, shape (features,).
        total: sum of the squared residuals.
        count: number of residuals.
    """
    inverse = 1 / (gram + _RIDGES[:, None])
    variances = np.maximum((total - (rotated**2 * inverse).sum(axis=1)) / count, 1e-12)
    evidence = -0.5 * (count * np.log(variances) - np.log(_RIDGES[:, None] * inverse).sum(axis=1))
    best = int(np.argmax(evidence))
    return float(_RIDGES[best]), float(variances[best])


def _rivals(values: Floats, costs: Floats, merge: np.ufunc) -> Floats:
    """Return sums or minima of each row's values over all results of at most its costs, its own included.

    Args:
        values: values to merge, shape (n, columns); one column for minima over several costs.
        costs: costs of the results, shape (n, costs).
        merge: ``np.add`` or ``np.minimum``.
    """
    if costs.shape[1] > 1:
        cheaper = (costs[None, :, :] <= costs[:, None, :]).all(axis=2)
        if merge is np.add:
            summed: Floats = cheaper.astype(np.float64) @ values
            return summed
        least: Floats = np.where(cheaper, values[:, 0], np.inf).min(axis=1)[:, None]
        return least
    order = np.argsort(costs[:, 0], kind="stable")
    last = np.searchsorted(costs[order, 0], costs[:, 0], side="right") - 1
    merged: Floats = merge.accumulate(values[order], axis=0)[last]
    return merged
