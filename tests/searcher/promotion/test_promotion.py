"""Pareto-rank halving: who goes on, and that nobody worth keeping is lost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searcher.pareto import best_first, non_dominated
from searcher.promotion.features import genotype_features
from searcher.promotion.front_chance import front_chance, smoothed
from searcher.promotion.halving import ParetoHalving, RungResult
from searcher.simulation.synthetic import InventedAccuracy, SyntheticDomain
from searcher.strategies.strategy import StratifiedRandom


def result(number: int, accuracy: float, macs: float, **more: Any) -> RungResult:
    return RungResult(number, (1 - accuracy, math.log(macs)), macs, **more)


RESULTS = st.lists(
    st.tuples(
        st.floats(0, 1) | st.just(math.nan),
        st.floats(1e6, 1e8),
        st.floats(0, 1),
        st.sampled_from((0, 0, 2.0)),
    ),
    min_size=1,
    max_size=30,
).map(
    lambda rows: [
        result(number, accuracy, macs, features=(taste,), violation=violation)
        for number, (accuracy, macs, taste, violation) in enumerate(rows)
    ]
)


def halving(rungs: tuple[int, ...] = (2, 4, 8), reduction: int = 3) -> ParetoHalving:
    return ParetoHalving(rungs, reduction, 1e6, 1e8)


@given(RESULTS)
def test_nan_never_survives(results: list[RungResult]) -> None:
    survivors = halving().survivors([results], complete=True)
    assert all(results[number].valid for number in survivors)
    for each in results:
        if not each.valid:
            assert not halving().decide(each.number, [results]).promoted


@pytest.mark.parametrize("strange", [(math.nan, 1.0), (0.5, math.nan), (0.5, math.inf)])
def test_any_objective_that_is_no_number_ends_a_candidate(strange: tuple[float, float]) -> None:
    results = [*(result(n, 0.1, 1e7) for n in range(9)), RungResult(9, strange, 1e6)]
    assert 9 not in halving().survivors([results], complete=True)
    assert halving().decide(9, [results]).reason == "one of its objectives is not a number"


@given(RESULTS)
def test_every_cost_stratum_keeps_someone(results: list[RungResult]) -> None:
    rule = halving()
    survivors = rule.survivors([results], complete=True)
    there = {rule.stratum(each.cost) for each in results if each.valid}
    assert {rule.stratum(results[number].cost) for number in survivors} == there


@given(RESULTS)
def test_at_least_the_share_goes_on_and_the_order_of_arrival_does_not_matter(
    results: list[RungResult],
) -> None:
    valid = sum(each.valid for each in results)
    survivors = halving().survivors([results], complete=True)
    assert len(survivors) >= math.ceil(valid / 3)
    assert halving().survivors([results[::-1]], complete=True) == survivors


@given(RESULTS)
def test_a_candidate_above_a_soft_limit_never_takes_the_place_of_one_below(results: list[RungResult]) -> None:
    survivors = halving().survivors([results], complete=True)
    share = [number for number, reason in survivors.items() if "chance" in reason]
    feasible = [each.number for each in results if each.valid and each.violation == 0]
    if any(results[number].violation for number in share):
        assert set(feasible) <= set(share)


def test_the_small_and_the_large_end_both_go_on_where_accuracy_alone_would_keep_one() -> None:
    results = [result(n, 0.3 + 0.1 * n, 1e6 * 2**n) for n in range(6)] + [
        result(6 + n, 0.25 + 0.1 * n, 1.1e6 * 2**n) for n in range(6)
    ]
    survivors = halving((1, 2), 3).survivors([results])
    assert {0, 5} <= set(survivors)
    assert set(survivors) <= set(range(6))


def test_a_rung_waits_until_one_of_its_candidates_can_be_expected_at_the_top() -> None:
    results = [result(n, 0.1 * n, 2e6) for n in range(9)]
    assert not halving().survivors([results[:8]])
    assert halving().survivors([results])
    assert halving().survivors([results, results[:3]])
    assert not halving().survivors([results, results[:2]])
    assert halving().survivors([results[:1]], complete=True)


def test_a_stratum_with_a_promoted_candidate_needs_no_other_survivor() -> None:
    front = [result(n, 0.9 - 0.01 * n, 1e6 * (1.2 - 0.01 * n)) for n in range(6)]
    weak = [result(10 + n, 0.1 + 0.01 * n, 9e7) for n in range(3)]
    rule = halving((1, 2), 3)
    assert 12 in rule.survivors([[*front, *weak]])
    assert not {10, 11, 12} & set(rule.survivors([[*front, *weak]], promoted={10}))


def test_a_decision_says_why() -> None:
    results = [result(n, 0.1 * n, 2e6) for n in range(9)]
    rule = halving()
    assert "place 1 of 9: 3 go on" in rule.decide(8, [results]).reason
    refused = rule.decide(0, [results])
    assert not refused.promoted
    assert "of 9" in refused.reason
    broken = [replace(each, violation=0.25) if each.number == 8 else each for each in results]
    assert "soft constraints are violated by 0.25" in rule.decide(8, [broken]).reason


def test_three_objectives_keep_what_is_best_in_the_third() -> None:
    """The fast one is the worst in accuracy and in multiply-adds."""
    rng = np.random.default_rng(0)
    values = [
        (0.3 + 0.02 * n + 0.01 * rng.random(), math.log(1e6) + 0.1 * n, 3.0 + 0.1 * n) for n in range(12)
    ]
    results = [RungResult(n, each, 2e6) for n, each in enumerate([*values, (0.6, math.log(1e6) + 2, 1.0)])]
    rule = halving((1, 2), 3)
    assert 12 in list(rule.survivors([results]))[:3]
    assert 12 not in rule.survivors([[replace(each, values=each.values[:2]) for each in results]])


def test_a_shorter_training_that_was_better_measured_counts_at_the_next_rung() -> None:
    """At the second rung all look alike; what the first rung said of them decides."""
    first = [result(n, 0.3 + 0.02 * n, 2e6) for n in range(27)]
    rng = np.random.default_rng(1)
    second = [result(n, 0.5 + 0.002 * n + rng.normal(0, 0.0001), 2e6) for n in range(9, 27)]
    again = [result(n, 0.5, 2e6) for n in range(9, 27)]
    assert next(iter(halving().survivors([first, second]))) == 26
    assert halving().survivors([first, again])


def test_the_rule_keeps_more_of_the_front_than_a_plain_sort() -> None:
    """The yardstick of benchmarks/promotion.py, smaller."""
    kept = []
    for seed in range(3):
        domain = SyntheticDomain()
        rng = np.random.default_rng(seed)
        strategy = StratifiedRandom(domain, seed, 8)
        drawn = [strategy.stratified(number, rng) for number in range(240)]
        errors = 1 - InventedAccuracy(seed)(domain.layers(np.array([each.genotype for each in drawn])))
        costs = np.array([each.cost for each in drawn])
        front = non_dominated(np.column_stack([errors, costs]))
        noisy = errors + rng.normal(0, 0.04, 240)
        results = [
            RungResult(
                n, (noisy[n], math.log(costs[n])), costs[n], genotype_features(domain.genes, each.genotype)
            )
            for n, each in enumerate(drawn)
        ]
        ours = list(ParetoHalving((1, 2), 3, *domain.window).survivors([results], complete=True))[:80]
        plain = best_first(np.column_stack([noisy, costs]))[:80]
        kept.append((front[ours].mean() * 80 / front.sum(), front[plain].mean() * 80 / front.sum()))
    ours_kept, plain_kept = np.mean(kept, axis=0)
    assert ours_kept > plain_kept + 0.03
    assert ours_kept > 0.85


@pytest.mark.parametrize("seed", range(3))
def test_halving_by_rank_keeps_far_more_of_the_front_than_by_accuracy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 1, 600)
    accuracy = 0.3 + 0.5 * np.sqrt(cost) - rng.exponential(0.08, 600)
    front = non_dominated(np.column_stack([-accuracy, cost]))
    noisy = accuracy + rng.normal(0, 0.004, 600)
    by_rank = best_first(np.column_stack([-noisy, cost]))[:200]
    by_accuracy = np.argsort(-noisy)[:200]
    assert front[by_rank].sum() >= 0.85 * front.sum()
    assert front[by_accuracy].sum() < front[by_rank].sum()


@pytest.mark.parametrize("columns", [1, 2])
def test_chances_are_those_that_drawing_many_times_finds(columns: int) -> None:
    rng = np.random.default_rng(columns)
    means, costs = rng.normal(0, 1, 12), rng.integers(0, 6, (12, columns)).astype(float)
    draws = means + 0.5 * rng.normal(size=(20_000, 12))
    cheaper = (costs[None] <= costs[:, None]).all(axis=2) & ~np.eye(12, dtype=bool)
    on_front = [
        (draws[:, each, None] < np.where(row, draws, np.inf)).all(axis=1) for each, row in enumerate(cheaper)
    ]
    assert front_chance(means, 0.5, costs) == pytest.approx(np.mean(on_front, axis=1), abs=0.02)


def test_errors_are_drawn_to_what_features_explain_and_no_further_than_half_way() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3))
    true = features @ [0.1, -0.05, 0.0] + 0.5
    noisy = true + rng.normal(0, 0.04, 200)
    found, deviation = smoothed(noisy, features)
    assert np.std(found - true) < 0.6 * np.std(noisy - true)
    assert deviation == pytest.approx(0.02, rel=0.2)
    alone, _ = smoothed(noisy, np.empty((200, 0)))
    assert np.corrcoef(alone, noisy)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_or_equal_errors_are_no_trouble(count: int) -> None:
    found, deviation = smoothed(np.full(count, 0.5), np.ones((count, 2)))
    assert found == pytest.approx(np.full(count, 0.5))
    chances = front_chance(found, deviation, np.ones((count, 1)))
    assert chances == pytest.approx(np.full(count, 1 / max(count, 1)), abs=1e-4)
