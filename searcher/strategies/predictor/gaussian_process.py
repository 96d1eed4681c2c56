"""A Gaussian process over genotypes: predictions of what was not measured, with their uncertainty.

The covariance is a Matérn 5/2 with a length scale for each gene (automatic relevance determination): ordered
genes differ by the share of their range, others by 0 or 1. Length scales, signal and noise maximise the
marginal likelihood under broad log-normal priors (Rasmussen and Williams 2006, chapter 5). Everything is
deterministic. It is our own since BoTorch's mixed processes need more than torch alone, and scikit-learn's
cannot share one length scale among the columns of a categorical gene.
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
_PRIOR_OF_GENES, _PRIOR_OF_NUMBERS, _PRIOR_SIGNAL, _PRIOR_NOISE = 3.0, 0.3, 1.6, 0.05
_STEPS = 20


class Encoding:
    """Genotypes, and numbers beside them, as points.

    Args:
        genes: genes of the genotypes.
        numbers: count of the numbers beside a genotype, such as its log cost.

    Attributes:
        prior: medians of the prior of the inverse squared length scales, one a column.
    """

    def __init__(self, genes: Sequence[Gene], numbers: int) -> None:
        self._scale: Floats = np.array([max(gene.choices - 1, 1) for gene in genes], dtype=np.float64)
        self._ordered = np.array([gene.ordered for gene in genes] + [True] * numbers)
        self._choices = [gene.choices for gene in genes] + [1] * numbers
        prior = [_PRIOR_OF_GENES / max(len(genes), 1)] * len(genes) + [_PRIOR_OF_NUMBERS] * numbers
        self.prior: Floats = np.array(prior, dtype=np.float64)

    def points(self, genotypes: NDArray[np.int64], numbers: Floats) -> Floats:
        """Return points, shape (n, genes + numbers): ordered genes from 0 to 1, others by their choice."""
        scaled = np.where(self._ordered[: len(self._scale)], genotypes / self._scale, genotypes)
        return np.column_stack([scaled, numbers])

    def linear_basis(self, points: Floats) -> Floats:
        """Return the basis of a linear trend: 1 and the numbers, shape (n, 1 + numbers)."""
        return np.column_stack([np.ones(len(points)), points[:, len(self._scale) :]])

    def fit_trend(self, points: Floats, targets: Floats) -> Floats:
        """Return the least-squares coefficients of the linear basis, shape (1 + numbers,)."""
        return np.linalg.lstsq(self.linear_basis(points), targets, rcond=None)[0].astype(np.float64)

    def squared_distances(self, points: Floats) -> Floats:
        """Return the squared distances of all pairs by column, shape (columns, n, n)."""
        distances = np.empty((points.shape[1], len(points), len(points)))
        for column, values in enumerate(points.T):
            if self._ordered[column]:
                distances[column] = (values[:, None] - values[None]) ** 2
            else:
                distances[column] = values[:, None] != values[None]
        return distances

    def embed(self, points: Floats, scales: Floats) -> Floats:
        """Return points whose plain squared distances are the scaled ones of ``points``."""
        root = np.sqrt(scales)
        columns = [points[:, self._ordered] * root[self._ordered]]
        for place in np.flatnonzero(~self._ordered).tolist():
            hot = points[:, place, None] == np.arange(self._choices[place])
            columns.append(hot * (root[place] / 2**0.5))
        return np.column_stack(columns)


@dataclass(frozen=True)
class Covariance:
    """A fitted covariance function, for targets of mean 0 and deviation 1.

    Args:
        inverse_squared_lengthscales: relevance of each column of the points, shape (columns,).
        signal_variance: variance of the function.
        noise_variance: variance of a measurement at one point.
    """

    inverse_squared_lengthscales: Floats
    signal_variance: float
    noise_variance: float

    def __call__(self, encoding: Encoding, one: Floats, other: Floats) -> Floats:
        """Return the covariances of the function at two sets of points, shape (n, m)."""
        scales = self.inverse_squared_lengthscales
        a, b = encoding.embed(one, scales), encoding.embed(other, scales)
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        return self.signal_variance * _matern(np.maximum(squared, 0.0))


def _matern(squared: Floats) -> Floats:
    distance = _ROOT5 * np.sqrt(squared + 1e-12)
    correlation: Floats = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return correlation


def fit_covariance(encoding: Encoding, points: Floats, targets: Floats) -> Covariance:
    """Return the covariance of the greatest posterior probability, in O(steps n^2 (n + columns)).

    Args:
        encoding: encoding of the points.
        points: points of shape (n, columns), some 200 at most.
        targets: values at the points, of mean 0 and deviation 1, shape (n,).
    """
    squared_distances = encoding.squared_distances(points)
    columns = len(squared_distances)
    middle = np.log(np.concatenate([encoding.prior, [_PRIOR_SIGNAL, _PRIOR_NOISE]]))
    width = np.array([1.0] * (columns + 1) + [1.5])

    def loss(log: Floats) -> tuple[float, Floats]:
        scales, signal, noise = np.exp(log[:columns]), np.exp(log[-2]), np.exp(log[-1])
        squared = np.tensordot(scales, squared_distances, 1)
        shape = _matern(squared)
        covariance = signal * shape
        covariance[np.diag_indices(len(targets))] += noise + _JITTER
        try:
            factor = cho_factor(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(log)
        inverse = cho_solve(factor, np.eye(len(targets)), check_finite=False)
        solved = inverse @ targets
        deviation = (log - middle) / width
        value = 0.5 * targets @ solved + np.log(np.diag(factor[0])).sum() + 0.5 * deviation @ deviation
        outer = 0.5 * (inverse - np.outer(solved, solved))
        root = _ROOT5 * np.sqrt(squared + 1e-12)
        by_squared = outer * (-5 / 6 * signal) * (1 + root) * np.exp(-root)
        gradient = np.empty_like(log)
        gradient[:columns] = np.tensordot(squared_distances, by_squared, 2) * scales
        gradient[-2] = (outer * shape).sum() * signal
        gradient[-1] = np.trace(outer) * noise
        return float(value), gradient + deviation / width

    fitted = minimize(loss, middle, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return Covariance(np.exp(fitted[:columns]), float(np.exp(fitted[-2])), float(np.exp(fitted[-1])))


class Posterior:
    """A Gaussian process conditioned on measurements.

    Args:
        encoding: encoding of the points.
        covariance: fitted covariance function.
        points: measured points, shape (n, columns).
        targets: measured values of any scale, shape (n,).
        pending: points that are being measured, shape (m, columns). Their results are assumed to be as
            expected: the function is then known better near them, and the same gain is not expected twice.
    """

    def __init__(
        self,
        encoding: Encoding,
        covariance: Covariance,
        points: Floats,
        targets: Floats,
        pending: Floats | None = None,
    ) -> None:
        self._encoding, self._covariance = encoding, covariance
        self._trend = encoding.fit_trend(points, targets)
        rest = targets - self._trend_at(points)
        self._scale = float(rest.std()) or 1.0
        self._condition_on(points, rest / self._scale)
        if pending is not None and len(pending):
            expected = covariance(encoding, pending, points) @ self._solved
            self._condition_on(np.vstack([points, pending]), np.append(self._targets, expected))

    def _trend_at(self, points: Floats) -> Floats:
        values: Floats = self._encoding.linear_basis(points) @ self._trend
        return values

    def _condition_on(self, points: Floats, targets: Floats) -> None:
        """Factorise the covariance of the measured points."""
        self._points, self._targets = points, targets
        matrix = self._covariance(self._encoding, points, points)
        matrix[np.diag_indices(len(points))] += self._covariance.noise_variance + _JITTER
        self._factor = cho_factor(matrix, lower=True, check_finite=False)
        self._solved = cho_solve(self._factor, targets, check_finite=False)

    def __call__(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the mean and standard deviation of the function without noise, each of shape (n,)."""
        cross = self._covariance(self._encoding, points, self._points)
        mean = cross @ self._solved
        reach = solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False)
        variance = np.maximum(self._covariance.signal_variance - (reach**2).sum(axis=0), 1e-9)
        return mean * self._scale + self._trend_at(points), np.sqrt(variance) * self._scale

    def leave_one_out(self) -> Floats:
        """Return the exact prediction of each measurement from all others, shape (n,)."""
        inverse = cho_solve(self._factor, np.eye(len(self._targets)), check_finite=False)
        unseen: Floats = self._targets - self._solved / np.diag(inverse)
        return unseen * self._scale + self._trend_at(self._points)
