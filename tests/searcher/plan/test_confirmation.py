"""Who is confirmed, and what the means say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from searcher.objectives import Objectives
from searcher.plan.confirmation import choose_members, longest_confirmation, longest_epochs, summarise
from searcher.record.candidate import Candidate


def candidate(number: int, macs: int, results: dict[int, float]) -> Candidate:
    metrics: dict[int, Mapping[str, float]] = {
        epochs: {"top1": top1, "macs": float(macs)} for epochs, top1 in results.items()
    }
    return Candidate(number, (), f"{number:016x}", f"text-{number}", macs, "pruned", metrics)


def confirmed(number: int, seed: int, top1: float, macs: float = 1e6, epochs: int = 6) -> Measurement:
    return Measurement(
        f"{number:016x}",
        f"text-{number}",
        Fidelity(epochs, 4, 16),
        seed,
        "confirmation",
        "complete",
        {"top1": top1, "macs": macs},
    )


def test_the_frontier_goes_first_then_what_is_near_it() -> None:
    front = [candidate(n, 10**6 * 2**n, {8: 0.5 + 0.1 * n}) for n in range(3)]
    near = [candidate(3, 10**6 * 3, {8: 0.55}), candidate(4, 10**6 * 5, {8: 0.4})]
    short = [candidate(5, 10**6, {2: 0.99})]
    chosen = choose_members([*short, *near, *front], 4)
    assert [each.number for each in chosen] == [0, 1, 3, 2]
    assert {each.number for each in choose_members([*short, *near, *front], 99)} == set(range(6))


def test_a_front_that_does_not_fit_is_thinned_over_the_cost() -> None:
    front = [candidate(n, int(1e6 * 10 ** (n / 10)), {8: 0.05 * n}) for n in range(11)]
    chosen = choose_members(front, 3)
    assert [each.number for each in chosen] == [0, 5, 10]


def test_failed_and_unknown_candidates_are_never_chosen() -> None:
    broken = candidate(0, 10**6, {8: 0.9})
    broken.state = "failed"
    assert choose_members([broken, candidate(1, 10**6, {})], 5) == []


def test_means_spread_and_frontier() -> None:
    measurements = [
        confirmed(0, 1, 0.50, 1e6),
        confirmed(0, 2, 0.54, 1e6),
        confirmed(1, 1, 0.51, 2e6),
        confirmed(2, 1, 0.80, 3e6),
        confirmed(2, 2, 0.82, 3e6),
        confirmed(2, 1, 0.99, 3e6, epochs=2),
    ]
    found = summarise(measurements, 6)
    assert [each.macs for each in found] == [1_000_000, 2_000_000, 3_000_000]
    assert [each.on_frontier for each in found] == [True, False, True]
    assert found[0].mean == pytest.approx(0.52)
    assert found[0].std == pytest.approx(0.04 / math.sqrt(2))
    assert (found[1].std, found[1].count) == (None, 1)
    # Pooled: two degrees of freedom, a standard deviation of about 0.022.
    assert found[1].ties == (found[0].digest,)
    assert found[2].ties == found[0].ties == ()


def test_chances_are_those_of_the_frontier_of_true_means() -> None:
    apart = [confirmed(n, seed, 0.3 + 0.2 * n, 10.0**n) for n in range(3) for seed in range(9)]
    assert [round(each.chance, 2) for each in summarise(apart, 6)] == [1, 1, 1]
    even = [confirmed(n, 1, 0.5, 10.0 ** (6 + n)) for n in range(2)]
    first, second = summarise(even, 6)
    assert first.chance == 1 and second.chance == pytest.approx(0.5, abs=0.01)
    assert longest_confirmation([*even, confirmed(0, 1, 0.9, epochs=2)]) == (first, second)
    limits = Objectives(("accuracy", "macs"), {"latency_ms": 5})
    slow = [replace(each, metrics={**each.metrics, "latency_ms": 4.0 + 2 * n}) for n, each in enumerate(even)]
    assert [each.chance for each in summarise(slow, 6, limits)] == [1, 0]


def test_single_trainings_tie_with_nobody_since_nothing_is_known_of_their_spread() -> None:
    found = summarise([confirmed(0, 1, 0.5), confirmed(1, 1, 0.5001, 2e6)], 6)
    assert [each.ties for each in found] == [(), ()]
    assert summarise([], 6) == ()


def test_the_longest_confirmation_is_one_that_succeeded() -> None:
    short = [
        confirmed(number, seed, 0.5 + 0.1 * number, 1e6 + number) for number in range(3) for seed in (1, 2)
    ]
    failed = replace(confirmed(0, 3, 0.0, epochs=9), status="failed", metrics={}, reason="killed")
    assert longest_epochs([*short, failed]) == 6 and longest_epochs([failed]) == 0
    assert longest_confirmation([*short, failed]) == longest_confirmation(short)
    assert len(longest_confirmation(short)) == 3
