"""A Gaussian process over genotypes: what was measured, and how sure one can be about the rest.

The kernel is a Matérn 5/2 with a weight for each gene (automatic relevance): ordered genes are apart by their
part of the way, others by 0 or 1. Weights, signal and noise maximise the marginal likelihood under broad
log-normal priors (Rasmussen and Williams 2006, chapter 5). Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from search_space.genes.stage_genes import Gene

Floats = NDArray[np.float64]

_ROOT5 = 5**0.5
_JITTER = 1e-5
_PRIOR_WEIGHT, _PRIOR_NUMBER, _PRIOR_SIGNAL, _PRIOR_NOISE = 3.0, 0.3, 1.6, 0.05
_STEPS = 20


class Encoding:
    """Genotypes, and numbers beside them, as points.

    Args:
        genes: of the genotypes.
        numbers: how many numbers stand beside a genotype, such as its log cost.
    """

    def __init__(self, genes: Sequence[Gene], numbers: int) -> None:
        self._scale: Floats = np.array([max(gene.choices - 1, 1) for gene in genes], dtype=np.float64)
        self._ordered = np.array([gene.ordered for gene in genes] + [True] * numbers)
        self._choices = [gene.choices for gene in genes] + [1] * numbers
        weights = [_PRIOR_WEIGHT / max(len(genes), 1)] * len(genes) + [_PRIOR_NUMBER] * numbers
        self.prior_weights: Floats = np.array(weights, dtype=np.float64)

    def points(self, genotypes: NDArray[np.int64], numbers: Floats) -> Floats:
        """Shape (n, genes + numbers): ordered genes go from 0 to 1, others stay as they are."""
        scaled = np.where(self._ordered[: len(self._scale)], genotypes / self._scale, genotypes)
        return np.column_stack([scaled, numbers])

    def ramp(self, points: Floats) -> Floats:
        """What a trend is made of: 1 and the numbers, shape (n, 1 + numbers)."""
        return np.column_stack([np.ones(len(points)), points[:, len(self._scale) :]])

    def trend(self, points: Floats, targets: Floats) -> Floats:
        """The line through targets by least squares, coefficients of ``ramp``."""
        return np.linalg.lstsq(self.ramp(points), targets, rcond=None)[0].astype(np.float64)

    def apart(self, points: Floats) -> Floats:
        """Squared distances of all pairs by column, shape (columns, n, n)."""
        found = np.empty((points.shape[1], len(points), len(points)))
        for column, values in enumerate(points.T):
            if self._ordered[column]:
                found[column] = (values[:, None] - values[None]) ** 2
            else:
                found[column] = values[:, None] != values[None]
        return found

    def embedded(self, points: Floats, weights: Floats) -> Floats:
        """Points whose plain squared distances are the weighted ones."""
        root = np.sqrt(weights)
        columns = [points[:, self._ordered] * root[self._ordered]]
        for place in np.flatnonzero(~self._ordered).tolist():
            hot = points[:, place, None] == np.arange(self._choices[place])
            columns.append(hot * (root[place] / 2**0.5))
        return np.column_stack(columns)


@dataclass(frozen=True)
class Kernel:
    """Fitted parameters, for targets of mean 0 and deviation 1.

    Args:
        weights: of each column of the points.
        signal: variance.
        noise: variance of a measurement.
    """

    weights: Floats
    signal: float
    noise: float

    def __call__(self, encoding: Encoding, one: Floats, other: Floats) -> Floats:
        """Covariances of the function at two sets of points."""
        a, b = encoding.embedded(one, self.weights), encoding.embedded(other, self.weights)
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        return self.signal * _matern(np.maximum(squared, 0.0))


def _matern(squared: Floats) -> Floats:
    distance = _ROOT5 * np.sqrt(squared + 1e-12)
    found: Floats = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return found


def fit_kernel(encoding: Encoding, points: Floats, targets: Floats) -> Kernel:
    """The parameters of the greatest posterior probability; takes O(steps n^2 (n + columns)).

    Args:
        encoding: that made the points.
        points: shape (n, columns), some 200 at most.
        targets: of mean 0 and deviation 1, shape (n,).
    """
    apart = encoding.apart(points)
    columns = len(apart)
    middle = np.log(np.concatenate([encoding.prior_weights, [_PRIOR_SIGNAL, _PRIOR_NOISE]]))
    width = np.array([1.0] * (columns + 1) + [1.5])

    def loss(log: Floats) -> tuple[float, Floats]:
        weights, signal, noise = np.exp(log[:columns]), np.exp(log[-2]), np.exp(log[-1])
        squared = np.tensordot(weights, apart, 1)
        shape = _matern(squared)
        covariance = signal * shape
        covariance[np.diag_indices(len(targets))] += noise + _JITTER
        try:
            factor = cho_factor(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(log)
        inverse = cho_solve(factor, np.eye(len(targets)), check_finite=False)
        solved = inverse @ targets
        away = (log - middle) / width
        value = 0.5 * targets @ solved + np.log(np.diag(factor[0])).sum() + 0.5 * away @ away
        outer = 0.5 * (inverse - np.outer(solved, solved))
        root = _ROOT5 * np.sqrt(squared + 1e-12)
        by_squared = outer * (-5 / 6 * signal) * (1 + root) * np.exp(-root)
        gradient = np.empty_like(log)
        gradient[:columns] = np.tensordot(apart, by_squared, 2) * weights
        gradient[-2] = (outer * shape).sum() * signal
        gradient[-1] = np.trace(outer) * noise
        return float(value), gradient + away / width

    found = minimize(loss, middle, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return Kernel(np.exp(found[:columns]), float(np.exp(found[-2])), float(np.exp(found[-1])))


class Posterior:
    """A Gaussian process that has seen measurements.

    Args:
        encoding, kernel: as fitted.
        points: shape (n, columns).
        targets: shape (n,), of any scale.
        pending: points that are being measured; they are taken to come out as expected, so that what is near
            them is known better and its promise does not count twice.
    """

    def __init__(
        self,
        encoding: Encoding,
        kernel: Kernel,
        points: Floats,
        targets: Floats,
        pending: Floats | None = None,
    ) -> None:
        self._encoding, self._kernel = encoding, kernel
        self._trend = encoding.trend(points, targets)
        rest = targets - self._trend_at(points)
        self._scale = float(rest.std()) or 1.0
        self._see(points, rest / self._scale)
        if pending is not None and len(pending):
            expected = kernel(encoding, pending, points) @ self._solved
            self._see(np.vstack([points, pending]), np.append(self._targets, expected))

    def _trend_at(self, points: Floats) -> Floats:
        found: Floats = self._encoding.ramp(points) @ self._trend
        return found

    def _see(self, points: Floats, targets: Floats) -> None:
        self._points, self._targets = points, targets
        covariance = self._kernel(self._encoding, points, points)
        covariance[np.diag_indices(len(points))] += self._kernel.noise + _JITTER
        self._factor = cho_factor(covariance, lower=True, check_finite=False)
        self._solved = cho_solve(self._factor, targets, check_finite=False)

    def __call__(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the function without noise, each of shape (n,)."""
        covariance = self._kernel(self._encoding, points, self._points)
        mean = covariance @ self._solved
        reach = solve_triangular(self._factor[0], covariance.T, lower=True, check_finite=False)
        variance = np.maximum(self._kernel.signal - (reach**2).sum(axis=0), 1e-9)
        return mean * self._scale + self._trend_at(points), np.sqrt(variance) * self._scale

    def held_out(self) -> Floats:
        """What each measurement would have been predicted as from all others, shape (n,); exact."""
        inverse = cho_solve(self._factor, np.eye(len(self._targets)), check_finite=False)
        unseen: Floats = self._targets - self._solved / np.diag(inverse)
        return unseen * self._scale + self._trend_at(self._points)
