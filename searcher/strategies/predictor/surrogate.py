"""Predictions of designs that were not measured, and the hypervolume that they are expected to add."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, norm

from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import History
from searcher.strategies.predictor.acquisition import (
    Winsoriser,
    best_errors,
    expected_improvement,
    inverse_logit,
    logit,
    objective_limits,
    quadrature_nodes,
)
from searcher.strategies.predictor.gaussian_process import Covariance, Encoding, Posterior, fit_covariance

Floats = NDArray[np.float64]

_MOST_FITTED, _MOST_SEEN = 150, 300
_LEAST_FITTED = 4
_LEAST_JUDGED = 8
_GROWTH = 1.25
_COST_SPAN = 4.0
_OPTIMISM = 0.5
"""Standard deviations by which a cost that has to be measured is assumed to be better than expected: the
ends of the frontier lie where no measurement is near."""
_MOST_FITS = 8


@dataclass(frozen=True, slots=True)
class PredictorQuality:
    """The quality of the predictor's ranking of measurements that were held out.

    Args:
        measurements: number of measurements that were held out, one at a time.
        rank_correlation: Kendall's tau of predicted and measured accuracy.
        baseline: Kendall's tau of the cost and measured accuracy.
        error: root mean square of predicted less measured accuracy.
    """

    measurements: int
    rank_correlation: float
    baseline: float
    error: float

    @property
    def trusted(self) -> bool:
        """Whether it ranks better than the cost does, over enough measurements to tell."""
        return self.measurements >= _LEAST_JUDGED and self.rank_correlation > self.baseline

    def __str__(self) -> str:
        return (
            f"tau {self.rank_correlation:.2f} on {self.measurements} held out (cost {self.baseline:.2f}),"
            f" accuracy off by {self.error:.3f}"
        )


class FitCache:
    """The last few fitted covariances by their data: fitting takes most of a proposal's time."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Covariance, Floats]] = {}

    def find(self, encoding: Encoding, points: Floats, values: Floats) -> tuple[Covariance, Floats]:
        """Return the covariance fitted to values, and the prediction of each value from all others.

        Args:
            encoding: encoding of the points.
            points: points of shape (n, columns).
            values: values at the points, shape (n,).
        """
        key = points.tobytes() + values.tobytes()
        if key not in self._kept:
            rest = values - encoding.linear_basis(points) @ encoding.fit_trend(points, values)
            covariance = fit_covariance(encoding, points, rest / (float(rest.std()) or 1.0))
            leave_one_out = Posterior(encoding, covariance, points, values).leave_one_out()
            while len(self._kept) >= _MOST_FITS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = covariance, leave_one_out
        return self._kept[key]


class Surrogate:
    """A model of one history.

    Args:
        domain: domain of the proposals.
        measured: measured proposals.
        proposals: number of all proposals, measured or not.
        fits: cache of earlier fits.

    Attributes:
        quality: quality of the model's ranking.
    """

    def __init__(self, domain: Domain, measured: History, proposals: int, fits: FitCache) -> None:
        self._measured, self._fits = measured, fits
        self._has_many_rungs = bool(measured.rungs_left.any())
        self._fewest_rungs_left = int(measured.rungs_left.min())
        self._encoding = Encoding(domain.genes, 1 + self._has_many_rungs)
        self._floor = math.log(domain.window[0])
        self._span = (math.log(domain.window[1]) - self._floor) or 1.0
        self._points = self._encode(measured.genotypes, measured.costs, measured.rungs_left)
        self._fitting_rows = _fitting_rows(measured, proposals)
        self._winsoriser = Winsoriser.of(logit(measured.values[self._fitting_rows, 0]))
        self._targets = self._winsoriser(logit(measured.values[:, 0]))
        self._covariance, leave_one_out = self._fit(self._targets)
        self.quality = self._judge(leave_one_out)

    def _encode(self, genotypes: NDArray[np.int64], costs: Floats, rungs_left: NDArray[np.int64]) -> Floats:
        """Return points with the scaled log cost, and with the rungs left if there are several rungs."""
        numbers = [_COST_SPAN * (np.log(costs) - self._floor) / self._span]
        if self._has_many_rungs:
            numbers.append(rungs_left.astype(np.float64))
        return self._encoding.points(genotypes, np.column_stack(numbers))

    def _points_of(self, designs: Sequence[Design]) -> Floats:
        """Return the points of designs, fully trained, shape (n, columns)."""
        genotypes = np.array([design.genotype for design in designs], dtype=np.int64)
        costs = np.array([design.cost for design in designs])
        return self._encode(genotypes, costs, np.full(len(designs), self._fewest_rungs_left))

    def _fit(self, values: Floats) -> tuple[Covariance, Floats]:
        return self._fits.find(self._encoding, self._points[self._fitting_rows], values[self._fitting_rows])

    def _judge(self, leave_one_out: Floats) -> PredictorQuality:
        """Return the quality on the rung with the most measurements, since rungs do not compare."""
        left = self._measured.rungs_left[self._fitting_rows]
        same = left == np.bincount(left).argmax()
        measured = self._measured.values[self._fitting_rows, 0][same]
        predicted = inverse_logit(self._winsoriser.invert(leave_one_out[same]))
        return PredictorQuality(
            measurements=int(same.sum()),
            rank_correlation=_tau(predicted, measured),
            baseline=_tau(-self._measured.costs[self._fitting_rows][same], measured),
            error=float(np.sqrt(np.mean((predicted - measured) ** 2))),
        )

    def condition(self, pool: Sequence[Design], pending: Sequence[Design]) -> None:
        """Condition on the measurements; ``expected_gain`` needs it.

        Args:
            pool: designs that cover the whole range of costs.
            pending: designs that are being measured.
        """
        measured, rows = self._measured, _conditioning_rows(self._measured)
        points, waiting = self._points[rows], self._points_of(pending) if pending else None
        self._error_model = Posterior(self._encoding, self._covariance, points, self._targets[rows], waiting)
        self._cost_models = {
            column: Posterior(self._encoding, self._fit(values)[0], points, values[rows])
            for column, values in enumerate(measured.values.T)
            if column and pool[0].known_costs[column] is None
        }
        self._violation_model = None
        if (measured.violation > 0).any():
            covariance, _ = self._fit(measured.violation)
            self._violation_model = Posterior(self._encoding, covariance, points, measured.violation[rows])
        others = measured.values[rows, 1:]
        span = np.vstack([others, self._other_objectives(pool, self._points_of(pool))])
        self._low, self._range = span.min(axis=0), np.ptp(span, axis=0)
        self._range[self._range == 0] = 1.0
        self._within = objective_limits(others.shape[1])
        feasible = measured.violation[rows] <= 0
        done = points[feasible].copy()
        if self._has_many_rungs:
            done[:, -1] = self._fewest_rungs_left
        places = self._scaled(others[feasible])
        if waiting is not None:
            done = np.vstack([done, waiting])
            places = np.vstack([places, self._scaled(self._other_objectives(pending, waiting, optimism=0.0))])
        errors = (
            inverse_logit(self._winsoriser.invert(self._error_model(done)[0])) if len(done) else np.empty(0)
        )
        self._reached = best_errors(self._within, errors, places, reference=1.0)

    def _scaled(self, others: Floats) -> Floats:
        scaled: Floats = (others - self._low) / self._range
        return scaled

    def _other_objectives(
        self, designs: Sequence[Design], points: Floats, optimism: float = _OPTIMISM
    ) -> Floats:
        """Return all objectives but the error, known or predicted, shape (n, d - 1)."""
        rows = [[math.nan if value is None else value for value in d.known_costs[1:]] for d in designs]
        others = np.array(rows, dtype=np.float64)
        for column, posterior in self._cost_models.items():
            mean, deviation = posterior(points)
            others[:, column - 1] = mean - optimism * deviation
        return others

    def expected_gain(self, designs: Sequence[Design]) -> Floats:
        """Return the hypervolume that each design is expected to add, objectives scaled to 1; shape (n,)."""
        points = self._points_of(designs)
        errors = inverse_logit(self._winsoriser.invert(quadrature_nodes(*self._error_model(points))))
        others = self._scaled(self._other_objectives(designs, points))
        gain = expected_improvement(self._within, self._reached, errors, others)
        if self._violation_model is not None:
            violation, deviation = self._violation_model(points)
            gain = gain * norm.cdf(-violation / deviation)
        return gain


def _fixed_draws(measured: History) -> Floats:
    """Return a random number for each measured proposal, which further measurements do not change."""
    drawn: Floats = np.random.default_rng(0).random(int(measured.numbers[-1]) + 1)[measured.numbers]
    return drawn


def _fitting_rows(measured: History, proposals: int) -> NDArray[np.int64]:
    """Return the rows that covariances are fitted to; they change seldom, so that a fit can be used again."""
    steps = math.floor(math.log(max(proposals, 2), _GROWTH) + 1e-9)
    rows = np.flatnonzero(measured.numbers < int(_GROWTH**steps))
    if len(rows) < _LEAST_FITTED:
        rows = np.arange(len(measured))
    subset: NDArray[np.int64] = rows[np.argsort(_fixed_draws(measured)[rows], kind="stable")[:_MOST_FITTED]]
    return subset


def _conditioning_rows(measured: History) -> NDArray[np.int64]:
    """Return the rows that predictions are made from: the best, and a sample of the rest."""
    if len(measured) <= _MOST_SEEN:
        return np.arange(len(measured))
    best = measured.best(_MOST_SEEN // 2)
    rest = np.setdiff1d(np.arange(len(measured)), best)
    rest = rest[np.argsort(_fixed_draws(measured)[rest], kind="stable")[: _MOST_SEEN - len(best)]]
    return np.concatenate([best, rest])


def _tau(one: Floats, other: Floats) -> float:
    """Return Kendall's tau; -1 where it is not defined, as of equal values."""
    if len(one) < 2:
        return -1.0
    return float(np.nan_to_num(kendalltau(one, other).statistic, nan=-1.0))
