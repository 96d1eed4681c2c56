"""How far a cheap measure of networks orders them as a dear one does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from proxy_train.evaluation.metrics import Estimate

Values = npt.NDArray[np.float64]
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """What one measure says about another.

    Args:
        tau: Kendall's tau-b over all networks, with a bootstrapped 95 % interval.
        top_tau: the same among the best tenth by the dear measure, five networks at least; NaN if the cheap
            one calls them all equal.
        precision: of the k best by the cheap measure, how many are among the k best by the dear one.
        within: tau of pairs of like cost only (within a factor of 1.5): what is known beyond "larger is
            better". NaN if there are none.
    """

    tau: Estimate
    top_tau: float
    precision: float
    within: float


def compare_rankings(cheap: Values, dear: Values, costs: Values, k: int, *, seed: int = 0) -> RankAgreement:
    """Compares two measures of the same networks, of each of which more is better.

    Args:
        cheap: (networks,).
        dear: (networks,).
        costs: multiply-adds of each.
        k: how many are the best.
        seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(dear), (RESAMPLES, len(dear)))
    taus = np.array([tau(cheap[draw], dear[draw]) for draw in draws])
    known = taus[~np.isnan(taus)]
    low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (math.nan, math.nan)
    top = np.argsort(-dear, kind="stable")[: max(5, math.ceil(len(dear) / 10))]
    near = np.abs(np.subtract.outer(np.log(costs), np.log(costs))) <= math.log(1.5)
    return RankAgreement(
        Estimate(tau(cheap, dear), float(low), float(high)),
        tau(cheap[top], dear[top]),
        precision_at(cheap, dear, k),
        pair_tau(cheap, dear, near),
    )


def tau(one: Values, two: Values) -> float:
    """Kendall's tau-b; NaN if either is constant."""
    if len(set(one.tolist())) < 2 or len(set(two.tolist())) < 2:
        return math.nan
    return float(kendalltau(one, two).statistic)


def pair_tau(one: Values, two: Values, chosen: npt.NDArray[np.bool_]) -> float:
    """Kendall's tau-b over some of the pairs; ``chosen`` is (networks, networks) and symmetric."""
    upper = np.triu(chosen, 1)
    signs = [np.sign(np.subtract.outer(each, each))[upper] for each in (one, two)]
    untied = math.sqrt(float(np.abs(signs[0]).sum() * np.abs(signs[1]).sum()))
    return float((signs[0] * signs[1]).sum()) / untied if untied else math.nan


def precision_at(cheap: Values, dear: Values, k: int) -> float:
    """Which part of the ``k`` best by ``cheap`` are among the ``k`` best by ``dear``.

    Where equals straddle the k-th place, each counts by its chance of being among them.
    """
    return float(_chances(cheap, k) @ _chances(dear, k)) / k


def _chances(values: Values, k: int) -> Values:
    threshold = np.sort(values)[::-1][k - 1]
    above, equal = values > threshold, values == threshold
    chances: Values = above + equal * ((k - above.sum()) / equal.sum())
    return chances
