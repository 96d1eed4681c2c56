"""The agreement of a cheap ranking of networks with an expensive one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy_train.evaluation.metrics import Estimate

Values = npt.NDArray[np.float64]
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """The agreement of a cheap measure with an expensive one.

    Args:
        tau: Kendall's tau-b over all networks, with a bootstrapped 95 % interval.
        top_tau: the same among the best tenth by the expensive measure, at least five networks; NaN if the
            cheap one calls them all equal.
        precision: share of the k best by the cheap measure that are among the k best by the expensive one.
        within: tau of pairs of like cost only (within a factor of 1.5): what is known beyond "larger is
            better". NaN if there are none.
    """

    tau: Estimate
    top_tau: float
    precision: float
    within: float


def compare_rankings(
    cheap: Values, expensive: Values, costs: Values, k: int, *, seed: int = 0
) -> RankAgreement:
    """Compare two measures of the same networks; of both, more is better.

    Args:
        cheap: cheap measure, (networks,).
        expensive: expensive measure, (networks,).
        costs: multiply-adds of each network.
        k: number of networks that count as the best.
        seed: seed of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(expensive), (RESAMPLES, len(expensive)))
    taus = np.array([tau(cheap[draw], expensive[draw]) for draw in draws])
    known = taus[~np.isnan(taus)]
    low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (math.nan, math.nan)
    top = np.argsort(-expensive, kind="stable")[: max(5, math.ceil(len(expensive) / 10))]
    near = np.abs(np.subtract.outer(np.log(costs), np.log(costs))) <= math.log(1.5)
    return RankAgreement(
        Estimate(tau(cheap, expensive), float(low), float(high)),
        tau(cheap[top], expensive[top]),
        precision_at(cheap, expensive, k),
        pair_tau(cheap, expensive, near),
    )


def tau(one: Values, two: Values) -> float:
    """Return Kendall's tau-b; NaN if either is constant."""
    if len(set(one.tolist())) < 2 or len(set(two.tolist())) < 2:
        return math.nan
    # It takes most of a second to load, and every search would wait for it.
    from scipy.stats import kendalltau

    return float(kendalltau(one, two).statistic)


def pair_tau(one: Values, two: Values, chosen: npt.NDArray[np.bool_]) -> float:
    """Return Kendall's tau-b over some pairs; ``chosen`` is (networks, networks) and symmetric."""
    upper = np.triu(chosen, 1)
    signs = [np.sign(np.subtract.outer(values, values))[upper] for values in (one, two)]
    untied = math.sqrt(float(np.abs(signs[0]).sum() * np.abs(signs[1]).sum()))
    return float((signs[0] * signs[1]).sum()) / untied if untied else math.nan


def precision_at(cheap: Values, expensive: Values, k: int) -> float:
    """Return the share of the ``k`` best by ``cheap`` that are among the ``k`` best by ``expensive``.

    If equal values straddle the k-th place, each counts by its chance of being among them.
    """
    return float(_chances(cheap, k) @ _chances(expensive, k)) / k


def _chances(values: Values, k: int) -> Values:
    threshold = np.sort(values)[::-1][k - 1]
    above, equal = values > threshold, values == threshold
    chances: Values = above + equal * ((k - above.sum()) / equal.sum())
    return chances
