"""The reliability of measurements: how much of a difference between networks of like cost is theirs.

Two networks of like cost differ because one is better, and because the seeds of their trainings differ. The
reliability is the first part's share of the variance (the intraclass correlation of a random-effects model;
Searle, Casella and McCulloch 1992, chapter 3): 1 if every training of a network ends alike, 0 if the
networks cannot be told apart. Accuracies are compared on the logit scale, where the same difference means as
much near 0 and 1 as between, and after a trend of the cost is taken away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_RELIABILITY = 0.3
"""Reliability below which a frontier is mostly noise."""
_OFFSET = 0.01
_GRID = (np.arange(400) + 0.5) / 400
_MOST_DEGREE = 3
_NETWORKS_A_DEGREE = 4


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of one training of a network.

    Args:
        network: identity of the network; trainings of one network differ in their seed alone.
        cost: multiply-adds of a clip.
        accuracy: accuracy after the training, a fraction.
    """

    network: str
    cost: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """The reliability of measurements of one kind, with a 95 % interval.

    Args:
        value: share of the variance between networks of like cost that is not the seed's, 0 to 1: the median
            of its posterior under an even prior.
        low: lower end of the interval.
        high: upper end of the interval.
        seed_deviation: standard deviation between trainings of one network, as accuracy (0.07 is 7 points).
        seed_logits: the same on the logit scale.
        networks: number of networks.
        trainings: number of trainings.
    """

    value: float
    low: float
    high: float
    seed_deviation: float
    seed_logits: float
    networks: int
    trainings: int

    @property
    def mostly_noise(self) -> bool:
        """Whether differences between networks of like cost are mostly the seed's."""
        return self.value < LEAST_RELIABILITY

    def of_mean(self, repeats: int) -> Reliability:
        """Return the reliability of the mean of several trainings of each network (Spearman and Brown).

        Args:
            repeats: number of trainings in the mean.
        """
        value, low, high = (
            repeats * share / (1 + (repeats - 1) * share) for share in (self.value, self.low, self.high)
        )
        return replace(self, value=value, low=low, high=high)

    def text(self) -> str:
        """Return the reliability in words, such as ``0.62 (0.30 to 0.85)``."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def accuracy_logits(accuracy: Sequence[float] | Floats) -> Floats:
    """Return accuracies, from 0 to 1 inclusive, on the logit scale."""
    values = np.asarray(accuracy, dtype=np.float64)
    logits: Floats = np.log((values + _OFFSET) / (1 + _OFFSET - values))
    return logits


def logit_accuracies(logits: Floats) -> Floats:
    """Return the accuracies of logits, the inverse of ``accuracy_logits``, within 0 and 1."""
    shares = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))
    accuracies: Floats = np.clip(shares * (1 + 2 * _OFFSET) - _OFFSET, 0.0, 1.0)
    return accuracies


def reliability(trainings: Sequence[TrainingResult]) -> Reliability | None:
    """Estimate the reliability from networks of which some were trained several times.

    The likelihood is the restricted one, with a polynomial of the log cost as trend: of degree 3 for 16
    networks or more, less for fewer. Networks that were trained once tell of the variance in all.

    Args:
        trainings: trainings of one kind: the same epochs and data, other seeds and networks.

    Returns:
        None for fewer than two repeated trainings, or fewer than four networks.
    """
    groups: dict[str, list[TrainingResult]] = {}
    for training in trainings:
        groups.setdefault(training.network, []).append(training)
    counts = np.array([len(group) for group in groups.values()])
    freedom = len(trainings) - len(groups)
    if len(groups) < 4 or freedom < 2:
        return None
    samples = [accuracy_logits([training.accuracy for training in group]) for group in groups.values()]
    within = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in samples)
    means = np.array([sample.mean() for sample in samples])
    basis = _trend_basis(np.log([group[0].cost for group in groups.values()]))
    posterior = np.array([_log_likelihood(share, counts, means, within, basis) for share in _GRID])
    weights = np.exp(posterior - posterior.max())
    total = np.cumsum(weights) / weights.sum()
    low, middle, high = np.interp((0.025, 0.5, 0.975), total, _GRID).tolist()
    squares = sum(float(np.var([t.accuracy for t in group])) * len(group) for group in groups.values())
    return Reliability(
        value=middle,
        low=low,
        high=high,
        seed_deviation=math.sqrt(squares / freedom),
        seed_logits=math.sqrt(within / freedom),
        networks=len(groups),
        trainings=len(trainings),
    )


def _trend_basis(log_costs: Floats) -> Floats:
    """Return the columns of a polynomial in the log cost, orthonormal, shape (networks, 1 + degree)."""
    distinct = len(np.unique(log_costs))
    degree = min(_MOST_DEGREE, len(log_costs) // _NETWORKS_A_DEGREE, distinct - 1)
    span = max(float(np.ptp(log_costs)), 1e-9)
    scaled = 2 * (log_costs - log_costs.min()) / span - 1
    basis: Floats = np.linalg.qr(np.vander(scaled, degree + 1, increasing=True))[0]
    return basis


def _log_likelihood(share: float, counts: Floats, means: Floats, within: float, basis: Floats) -> float:
    """Return the restricted log likelihood of a reliability, with the variance in all integrated out.

    Args:
        share: reliability, between 0 and 1.
        counts: number of trainings of each network.
        means: mean of each network.
        within: sum of the squared deviations of trainings from their network's mean.
        basis: trend at each network, shape (networks, terms).
    """
    # In units of the variance in all: that of a network's mean, and that between its trainings.
    variances, noise = share + (1 - share) / counts, 1 - share
    weighted = basis / variances[:, None]
    information = basis.T @ weighted
    trend = np.linalg.solve(information, weighted.T @ means)
    squares = ((means - basis @ trend) ** 2 / variances).sum() + within / noise
    repeats = counts.sum() - len(counts)
    freedom = counts.sum() - basis.shape[1]
    determinants = np.log(variances).sum() + repeats * math.log(noise) + np.linalg.slogdet(information)[1]
    return float(-0.5 * (determinants + freedom * math.log(max(squares, 1e-12))))
