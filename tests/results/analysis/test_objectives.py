"""Frontiers over two and three objectives, hypervolumes in one box, attainment of several runs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_train.measurement import Measurement
from results.analysis.attainment import attainment
from results.analysis.candidates import Columns, MeasurementSet, objective_values
from results.analysis.frontier import frontier, knee, pareto, within
from results.analysis.hypervolume import hypervolume_history
from search_space.errors import SettingsError
from searcher.pareto import hypervolume
from tests.results.synthetic import fidelity, measured, measurement, member, whole_run

THREE = ("accuracy", "macs", "latency")
TRIPLES = st.lists(st.tuples(*[st.integers(1, 6)] * 3), min_size=1, max_size=40)


def timed(points: list[tuple[int, int, int]]) -> list[Measurement]:
    return [
        measurement(str(index), fidelity(8), {"top1": top / 10, "macs": float(macs), "latency_ms": float(ms)})
        for index, (top, macs, ms) in enumerate(points)
    ]


def beats(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return one != other and one[0] >= other[0] and one[1] <= other[1] and one[2] <= other[2]


@given(TRIPLES)
def test_three_objectives_keep_what_nothing_beats_in_all(points: list[tuple[int, int, int]]) -> None:
    found = {points[int(m.digest)] for m in frontier(timed(points), objectives=THREE)}
    assert found == {p for p in points if not any(beats(other, p) for other in points)}


def test_any_number_of_objectives_has_a_frontier_and_a_hypervolume() -> None:
    rows = whole_run()
    four = ("accuracy", "macs", "parameters", "state_bytes")
    # Parameters and states are proportional to multiply-adds here, so that nothing else is on the frontier.
    assert [m.digest for m in frontier(rows, objectives=four)] == [m.digest for m in frontier(rows)]
    history = hypervolume_history(rows, objectives=four).hypervolume
    assert 0 < history[0] <= history[-1] < hypervolume_history(rows).hypervolume[-1]


def test_what_breaks_a_limit_adds_no_volume() -> None:
    rows = timed([(9, 5, 6), (5, 5, 2), (4, 2, 1)])
    limited = hypervolume_history(rows, constraints={"latency_ms": 5})
    assert limited.hypervolume[0] == 0 < limited.hypervolume[1]
    assert limited.hypervolume[-1] == hypervolume_history(rows[1:]).hypervolume[-1]


def test_a_frontier_of_thousands_is_that_of_a_slow_reference() -> None:
    rng = np.random.default_rng(3)
    points = [(int(a), int(b), int(c)) for a, b, c in rng.integers(1, 400, (4000, 3))]
    found = {points[int(m.digest)] for m in frontier(timed(points), objectives=THREE)}
    assert found == {p for p in points if not any(beats(other, p) for other in points)}


@pytest.mark.parametrize("objectives", [("accuracy", "macs"), THREE])
def test_hypervolume_after_every_evaluation_is_that_of_the_points_so_far(objectives: tuple[str, ...]) -> None:
    rng = np.random.default_rng(1)
    rows = timed([(int(a), int(b), int(c)) for a, b, c in rng.integers(1, 9, (700, 3))])
    grown = hypervolume_history(rows, objectives=objectives)
    values = np.log(np.array([[r.metrics["macs"], r.metrics["latency_ms"]] for r in rows]))
    values = (values - values.min(axis=0)) / (1.1 * np.ptp(values, axis=0))
    box = np.column_stack([[1 - r.metrics["top1"] for r in rows], values])[:, : len(objectives)]
    for count in (1, 2, 5, 50, 513, 700):
        expected = hypervolume(box[:count], (1.0,) * len(objectives))
        assert grown.hypervolume[count - 1] == pytest.approx(expected)


def test_runs_that_share_a_box_can_be_compared() -> None:
    small, large = [measured("a", 0.5, 1e5)], [measured("b", 0.5, 1e7)]
    alone = [hypervolume_history(run).hypervolume[-1] for run in (small, large)]
    together = [hypervolume_history(run, among=small + large).hypervolume[-1] for run in (small, large)]
    assert alone[0] == alone[1]
    assert together[0] > 5 * together[1] > 0


@pytest.mark.parametrize(
    "objectives", [("accuracy",), ("accuracy", "speed"), ("accuracy", "macs", "macs"), ("macs",) * 4]
)
def test_objectives_that_cannot_be_are_refused(objectives: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="objectives"):
        frontier(whole_run(), objectives=objectives)
    with pytest.raises(SettingsError, match="objectives"):
        hypervolume_history(whole_run(), objectives=objectives)


def test_an_objective_that_nobody_measured_is_named() -> None:
    with pytest.raises(SettingsError, match="latency"):
        frontier(whole_run(), objectives=THREE)
    with pytest.raises(SettingsError, match="latency"):
        hypervolume_history(whole_run(), objectives=THREE)


def test_who_lacks_an_objective_is_left_out() -> None:
    rows = [*timed([(5, 10, 10)]), measured("untimed", 0.9, 5)]
    assert [m.digest for m in frontier(rows, objectives=THREE)] == ["0"]
    assert [m.digest for m in frontier(rows)] == ["untimed"]


def test_knee_and_budgets_work_on_any_cost() -> None:
    members = pareto(
        list(Columns.of(timed([(1, 9, 1), (7, 8, 2), (8, 7, 9), (9, 6, 99)])).latest()),
        ("accuracy", "latency"),
    )
    bend = knee(members, "latency")
    assert bend is not None and bend.accuracy == 0.7
    found = within(members, {"fast": 3, "none": 0.5}, "latency")
    assert found["fast"] == bend and found["none"] is None


def test_means_over_seeds_hold_for_every_metric() -> None:
    rows = [
        measurement("a", fidelity(8), {"top1": 0.5, "macs": 10.0, "latency_ms": ms}, s)
        for s, ms in enumerate((2, 4))
    ]
    found = Columns.of(rows).latest()
    assert objective_values(found, THREE).tolist() == [[0.5, 10.0, 3.0]]
    assert found[0].metrics["latency_ms"] == 3.0
    assert found[-1] == found[0] and found[:1] == [found[0]]


def test_attainment_of_three_runs() -> None:
    runs = [
        [member("a", 10, 0.5), member("b", 100, 0.9)],
        [member("c", 20, 0.6)],
        [member("d", 10, 0.4), member("e", 50, 0.7)],
    ]
    best, median, worst = attainment(runs)
    assert (best.runs, median.runs, worst.runs) == (1, 2, 3)
    assert dict(zip(best.costs, best.accuracies, strict=True)) == {10: 0.5, 20: 0.6, 50: 0.7, 100: 0.9}
    assert dict(zip(median.costs, median.accuracies, strict=True)) == {10: 0.4, 20: 0.5, 50: 0.6, 100: 0.7}
    assert dict(zip(worst.costs, worst.accuracies, strict=True)) == {20: 0.4, 50: 0.5, 100: 0.6}


@given(
    st.lists(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9)), min_size=1), min_size=2, max_size=5)
)
def test_attainment_surfaces_rise_and_never_cross(runs: list[list[tuple[int, int]]]) -> None:
    surfaces = attainment(
        [pareto([member(str(i), m, a / 10) for i, (m, a) in enumerate(run)]) for run in runs]
    )
    for surface in surfaces:
        assert all(a <= b for a, b in itertools.pairwise(surface.accuracies))
        for cost, accuracy in zip(surface.costs, surface.accuracies, strict=True):
            reach = [max((a / 10 for m, a in run if m <= cost), default=-1) for run in runs]
            assert sum(each >= accuracy for each in reach) >= surface.runs


def test_one_run_attains_nothing() -> None:
    with pytest.raises(SettingsError, match="at least two"):
        attainment([[member("a", 10, 0.5)], []])


def test_a_set_of_measurements_keeps_its_columns_and_a_list_does_not() -> None:
    rows = whole_run()
    fixed = MeasurementSet(rows)
    assert list(fixed) == rows and fixed[1:3] == tuple(rows[1:3]) and len(fixed) == len(rows)
    assert Columns.of(fixed, "search") is Columns.of(fixed, "search")
    assert len(Columns.of(fixed, "confirmation").rows) == 36
    before = len(Columns.of(rows, "search").rows)
    rows.append(measured("later", 0.5, 1e6))
    assert len(Columns.of(rows, "search").rows) == before + 1
    assert len(Columns.of(fixed, "search").rows) == before
