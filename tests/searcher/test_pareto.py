"""Pareto arithmetic against definitions, closed forms, and a second way to count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searcher.pareto import best_first, crowding, hypervolume, non_dominated, ranks

NUMBERS = st.integers(0, 6).map(float)


def clouds(columns: int, *, least: int = 1) -> st.SearchStrategy[list[tuple[float, ...]]]:
    """Small integer points, so that ties and repeats are common."""
    return st.lists(st.tuples(*[NUMBERS] * columns), min_size=least, max_size=25)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_non_dominated_is_the_definition(columns: int) -> None:
    @given(clouds(columns))
    def check(points: list[tuple[float, ...]]) -> None:
        expected = [not any(dominates(other, point) for other in points) for point in points]
        assert non_dominated(points).tolist() == expected

    check()


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_ranks_peel_fronts_off(columns: int) -> None:
    @given(clouds(columns))
    def check(points: list[tuple[float, ...]]) -> None:
        found = ranks(points)
        left = list(range(len(points)))
        for rank in range(int(found.max()) + 1):
            front = [left[i] for i in np.flatnonzero(non_dominated([points[i] for i in left]))]
            assert front == np.flatnonzero(found == rank).tolist()
            left = [i for i in left if i not in front]
        assert not left

    check()


def test_a_point_with_nan_is_on_no_front() -> None:
    points = [(1.0, 1.0), (math.nan, 0.0), (2.0, 2.0), (0.0, math.nan)]
    assert non_dominated(points).tolist() == [True, False, False, False]
    assert ranks(points).tolist() == [0, 2, 1, 2]
    assert crowding(points)[[1, 3]].tolist() == [0.0, 0.0]
    assert hypervolume(points, (3, 3)) == 4.0


def test_infinite_points_are_ordered_like_others() -> None:
    points = [(math.inf, 0.0), (0.0, math.inf), (math.inf, math.inf), (-math.inf, 5.0)]
    assert non_dominated(points).tolist() == [True, False, False, True]


def test_nothing_gives_nothing() -> None:
    empty = np.empty((0, 2))
    assert non_dominated(empty).shape == ranks(empty).shape == crowding(empty).shape == (0,)
    assert hypervolume([], (1, 1)) == 0.0


def test_crowding_of_a_front() -> None:
    # Neighbours of the second point: (0, 4) and (3, 1) on ranges 4 and 4.
    points = [(0, 4), (1, 2), (3, 1), (4, 0)]
    assert crowding(points).tolist() == [math.inf, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, math.inf]


def test_best_first_orders_by_rank_then_room_then_position() -> None:
    points = [(5, 5), (0, 4), (1, 2), (3, 1), (4, 0), (5, 5)]
    assert best_first(points).tolist() == [1, 4, 2, 3, 0, 5]


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([(0, 0)], (2, 3), 6),
        ([(0, 1), (1, 0)], (2, 2), 3),
        ([(0, 1), (1, 0), (1, 1), (0, 1)], (2, 2), 3),
        ([(2, 0), (0, 2), (3, 3)], (2, 2), 0),
        ([(0, 0, 0)], (1, 2, 3), 6),
        ([(0, 1, 1), (1, 0, 1), (1, 1, 0)], (2, 2, 2), 4),
        # Three slabs, each a third of the unit cube thick, that overlap: 1 - (2/3)^3.
        ([(0, 0, 2 / 3), (0, 2 / 3, 0), (2 / 3, 0, 0)], (1, 1, 1), 1 - (2 / 3) ** 3),
        ([(0, 0, 0.5), (0, 0, 0.2)], (1, 1, 1), 0.8),
    ],
)
def test_hypervolume_closed_forms(
    points: list[tuple[float, ...]], reference: tuple[float, ...], volume: float
) -> None:
    assert hypervolume(points, reference) == pytest.approx(volume)


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_hypervolume_counts_unit_cells(columns: int) -> None:
    @given(clouds(columns))
    def check(points: list[tuple[float, ...]]) -> None:
        cells = itertools.product(range(7), repeat=columns)
        covered = sum(
            any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points) for cell in cells
        )
        assert hypervolume(points, [7] * columns) == pytest.approx(covered)

    check()


def swept(points: np.ndarray, corner: list[float]) -> float:
    """The volume by its definition: a sweep along the last column over the volumes of the others."""
    if len(corner) == 1:
        return float(corner[0] - points.min()) if len(points) else 0.0
    points = points[np.argsort(points[:, -1], kind="stable")]
    heights = [*points[:, -1], corner[-1]]
    volume = 0.0
    for place, (low, above) in enumerate(itertools.pairwise(heights)):
        if above > low:
            volume += (above - low) * swept(points[: place + 1, :-1], corner[:-1])
    return volume


@pytest.mark.parametrize("columns", [2, 3, 4])
@pytest.mark.parametrize("kind", ["cloud", "front", "ties"])
def test_hypervolume_is_that_of_a_second_implementation(columns: int, kind: str) -> None:
    """On clouds, on points that are all on the front, and on coarse grids full of ties."""
    rng = np.random.default_rng(columns)
    for count in (1, 2, 7, 40) if columns == 4 else (1, 2, 7, 60, 300):
        points = rng.random((count, columns))
        if kind == "front":
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            points = 1 - points
        if kind == "ties":
            points = np.round(points * 4) / 4
        reference = [0.9] * columns
        expected = swept(points[(points < reference).all(axis=1)], reference)
        assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_infinite_points_have_ranks_and_volumes() -> None:
    points = [(-math.inf, 1.0), (0.0, 0.0), (-math.inf, 0.5), (math.inf, -1.0), (math.nan, 0.0)]
    assert ranks(points).tolist() == [1, 0, 0, 0, 2]
    assert hypervolume(points, (2, 2)) == math.inf
    assert hypervolume(points[1:2] + points[3:], (2, 2)) == 4.0


@given(clouds(2), st.permutations(range(25)), st.floats(0.1, 10), st.floats(-5, 5))
def test_ranks_and_fronts_do_not_depend_on_order_or_units(
    points: list[tuple[float, ...]], order: list[int], factor: float, shift: float
) -> None:
    places = [place for place in order if place < len(points)]
    array = np.array(points)
    shuffled = (array * [factor, 1] + [0, shift])[places]
    assert ranks(shuffled).tolist() == ranks(array)[places].tolist()
    assert non_dominated(shuffled).tolist() == non_dominated(array)[places].tolist()


@given(clouds(3))
def test_only_the_front_has_volume_and_dominated_points_add_none(points: list[tuple[float, ...]]) -> None:
    array = np.array(points)
    front = array[non_dominated(array)]
    assert hypervolume(front, (7, 7, 7)) == pytest.approx(hypervolume(array, (7, 7, 7)))
    worse = np.vstack([array, front + 0.5])
    assert hypervolume(worse, (7, 7, 7)) == pytest.approx(hypervolume(array, (7, 7, 7)))
    # Whatever is on the front is the only reason for some of the volume, unless it has a twin.
    distinct = np.unique(front, axis=0)
    for index in range(len(distinct)):
        rest = np.delete(distinct, index, axis=0)
        assert hypervolume(rest, (7, 7, 7)) < hypervolume(distinct, (7, 7, 7))


@given(clouds(2))
def test_the_first_of_best_first_are_whole_fronts(points: list[tuple[float, ...]]) -> None:
    found = ranks(points)[best_first(points)]
    assert (np.diff(found) >= 0).all()


@given(clouds(3, least=2))
def test_hypervolume_never_falls_with_another_point(points: list[tuple[float, ...]]) -> None:
    assert hypervolume(points, (7, 7, 7)) >= hypervolume(points[1:], (7, 7, 7))


def test_hypervolume_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="4 columns need as many references, not 3"):
        hypervolume([(1, 1, 1, 1)], (2, 2, 2))
    with pytest.raises(ValueError, match="2 columns need as many references, not 3"):
        hypervolume([(1, 1)], (2, 2, 2))
    with pytest.raises(ValueError, match="shape"):
        non_dominated([1.0, 2.0])


def test_large_clouds_are_ranked_whole() -> None:
    points = np.random.default_rng(0).random((100_000, 2))
    mask = non_dominated(points)
    front = points[mask]
    front = front[np.argsort(front[:, 0])]
    assert (np.diff(front[:, 1]) < 0).all()
    beaten = (front[:, None, :] <= points[~mask][None, :2000]).all(axis=2).any(axis=0)
    assert beaten.all()
