"""Chances to be on the frontier against sampling, and gains against what further trainings really tell."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from searcher.objectives import Objectives
from searcher.plan.front_posterior import PRIOR_DEVIATION, Contender, Floats, FrontPosterior

COSTS = [(1.0, 3.0), (2.0, 1.0), (2.0, 4.0), (3.0, 3.0), (4.0, 5.0), (4.0, 5.0)]
SAMPLES = [(0.0, 0.3), (0.4,), (0.9, 0.1, 0.6), (0.7, 1.1), (1.0,), (0.9, 1.6)]


def contenders(**changes: object) -> list[Contender]:
    """Six candidates of two costs; the last two cost the same."""
    return [
        replace(Contender(logits, 1e6 * (n + 1), costs), **changes)  # type: ignore[arg-type]
        for n, (logits, costs) in enumerate(zip(SAMPLES, COSTS, strict=True))
    ]


def sampled(means: Floats, variances: Floats, count: int = 200_000) -> Floats:
    """The share of draws of the true values in which each candidate is on the frontier."""
    rng = np.random.default_rng(0)
    draws = means + np.sqrt(variances) * rng.normal(size=(count, len(means)))
    on = np.ones(draws.shape, dtype=bool)
    for one, own in enumerate(COSTS):
        for other, costs in enumerate(COSTS):
            if other != one and all(theirs <= mine for theirs, mine in zip(costs, own, strict=True)):
                on[:, one] &= draws[:, one] > draws[:, other]
    shares: Floats = on.mean(axis=0)
    return shares


def test_chances_are_those_of_sampled_frontiers() -> None:
    found = FrontPosterior.of(contenders())
    assert found.chances() == pytest.approx(sampled(found.means, found.variances), abs=0.01)
    assert found.chances()[:2].tolist() == [1, 1], "nothing costs less than these"


def test_gains_are_the_variances_of_the_chances_that_a_training_leads_to() -> None:
    found = FrontPosterior.of(contenders())
    rng = np.random.default_rng(1)
    for number, gain in enumerate(found.gains()):
        before = found.variances[number]
        after = 1 / (1 / before + 1 / found.noise)
        variances = found.variances.copy()
        variances[number] = after
        chances = []
        for _ in range(600):
            means = found.means.copy()
            # The mean after a training is normal around that before, by what the variance shrinks.
            means[number] += math.sqrt(before - after) * rng.normal()
            chances.append(replace(found, means=means, variances=variances).chances())
        assert gain == pytest.approx(float(np.var(chances, axis=0).sum()), rel=0.15, abs=3e-4)


def test_who_cannot_be_on_the_frontier_is_no_rival() -> None:
    plain = contenders()
    out = FrontPosterior.of([*plain, Contender((5.0,), 1e5, (0.1, 0.1), feasible=False)])
    lost = FrontPosterior.of([*plain, Contender((5.0,), 1e5, (0.1, math.nan))])
    winner = FrontPosterior.of([*plain, Contender((5.0,), 1e5, (0.1, 0.1))])
    assert out.chances()[-1] == lost.chances()[-1] == 0 and out.gains()[-1] == lost.gains()[-1] == 0
    assert out.chances()[:2].tolist() == lost.chances()[:2].tolist() == [1, 1]
    assert winner.chances()[-1] == 1 and max(winner.chances()[:-1]) < 0.1


def test_soft_constraints_and_any_costs_are_those_of_the_search() -> None:
    objectives = Objectives(("accuracy", "latency", "macs"), {"latency_ms": 5})
    metrics = {"top1": 0.5, "macs": 1e6, "latency_ms": 4.0}
    one = Contender.of([0.5], metrics, objectives, pending=2)
    assert one.feasible and one.costs == pytest.approx((math.log(4), math.log(1e6)))
    assert (one.macs, one.pending, one.logits) == (1e6, 2, (0.0,))
    assert not Contender.of([0.5], {**metrics, "latency_ms": 6.0}, objectives).feasible
    assert not Contender.of([0.5], metrics, objectives, lost=True).feasible


def test_noise_is_what_repeated_trainings_say_and_the_prior_before() -> None:
    once = FrontPosterior.of([Contender((x,), 1e6, (1.0,)) for x in (0.0, 1.0, 2.0)])
    assert once.noise == pytest.approx(PRIOR_DEVIATION**2)
    pairs = [Contender((x - 1, x + 1), 1e6, (1.0,)) for x in (0.0, 1.0, 2.0)]
    # Three degrees of freedom of the prior, three pairs with a variance of 2 each.
    assert FrontPosterior.of(pairs).noise == pytest.approx((3 * 0.16 + 3 * 2) / 6)
    rng = np.random.default_rng(0)
    many = [Contender(tuple(0.1 * rng.normal(size=40)), 1e6, (1.0,)) for _ in range(6)]
    assert FrontPosterior.of(many).noise == pytest.approx(0.01, rel=0.25)


def test_trainings_under_way_leave_the_mean_and_take_away_from_the_gain() -> None:
    plain = contenders()
    busy = [replace(each, pending=2 * (number == 3)) for number, each in enumerate(plain)]
    before, after = FrontPosterior.of(plain), FrontPosterior.of(busy)
    assert after.means.tolist() == before.means.tolist()
    assert after.variances[3] == pytest.approx(1 / (1 / before.variances[3] + 2 / before.noise))
    assert after.gains()[3] < 0.7 * before.gains()[3]


def test_means_of_few_trainings_are_drawn_towards_the_others() -> None:
    def around_a_line(first: tuple[float, ...]) -> FrontPosterior:
        rest = [Contender((0.5 * n, 0.5 * n + 0.1), math.exp(n), (float(n),)) for n in range(1, 8)]
        return FrontPosterior.of([Contender(first, 1.0, (0.0,)), *rest])

    once, often = around_a_line((1.0,)), around_a_line((1.0,) * 12)
    assert 0 < once.means[0] < 0.8 < often.means[0] < 1.0
    unseen = around_a_line(())
    assert abs(unseen.means[0]) < 0.3 and min(unseen.variances[0], once.variances[0]) > often.variances[0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_nothing_has_to_be_measured(count: int) -> None:
    found = FrontPosterior.of([Contender((), 1e6 * (n + 1), (float(n),), pending=1) for n in range(count)])
    assert found.chances()[0] == 1 and np.isfinite(found.gains()).all()
    one = FrontPosterior.of([Contender((0.3,) if n == 0 else (), 1e6, (1.0,)) for n in range(count)])
    assert np.isfinite(one.chances()).all() and (one.variances > 0).all()


def test_chances_hold_what_they_say() -> None:
    rng = np.random.default_rng(3)
    chances, truths = [], []
    for _ in range(250):
        costs = np.sort(rng.uniform(0, 3, 8))
        truth = costs + 0.4 * rng.normal(size=8)
        known = [
            Contender(tuple(truth[n] + 0.4 * rng.normal(size=1 + n % 3)), math.exp(costs[n]), (costs[n],))
            for n in range(8)
        ]
        chances += FrontPosterior.of(known).chances().tolist()
        truths += [bool((truth[:n] < truth[n]).all()) for n in range(8)]
    said, so = np.array(chances), np.array(truths)
    for low, high in ((0.05, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.95)):
        within = (said >= low) & (said < high)
        assert within.sum() > 100
        assert so[within].mean() == pytest.approx(said[within].mean(), abs=0.08)
