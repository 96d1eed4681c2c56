"""The chance of each confirmed candidate to be on the frontier, and what one more training would tell of it.

Accuracies count on the logit scale. A training's is normal around the true value of its network, with one
variance between seeds for all networks: a scaled inverse chi-square prior of ``PRIOR_FREEDOM`` degrees of
freedom at ``PRIOR_DEVIATION``, and what repeated trainings say. The true values are normal around a line over
the log of the multiply-adds; how much they vary around it is integrated out under an even prior of the
reliability, so that means of few trainings are drawn towards the line as far as the others lie near it
(Searle, Casella and McCulloch 1992, chapter 3). Costs are known. Chances are integrated without random
numbers.

The next training goes where it is expected to change the chances most. This is the knowledge gradient
(Frazier, Powell and Dayanik 2008) of the sum of squared errors of the chances, in place of one best
candidate: budget for a whole Pareto set, as Lee, Chew, Teng and Goldsman (2010) allocate it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from searcher.objectives import Objectives
from searcher.reliability import accuracy_logits

Floats = NDArray[np.float64]

PRIOR_DEVIATION = 0.4
"""Standard deviation between seeds, in logits, as long as no training was repeated."""
PRIOR_FREEDOM = 3
"""Degrees of freedom, or repeated trainings, that the prior of the variance between seeds counts as."""
_SHARES = (np.arange(20) + 0.5) / 20
_NODES = ndtri((np.arange(64) + 0.5) / 64)
_OUTCOMES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class Contender:
    """What is known of a candidate for the frontier.

    Args:
        logits: accuracies of its trainings on the logit scale; see ``searcher.reliability.accuracy_logits``.
        macs: multiply-adds of a clip.
        costs: costs among the objectives, to minimise; NaN where one was not measured.
        feasible: whether it meets the soft constraints.
        pending: number of trainings under way, which count as measured with the expected result.
    """

    logits: Sequence[float]
    macs: float
    costs: Sequence[float]
    feasible: bool = True
    pending: int = 0

    @classmethod
    def of(
        cls,
        accuracies: Sequence[float],
        metrics: Mapping[str, float],
        objectives: Objectives,
        *,
        pending: int = 0,
        lost: bool = False,
    ) -> Contender:
        """Return a candidate from its measurements.

        Args:
            accuracies: accuracies of its trainings, fractions.
            metrics: its metrics by their names in the record; they have the multiply-adds.
            objectives: objectives and soft constraints of the search.
            pending: number of trainings under way.
            lost: whether it is out because it cannot be trained.
        """
        named = zip(objectives.names, objectives.values(metrics), strict=True)
        return cls(
            logits=tuple(accuracy_logits(accuracies).tolist()),
            macs=metrics["macs"],
            costs=tuple(value for name, value in named if name != "accuracy"),
            feasible=not lost and objectives.violation(metrics) <= 0,
            pending=pending,
        )


@dataclass(frozen=True, eq=False)
class FrontPosterior:
    """The true accuracies of candidates as far as they are known; ``of`` estimates them.

    Args:
        means: expected accuracy of each candidate in logits, shape (n,).
        variances: variance of each, shape (n,).
        noise: variance between seeds.
        rivals: whether the candidate of the column costs no more than that of the row, and both can be on the
            frontier, shape (n, n).
        eligible: whether a candidate can be on the frontier, shape (n,): it is feasible, its costs are known.
    """

    means: Floats
    variances: Floats
    noise: float
    rivals: NDArray[np.bool_]
    eligible: NDArray[np.bool_]

    @classmethod
    def of(cls, contenders: Sequence[Contender]) -> FrontPosterior:
        """Estimate the true accuracies of candidates, at least one."""
        counts = np.array([len(each.logits) for each in contenders])
        sums = np.array([float(np.sum(each.logits)) for each in contenders])
        samples = [np.asarray(each.logits) for each in contenders if each.logits]
        within = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in samples)
        freedom = PRIOR_FREEDOM + counts.sum() - len(samples)
        noise = (PRIOR_FREEDOM * PRIOR_DEVIATION**2 + within) / freedom
        log_macs = np.log([each.macs for each in contenders])
        means, variances = _true_values(counts, sums / np.maximum(counts, 1), log_macs, noise)
        pending = np.array([each.pending for each in contenders])
        costs = np.array([each.costs for each in contenders], dtype=np.float64)
        eligible = np.array([each.feasible for each in contenders]) & np.isfinite(costs).all(axis=1)
        rivals = (costs[None, :, :] <= costs[:, None, :]).all(axis=2) & eligible & eligible[:, None]
        np.fill_diagonal(rivals, False)
        return cls(means, 1 / (1 / variances + pending / noise), noise, rivals, eligible)

    def chances(self) -> Floats:
        """Return the chance of each candidate that none of at most its costs is more accurate, shape (n,)."""
        places = self._places()
        chances: Floats = np.exp(self._lower(places).sum(axis=2)).mean(axis=1)
        return np.where(self.eligible, chances, 0.0)

    def gains(self) -> Floats:
        """Return what one more training of each candidate is expected to tell, shape (n,).

        It is the expected decrease of the sum of p (1 - p) over the chances p of all candidates, which is the
        variance of the chances that the training leads to.
        """
        lower = self._lower(self._places())
        return np.array(
            [self._gain(number, lower) if able else 0.0 for number, able in enumerate(self.eligible)]
        )

    def _places(self) -> Floats:
        """Return values that each candidate's accuracy takes with equal chance, shape (n, nodes)."""
        places: Floats = self.means[:, None] + np.sqrt(self.variances)[:, None] * _NODES
        return places

    def _lower(self, places: Floats) -> Floats:
        """Return the log chance of each rival to be below each place, 0 for no rival, (n, nodes, n)."""
        below = log_ndtr((places[:, :, None] - self.means) / np.sqrt(self.variances))
        return np.where(self.rivals[:, None, :], below, 0.0)

    def _gain(self, number: int, lower: Floats) -> float:
        """Return the gain of one candidate.

        Args:
            number: index of the candidate.
            lower: log chances of the rivals, as ``_lower`` returns them.
        """
        before = float(self.variances[number])
        after = 1 / (1 / before + 1 / self.noise)
        moved = self.means[number] + math.sqrt(before - after) * _OUTCOMES
        # Its own chance, for each outcome of the training: (outcomes, nodes, rivals).
        rivals = self.rivals[number]
        places = moved[:, None] + math.sqrt(after) * _NODES
        below = log_ndtr((places[:, :, None] - self.means[rivals]) / np.sqrt(self.variances[rivals]))
        gain = float(_variances(np.exp(below.sum(axis=2)).mean(axis=1)))
        # The chances of those that it is a rival of: (candidates, nodes, outcomes).
        others = np.flatnonzero(self.rivals[:, number])
        rest = np.exp(lower[others].sum(axis=2) - lower[others, :, number])
        theirs = ndtr((self._places()[others][:, :, None] - moved) / math.sqrt(after))
        return gain + float(_variances((rest[:, :, None] * theirs).mean(axis=1)).sum())


def _variances(chances: Floats) -> Floats:
    """Return the variance over the outcomes of a training, which are the last axis."""
    means = chances @ _WEIGHTS
    variances: Floats = (chances - means[..., None]) ** 2 @ _WEIGHTS
    return variances


def _true_values(counts: Floats, means: Floats, log_macs: Floats, noise: float) -> tuple[Floats, Floats]:
    """Return the expected true value of each candidate and its variance, drawn towards a line over the cost.

    Args:
        counts: number of trainings of each candidate, shape (n,).
        means: their mean; of those without training it does not count.
        log_macs: log of the multiply-adds.
        noise: variance between seeds.
    """
    seen = counts > 0
    if not seen.any():
        return np.zeros(len(counts)), np.full(len(counts), noise * _SHARES[-1] / (1 - _SHARES[-1]))
    degree = min(1, int(seen.sum()) // 4, len(np.unique(log_macs[seen])) - 1)
    basis = np.vander(log_macs - log_macs[seen].mean(), degree + 1, increasing=True)
    likelihoods, centres, variances = [], [], []
    for between in noise * _SHARES / (1 - _SHARES):
        spread = between + noise / counts[seen]
        weighted = basis[seen] / spread[:, None]
        information = weighted.T @ basis[seen]
        line = basis @ np.linalg.solve(information, weighted.T @ means[seen])
        misfit = ((means[seen] - line[seen]) ** 2 / spread).sum()
        likelihoods.append(-0.5 * (np.log(spread).sum() + np.linalg.slogdet(information)[1] + misfit))
        # The share of a candidate's own mean in what it is expected to be; none without a training.
        own = counts * between / (counts * between + noise)
        doubt = (basis @ np.linalg.inv(information) * basis).sum(axis=1)
        centres.append(own * means + (1 - own) * line)
        variances.append(between * (1 - own) + (1 - own) ** 2 * doubt)
    weights = np.exp(np.array(likelihoods) - max(likelihoods))
    weights /= weights.sum()
    centre = weights @ np.array(centres)
    return centre, weights @ (np.array(variances) + (np.array(centres) - centre) ** 2)
