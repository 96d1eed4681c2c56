"""What the measurements of a run say about designs that were not measured, and what those promise."""

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
    Warp,
    best_within,
    error_of,
    expected_improvement,
    limits,
    logit,
    outcomes,
)
from searcher.strategies.predictor.gaussian_process import Encoding, Kernel, Posterior, fit_kernel

Floats = NDArray[np.float64]

_MOST_FITTED, _MOST_SEEN = 150, 300
_LEAST_FITTED = 4
_LEAST_JUDGED = 8
_GROWTH = 1.25
_COST_SPAN = 4.0
# A cost that has to be measured is taken to be so many deviations better than expected: the ends of the
# frontier lie where no measurement is near.
_HOPE = 0.5
_KEPT = 8


@dataclass(frozen=True, slots=True)
class PredictorQuality:
    """How well the predictor ranks measurements that it was not shown.

    Args:
        measurements: how many were held out, one at a time.
        rank_correlation: Kendall's tau of predicted and measured accuracy.
        baseline: that of the cost alone.
        error: root mean square of predicted less measured accuracy.
    """

    measurements: int
    rank_correlation: float
    baseline: float
    error: float

    @property
    def trusted(self) -> bool:
        """Whether it ranks better than cost does, as far as so many measurements can tell."""
        return self.measurements >= _LEAST_JUDGED and self.rank_correlation > self.baseline

    def __str__(self) -> str:
        return (
            f"tau {self.rank_correlation:.2f} on {self.measurements} held out (cost {self.baseline:.2f}),"
            f" accuracy off by {self.error:.3f}"
        )


class Fits:
    """Fitted kernels by what they were fitted to: fitting is what takes time. Never more than a few."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Kernel, Floats]] = {}

    def find(self, encoding: Encoding, points: Floats, values: Floats) -> tuple[Kernel, Floats]:
        """The kernel for some values, and what each of them would have been predicted as without itself."""
        key = points.tobytes() + values.tobytes()
        if key not in self._kept:
            rest = values - encoding.ramp(points) @ encoding.trend(points, values)
            kernel = fit_kernel(encoding, points, rest / (float(rest.std()) or 1.0))
            held_out = Posterior(encoding, kernel, points, values).held_out()
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = kernel, held_out
        return self._kept[key]


class Surrogate:
    """A model of one history.

    Args:
        domain: what was proposed from.
        known: the measurements.
        proposals: how many there were in all.
        fits: that can be used again.

    Attributes:
        quality: of its ranking.
    """

    def __init__(self, domain: Domain, known: History, proposals: int, fits: Fits) -> None:
        self._known, self._fits = known, fits
        self._many_rungs = bool(known.rungs_left.any())
        self._full = int(known.rungs_left.min())
        self._encoding = Encoding(domain.genes, 1 + self._many_rungs)
        self._floor = math.log(domain.window[0])
        self._span = (math.log(domain.window[1]) - self._floor) or 1.0
        self._points = self._encode(known.genotypes, known.costs, known.rungs_left)
        self._subset = _subset(known, proposals)
        self._warp = Warp.of(logit(known.values[self._subset, 0]))
        self._targets = self._warp(logit(known.values[:, 0]))
        self._kernel, held_out = self._fit(self._targets)
        self.quality = self._judged(held_out)

    def _encode(self, genotypes: NDArray[np.int64], costs: Floats, rungs_left: NDArray[np.int64]) -> Floats:
        numbers = [_COST_SPAN * (np.log(costs) - self._floor) / self._span]
        if self._many_rungs:
            numbers.append(rungs_left.astype(np.float64))
        return self._encoding.points(genotypes, np.column_stack(numbers))

    def _at(self, designs: Sequence[Design]) -> Floats:
        """The points of designs, fully trained."""
        genotypes = np.array([each.genotype for each in designs], dtype=np.int64)
        costs = np.array([each.cost for each in designs])
        return self._encode(genotypes, costs, np.full(len(designs), self._full))

    def _fit(self, values: Floats) -> tuple[Kernel, Floats]:
        return self._fits.find(self._encoding, self._points[self._subset], values[self._subset])

    def _judged(self, held_out: Floats) -> PredictorQuality:
        """On the rung where most was measured: accuracies of different rungs do not compare."""
        left = self._known.rungs_left[self._subset]
        same = left == np.bincount(left).argmax()
        measured = self._known.values[self._subset, 0][same]
        predicted = error_of(self._warp.back(held_out[same]))
        return PredictorQuality(
            measurements=int(same.sum()),
            rank_correlation=_tau(predicted, measured),
            baseline=_tau(-self._known.costs[self._subset][same], measured),
            error=float(np.sqrt(np.mean((predicted - measured) ** 2))),
        )

    def look(self, pool: Sequence[Design], pending: Sequence[Design]) -> None:
        """Prepares for ``promise``.

        Args:
            pool: designs that cover the whole range of costs.
            pending: those that are being measured.
        """
        known, rows = self._known, _seen(self._known)
        points, waiting = self._points[rows], self._at(pending) if pending else None
        self._error = Posterior(self._encoding, self._kernel, points, self._targets[rows], waiting)
        self._learnt = {
            column: Posterior(self._encoding, self._fit(values)[0], points, values[rows])
            for column, values in enumerate(known.values.T)
            if column and pool[0].known_costs[column] is None
        }
        self._constraint = None
        if (known.violation > 0).any():
            kernel, _ = self._fit(known.violation)
            self._constraint = Posterior(self._encoding, kernel, points, known.violation[rows])
        others = known.values[rows, 1:]
        around = np.vstack([others, self._others(pool, self._at(pool))])
        self._low, self._range = around.min(axis=0), np.ptp(around, axis=0)
        self._range[self._range == 0] = 1.0
        self._within = limits(others.shape[1])
        good = known.violation[rows] <= 0
        done = points[good].copy()
        if self._many_rungs:
            done[:, -1] = self._full
        places = self._scaled(others[good])
        if waiting is not None:
            done = np.vstack([done, waiting])
            places = np.vstack([places, self._scaled(self._others(pending, waiting, hope=0.0))])
        errors = error_of(self._warp.back(self._error(done)[0])) if len(done) else np.empty(0)
        self._reached = best_within(self._within, errors, places, reference=1.0)

    def _scaled(self, others: Floats) -> Floats:
        found: Floats = (others - self._low) / self._range
        return found

    def _others(self, designs: Sequence[Design], points: Floats, hope: float = _HOPE) -> Floats:
        """All objectives but the error; those that have to be measured as they may turn out."""
        rows = [[math.nan if value is None else value for value in each.known_costs[1:]] for each in designs]
        found = np.array(rows, dtype=np.float64)
        for column, posterior in self._learnt.items():
            mean, deviation = posterior(points)
            found[:, column - 1] = mean - hope * deviation
        return found

    def promise(self, designs: Sequence[Design]) -> Floats:
        """The hypervolume that each design is expected to add, objectives scaled to 1; shape (n,)."""
        points = self._at(designs)
        errors = error_of(self._warp.back(outcomes(*self._error(points))))
        others = self._scaled(self._others(designs, points))
        gain = expected_improvement(self._within, self._reached, errors, others)
        if self._constraint is not None:
            violation, deviation = self._constraint(points)
            gain = gain * norm.cdf(-violation / deviation)
        return gain


def _lot(known: History) -> Floats:
    """A number drawn for each measured proposal, the same whatever else is known."""
    drawn: Floats = np.random.default_rng(0).random(int(known.numbers[-1]) + 1)[known.numbers]
    return drawn


def _subset(known: History, proposals: int) -> NDArray[np.int64]:
    """Rows that kernels are fitted to: they change seldom, so that a fit can be used again."""
    steps = math.floor(math.log(max(proposals, 2), _GROWTH) + 1e-9)
    rows = np.flatnonzero(known.numbers < int(_GROWTH**steps))
    if len(rows) < _LEAST_FITTED:
        rows = np.arange(len(known))
    found: NDArray[np.int64] = rows[np.argsort(_lot(known)[rows], kind="stable")[:_MOST_FITTED]]
    return found


def _seen(known: History) -> NDArray[np.int64]:
    """Rows that predictions are made from: the best, and some of the rest."""
    if len(known) <= _MOST_SEEN:
        return np.arange(len(known))
    best = known.best(_MOST_SEEN // 2)
    rest = np.setdiff1d(np.arange(len(known)), best)
    rest = rest[np.argsort(_lot(known)[rest], kind="stable")[: _MOST_SEEN - len(best)]]
    return np.concatenate([best, rest])


def _tau(one: Floats, other: Floats) -> float:
    """Kendall's tau; -1 where it is not defined, as of equal values."""
    if len(one) < 2:
        return -1.0
    return float(np.nan_to_num(kendalltau(one, other).statistic, nan=-1.0))
