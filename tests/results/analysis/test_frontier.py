"""The frontier: averages over seeds, dominance, and the growth of the hypervolume."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_train.measurement import Status
from results.analysis.frontier import candidates, frontier, knee, latest, pareto, within
from results.analysis.hypervolume import hypervolume_history
from results.analysis.measurements import fidelities
from tests.results.synthetic import fidelity, measured, measurement, member, whole_run

POINTS = st.lists(
    st.tuples(st.integers(1, 40).map(lambda k: k * 10**5), st.integers(0, 50).map(lambda k: k / 50)),
    max_size=40,
)


@given(POINTS)
def test_pareto_keeps_exactly_what_nothing_dominates(points: list[tuple[int, float]]) -> None:
    members = [member(str(index), macs, accuracy) for index, (macs, accuracy) in enumerate(points)]
    front = pareto(members)
    for one in front:
        for other in members:
            better = other.accuracy > one.accuracy or other.macs < one.macs
            assert not (other.accuracy >= one.accuracy and other.macs <= one.macs and better)
    for other in members:
        assert any(one.accuracy >= other.accuracy and one.macs <= other.macs for one in front)
    assert all(a.macs < b.macs and a.accuracy < b.accuracy for a, b in itertools.pairwise(front))


def test_of_equal_members_the_first_stays() -> None:
    assert [m.digest for m in pareto([member("a", 10, 0.5), member("b", 10, 0.5)])] == ["a"]


def test_mean_and_spread_are_over_seeds() -> None:
    tops = (0.5, 0.6, 0.9)
    rows = [measured("a", top, 1e6, seed=seed) for seed, top in enumerate(tops)] + [measured("b", 0.4, 1e5)]
    one, other = candidates(rows, rows[0].fidelity.key)
    assert one.accuracy == pytest.approx(statistics.fmean(tops))
    assert one.spread == pytest.approx(statistics.stdev(tops))
    assert (one.seeds, other.seeds, other.spread) == (3, 1, 0.0)
    assert (one.macs, one.parameters, one.state_bytes) == (1_000_000, 20_000, 1_000)


def test_a_repeated_measurement_counts_once() -> None:
    rows = [measured("a", 0.5, 1e6), measured("a", 0.5, 1e6)]
    assert candidates(rows, rows[0].fidelity.key)[0].seeds == 1


def test_fidelities_and_purposes_are_never_mixed() -> None:
    rows = [
        measured("low", 0.95, 1e5, epochs=2),
        measured("high", 0.5, 1e6, epochs=8),
        measured("sure", 0.7, 2e6, epochs=16, purpose="confirmation"),
        measured("final", 0.99, 1e4, epochs=32, purpose="family"),
    ]
    assert [m.digest for m in frontier(rows)] == ["high"]
    assert [m.digest for m in frontier(rows, fidelity=rows[0].fidelity.key)] == ["low"]
    assert [m.digest for m in frontier(rows, "confirmation")] == ["sure"]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_failures_are_not_on_the_frontier(status: Status) -> None:
    rows = [
        measurement("a", fidelity(8), status=status),
        measured("b", 0.9, 10, status=status),
        measured("c", 0.1, 1e6),
    ]
    assert [m.digest for m in frontier(rows)] == ["c"]


def test_a_candidate_counts_at_the_rung_that_it_reached() -> None:
    rows = [measured("a", 0.3, 1e6, epochs=2), measured("b", 0.5, 1e6, epochs=2)]
    assert [m.digest for m in candidates(rows, rows[0].fidelity.key)] == ["a", "b"]


def test_nothing_measured_gives_nothing() -> None:
    assert frontier([]) == []
    assert frontier([], "confirmation", "e4") == []
    assert latest([]) == []
    assert hypervolume_history([]).hypervolume == ()


def test_latest_takes_each_candidate_at_its_most_thorough_fidelity() -> None:
    rows = [
        measured("a", 0.9, 1e6, epochs=2),
        measured("a", 0.4, 1e6, epochs=8),
        measured("b", 0.2, 1e6, epochs=2),
    ]
    assert {m.digest: m.accuracy for m in latest(rows)} == {"a": 0.4, "b": 0.2}
    assert [f.key for f in fidelities(rows)] == ["e2-f16-s48-p100", "e8-f16-s48-p100"]


def test_hypervolume_only_grows_and_counts_every_evaluation() -> None:
    rows = whole_run()
    growth = hypervolume_history(rows)
    searched = [m for m in rows if m.purpose == "search" and m.status == "complete"]
    assert growth.evaluations == tuple(range(1, len(searched) + 1))
    assert growth.architectures[-1] == 48
    assert growth.seconds[-1] == pytest.approx(3.0 * len(searched))
    assert all(a <= b for a, b in itertools.pairwise(growth.hypervolume))
    assert 0 < growth.hypervolume[0] < growth.hypervolume[-1] < 1


def test_hypervolume_of_one_and_of_two_points() -> None:
    rows = [measured("a", 0.5, 1e6), measured("b", 1.0, 1e7)]
    first, second = hypervolume_history(rows).hypervolume
    # The box is one decade and a tenth wide: half of it at first, then the last tenth up to the top as well.
    assert first == pytest.approx(0.5)
    assert second == pytest.approx(0.5 + 0.5 * 0.1 / 1.1)


def test_knee_is_where_the_frontier_bends() -> None:
    members = [
        member("a", 10**5, 0.1),
        member("b", 2 * 10**5, 0.7),
        member("c", 10**6, 0.75),
        member("d", 10**7, 0.8),
    ]
    found = knee(members)
    assert found is not None
    assert found.digest == "b"
    assert knee(members[:2]) is None


def test_best_within_budgets() -> None:
    members = [member("a", 100, 0.2), member("b", 200, 0.4), member("worse", 210, 0.3), member("c", 900, 0.8)]
    found = within(members, {"tiny": 50, "small": 100, "middle": 500, "large": 1e6})
    assert {name: m.digest if m else None for name, m in found.items()} == {
        "tiny": None,
        "small": "a",
        "middle": "b",
        "large": "c",
    }


def test_networks_for_different_clips_are_compared_at_one_schedule() -> None:
    sizes = {"a": 8, "b": 16, "c": 24}
    made = [
        replace(each, fidelity=replace(each.fidelity, size=sizes[each.digest]))
        for each in (measured("a", 0.3, 1e5), measured("b", 0.6, 1e6), measured("c", 0.9, 1e7))
    ]
    assert [each.digest for each in frontier(made)] == ["a", "b", "c"]
