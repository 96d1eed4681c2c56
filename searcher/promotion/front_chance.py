"""How likely each of many noisy results is to lie on the Pareto front, costs known, accuracy not.

A short training's accuracy is half luck. What is measured of other networks says how much: a linear model of
the errors over architecture features and costs is fitted with an evidence-maximised ridge (MacKay 1992), on
top of what a shorter training said if there was one, and each error is drawn half-way towards what the model
says of it without having seen it. The rest is taken for normal, and the chance that no network of at most the
same costs has a lower error is integrated numerically.
No random numbers: the same results give the same chances.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Floats = NDArray[np.float64]

SHRINK = 0.5
"""How far an error is drawn to the model's. From one result each, luck and merit that the model does not
explain cannot be told apart: half of what is left counts as either."""
_RIDGES = np.logspace(-2, 4, 25)
_LARGEST_LEVERAGE = 0.99
_POINTS = 256
_FAR = 10.0
"""Standard deviations."""


def front_chance(means: Floats, deviation: float, costs: Floats) -> Floats:
    """The chance of each result to lie on the front: to have a lower error than all of at most its costs.

    Args:
        means: of the errors, to minimise, shape (n,); see ``smoothed``.
        deviation: standard deviation of each.
        costs: exact, to minimise, shape (n, costs).

    Returns:
        Chances from 0 to 1, shape (n,).
    """
    chances = np.zeros(len(means))
    # Whoever is far above the best of the cheaper ones has no chance, and takes none of another's.
    near = np.flatnonzero(margins(means, costs) <= _FAR * max(deviation, 1e-9))
    chances[near] = _integrated(means[near], deviation, costs[near])
    return chances


def margins(means: Floats, costs: Floats) -> Floats:
    """How far each error is above the least of all results of at most its costs, itself among them; (n,)."""
    return means - _rivals(means[:, None], costs, np.minimum)[:, 0]


def _integrated(means: Floats, deviation: float, costs: Floats) -> Floats:
    """Over a grid of errors, the density of a result there times the chance that no rival is better."""
    if len(means) < 2:
        return np.ones(len(means))
    spread = float(np.ptp(means))
    # The grid has to resolve the density: one far narrower than its range is taken for a little wider.
    deviation = max(deviation, 2 * spread / (_POINTS - 16), 1e-9)
    points = int(min(spread / deviation * 2 + 17, _POINTS))
    grid = np.linspace(means.min() - 4 * deviation, means.max() + 4 * deviation, points)
    places = (grid - means[:, None]) / deviation
    worse = log_ndtr(-places)
    density = np.exp(-0.5 * places**2)
    density /= density.sum(axis=1, keepdims=True)
    chances: Floats = (density * np.exp(_rivals(worse, costs, np.add) - worse)).sum(axis=1)
    return np.minimum(chances, 1.0)


def smoothed(errors: Floats, features: Floats, earlier: Floats | None = None) -> tuple[Floats, float]:
    """Errors, each drawn towards what the others say of it, and the standard deviation that is left.

    Args:
        errors: finite, shape (n,).
        features: shape (n, features), in any units.
        earlier: what this function made of the same networks' errors after a shorter training, shape (n,);
            later errors are a straight line of them, and what the features explain beyond.
    """
    if len(errors) < 3:
        return errors, 0.0
    lines = np.ones((len(errors), 1)) if earlier is None else np.column_stack([np.ones(len(errors)), earlier])
    residuals = errors - lines @ np.linalg.lstsq(lines, errors, rcond=None)[0]
    design = _standardised(features)
    gram, vectors = np.linalg.eigh(design.T @ design)
    gram = np.maximum(gram, 0.0)
    turned = vectors.T @ (design.T @ residuals)
    ridge, variance = _most_evident(gram, turned, float(residuals @ residuals), len(errors))
    scores = design @ vectors
    fitted = scores @ (turned / (gram + ridge))
    leverage = np.minimum((scores**2 / (gram + ridge)).sum(axis=1), _LARGEST_LEVERAGE)
    # How far the prediction without the result itself is off, in closed form.
    unseen = (residuals - fitted) / (1 - leverage)
    return errors - SHRINK * unseen, SHRINK * math.sqrt(variance)


def _standardised(features: Floats) -> Floats:
    spread = features.std(axis=0)
    varying = spread > 1e-9 * np.maximum(np.abs(features).max(axis=0, initial=0.0), 1e-9)
    kept = features[:, varying]
    design: Floats = (kept - kept.mean(axis=0)) / spread[varying]
    return design


def _most_evident(gram: Floats, turned: Floats, total: float, count: int) -> tuple[float, float]:
    """The ridge under which the residuals are the least surprising, and the variance of the noise with it."""
    inverse = 1 / (gram + _RIDGES[:, None])
    variances = np.maximum((total - (turned**2 * inverse).sum(axis=1)) / count, 1e-12)
    evidence = -0.5 * (count * np.log(variances) - np.log(_RIDGES[:, None] * inverse).sum(axis=1))
    best = int(np.argmax(evidence))
    return float(_RIDGES[best]), float(variances[best])


def _rivals(values: Floats, costs: Floats, merge: np.ufunc) -> Floats:
    """Sums, or minima, over all results of at most the same costs, themselves among them."""
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
