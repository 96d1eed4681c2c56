"""Pareto-rank halving: who goes on, and that nobody worth keeping is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searcher.pareto import best_first, non_dominated
from searcher.promotion import ParetoHalving, RungResult

RESULTS = st.lists(
    st.tuples(st.floats(0, 1) | st.just(math.nan), st.floats(1e6, 1e8)), min_size=1, max_size=30
).map(lambda rows: [RungResult(number, *row) for number, row in enumerate(rows)])


def halving(rungs: tuple[int, ...] = (2, 4, 8), reduction: int = 3) -> ParetoHalving:
    return ParetoHalving(rungs, reduction, 1e6, 1e8)


@given(RESULTS)
def test_nan_never_survives(results: list[RungResult]) -> None:
    survivors = halving().survivors(0, results, complete=True)
    assert not any(math.isnan(results[number].accuracy) for number in survivors)
    for each in results:
        if math.isnan(each.accuracy):
            assert not halving().decide(0, each.number, results).goes_on


@given(RESULTS)
def test_every_cost_stratum_keeps_someone(results: list[RungResult]) -> None:
    rule = halving()
    survivors = rule.survivors(0, results, complete=True)
    there = {rule.stratum(each.macs) for each in results if not math.isnan(each.accuracy)}
    assert {rule.stratum(results[number].macs) for number in survivors} == there


@given(RESULTS)
def test_at_least_the_share_goes_on_and_the_order_of_arrival_does_not_matter(
    results: list[RungResult],
) -> None:
    valid = sum(not math.isnan(each.accuracy) for each in results)
    survivors = halving().survivors(0, results, complete=True)
    assert len(survivors) >= math.ceil(valid / 3)
    assert halving().survivors(0, results[::-1], complete=True) == survivors


def test_the_small_and_the_large_end_both_go_on_where_accuracy_alone_would_keep_one() -> None:
    results = [RungResult(n, 0.3 + 0.1 * n, 1e6 * 2**n) for n in range(6)] + [
        RungResult(6 + n, 0.25 + 0.1 * n, 1.1e6 * 2**n) for n in range(6)
    ]
    survivors = halving((1, 2), 3).survivors(0, results)
    assert {0, 5} <= set(survivors)
    assert set(survivors) <= set(range(6))


def test_a_rung_waits_until_one_of_its_candidates_can_be_expected_at_the_top() -> None:
    results = [RungResult(n, 0.1 * n, 2e6) for n in range(9)]
    assert not halving().survivors(0, results[:8])
    assert halving().survivors(0, results)
    assert halving().survivors(1, results[:3])
    assert not halving().survivors(1, results[:2])
    assert halving().survivors(0, results[:1], complete=True)


def test_a_stratum_that_has_sent_someone_on_needs_no_guard() -> None:
    front = [RungResult(n, 0.9 - 0.01 * n, 1e6 * (1.2 - 0.01 * n)) for n in range(6)]
    weak = [RungResult(10 + n, 0.1 + 0.01 * n, 9e7) for n in range(3)]
    rule = halving((1, 2), 3)
    assert 12 in rule.survivors(0, [*front, *weak])
    assert not {10, 11, 12} & set(rule.survivors(0, [*front, *weak], promoted={10}))


def test_a_decision_says_why() -> None:
    results = [RungResult(n, 0.1 * n, 2e6) for n in range(9)]
    rule = halving()
    assert "front 1, place 1 of 9" in rule.decide(0, 8, results).reason
    refused = rule.decide(0, 0, results)
    assert not refused.goes_on
    assert "of 9" in refused.reason


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
