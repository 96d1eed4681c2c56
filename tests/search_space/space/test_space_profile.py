"""The profile of a space: its ends, its histogram, and which budgets it reaches."""

from __future__ import annotations

import pytest

from search_space.cost.closed_form import compute_cost
from search_space.errors import SpaceError
from search_space.space.profile import profile_space, released_budgets
from search_space.space.space import SearchSpace


def test_profile_of_the_quickstart_space() -> None:
    space = SearchSpace.preset("quickstart").with_classes(16)
    found = profile_space(space, {"small": 4.0e5, "large": 1.0e7}, samples=300)
    assert found.cardinality == space.cardinality
    assert found.genes == len(space.genes)
    assert (found.smallest, found.largest) == (space.smallest(), space.largest())
    assert found.costs[0].macs < found.costs[1].macs < found.costs[2].macs
    assert found.costs[1] == compute_cost(found.median, 16)
    assert len(found.bins) == 7
    assert sum(b.uniform for b in found.bins) == pytest.approx(1, abs=1e-3)
    assert sum(b.stratified for b in found.bins) == pytest.approx(1)
    assert all(0.08 < b.stratified < 0.21 for b in found.bins)
    assert max(b.uniform for b in found.bins) > 0.25
    assert [b.low for b in found.bins[1:]] == [b.high for b in found.bins[:-1]]
    for budget in found.budgets:
        assert budget.reachable
        assert budget.architecture is not None
        assert space.macs(budget.architecture) == pytest.approx(budget.macs, rel=0.02)
        assert not budget.limit


def test_budgets_out_of_reach_say_what_limits_them() -> None:
    small, large = profile_space(SearchSpace.preset("a0"), {"small": 1e6, "large": 1e13}, samples=10).budgets
    assert not small.reachable
    assert "smallest" in small.limit
    assert "size" in small.limit
    assert not large.reachable
    assert "largest" in large.limit
    assert "widths" in large.limit


def test_budgets_of_the_released_family() -> None:
    found = {
        budget.name: budget
        for budget in profile_space(SearchSpace.preset("a2"), released_budgets(), 10).budgets
    }
    assert [name for name, budget in found.items() if budget.reachable] == ["A0", "A1", "A2", "A3"]
    assert found["A2"].macs == pytest.approx(11.558e9, rel=1e-3)
    assert "largest" in found["A5"].limit


def test_same_seed_same_profile() -> None:
    first, second, other = (
        profile_space(SearchSpace.preset("t0"), samples=20, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert first.median != other.median


def test_family_budgets_are_in_reach_of_their_presets() -> None:
    for name, macs in {"a0": 2.7e9, "a2": 10.3e9, "a5": 281e9}.items():
        (budget,) = profile_space(SearchSpace.preset(name), {"paper": macs}, samples=1).budgets
        assert budget.reachable


def test_nonsense_is_refused() -> None:
    with pytest.raises(SpaceError, match="samples"):
        profile_space(SearchSpace.preset("a0"), samples=0)
    with pytest.raises(SpaceError, match="budget"):
        profile_space(SearchSpace.preset("a0"), {"none": 0.0}, samples=1)
