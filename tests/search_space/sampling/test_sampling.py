"""Sampling at a cost: inside the window, even over log-cost, distinct, the ends included, and unbiased."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from search_space.errors import SpaceError
from search_space.genes.reading import preset_names
from search_space.space.space import SearchSpace

Tiny = Callable[..., SearchSpace]


def _bins(space: SearchSpace, count: int = 7) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    low, high = space.macs_range()
    edges = np.geomspace(low, high, count + 1)
    edges[0], edges[-1] = low, high * (1 + 1e-9)
    return edges


def _check_stratified(space: SearchSpace, draws: int) -> None:
    rng = np.random.default_rng(7)
    drawn = space.sample_distinct(rng, draws)
    assert len(drawn) == len(set(drawn)) == draws
    shares = np.histogram([space.macs(a) for a in drawn], _bins(space))[0] / draws
    assert shares.min() >= 0.10 and shares.max() <= 0.19
    independent = [space.sample_at(rng) for _ in range(draws)]
    shares = np.histogram([space.macs(a) for a in independent], _bins(space))[0] / draws
    assert shares.min() >= 0.10 and shares.max() <= 0.19


@pytest.mark.parametrize("name", ["quickstart", "a0", "a2-stream"])
def test_seven_log_bins_are_even_and_draws_distinct(name: str) -> None:
    _check_stratified(SearchSpace.preset(name), 1_500)


@pytest.mark.slow
@pytest.mark.parametrize("name", preset_names())
def test_ten_thousand_draws_of_each_preset(name: str) -> None:
    _check_stratified(SearchSpace.preset(name), 10_000)


@pytest.mark.parametrize("name", preset_names())
def test_windows_hold_at_both_ends(name: str) -> None:
    space, rng = SearchSpace.preset(name), np.random.default_rng(3)
    low, high = space.macs_range()
    for start, end in ((low, high), (low, 1.05 * low), (0.97 * high, high), (2 * low, 2.002 * low)):
        for _ in range(10):
            network = space.sample_at(rng, start, end)
            assert start <= space.macs(network) <= end
            assert space.contains(network)


@pytest.mark.parametrize("name", preset_names())
def test_the_ends_can_be_drawn(name: str) -> None:
    space, rng = SearchSpace.preset(name), np.random.default_rng(0)
    low, high = space.macs_range()
    assert space.macs(space.smallest()) == low
    assert space.macs(space.largest()) == high
    assert space.macs(space.sample_at(rng, low, low)) == low
    assert space.macs(space.sample_at(rng, high, high)) == high
    assert space.macs(space.sample_at(rng, 0, low)) == low
    assert space.macs(space.sample_at(rng, high, 1e30)) == high


def test_the_ends_are_among_ordinary_draws(tiny: Tiny) -> None:
    space, rng = tiny(), np.random.default_rng(0)
    drawn = Counter(space.macs(space.sample_at(rng)) for _ in range(5_000))
    assert set(space.macs_range()) <= set(drawn)


def test_smallest_and_largest_are_those_of_the_list(tiny: Tiny) -> None:
    space = tiny()
    costs = [space.macs(network) for network in space.enumerate()]
    assert space.macs_range() == (min(costs), max(costs))


def test_all_of_a_small_space_is_drawn(tiny: Tiny) -> None:
    space, rng = tiny(), np.random.default_rng(1)
    everything = set(space.enumerate())
    low, high = sorted(space.macs(network) for network in everything)[100:160:59]
    inside = {network for network in everything if low <= space.macs(network) <= high}
    assert {space.sample_at(rng, low, high) for _ in range(40 * len(inside))} == inside
    assert set(space.sample_distinct(rng, len(inside), low, high)) <= inside


def test_draws_at_a_cost_are_spread_like_random_genotypes_of_that_cost() -> None:
    space, rng = SearchSpace.preset("quickstart"), np.random.default_rng(5)
    low, high = 2.0e6, 2.3e6
    uniform = [a for a in (space.sample(rng) for _ in range(4_000)) if low <= space.macs(a) <= high]
    drawn = [space.sample_at(rng, low, high) for _ in range(2_000)]
    for at, gene in enumerate(space.genes):
        if gene.name.endswith((".depth", ".width", ".expansion")):
            expected = np.bincount([space.encode(a)[at] for a in uniform], minlength=gene.choices) / len(
                uniform
            )
            found = np.bincount([space.encode(a)[at] for a in drawn], minlength=gene.choices) / len(drawn)
            assert np.abs(expected - found).max() < 0.12, gene.name


def test_the_distribution_over_costs_is_that_of_random_genotypes() -> None:
    space, rng = SearchSpace.preset("quickstart"), np.random.default_rng(6)
    edges = _bins(space)
    expected = space.sampler.distribution([0.0, *edges[1:-1], 1e12])
    found = np.histogram([space.macs(space.sample(rng)) for _ in range(4_000)], edges)[0] / 4_000
    assert sum(expected) == pytest.approx(1.0, abs=1e-3)
    assert np.abs(np.array(expected) - found).max() < 0.03


def test_same_seed_same_draws() -> None:
    first, second = (
        [SearchSpace.preset("a0").sample_at(np.random.default_rng(seed)).digest for seed in range(5)]
        for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == 5


def test_exclusions_are_not_drawn_again() -> None:
    space, rng = SearchSpace.preset("quickstart"), np.random.default_rng(0)
    known = space.sample_distinct(rng, 200, 2e6, 3e6)
    fresh = space.sample_distinct(np.random.default_rng(0), 200, 2e6, 3e6, exclude=known)
    assert len(fresh) == 200
    assert not set(known) & set(fresh)


@pytest.mark.parametrize("window", [(1, 10), (1e30, 2e30), (9e6, 8e6), (float("nan"), 1e7)])
def test_windows_outside_the_range_are_refused_with_the_range(window: tuple[float, float]) -> None:
    with pytest.raises(SpaceError, match="it goes from"):
        SearchSpace.preset("quickstart").sample_at(np.random.default_rng(0), *window)


def test_an_empty_gap_is_refused_rather_than_searched_for_ever(tiny: Tiny) -> None:
    space = tiny()
    costs = sorted({space.macs(network) for network in space.enumerate()})
    low, high = max(pairwise(costs), key=lambda pair: pair[1] - pair[0])
    with pytest.raises(SpaceError, match="no architecture"):
        space.sample_at(np.random.default_rng(0), low + 1, high - 1)


@pytest.mark.parametrize("name", ["quickstart", "a0-stream", "a2"])
def test_projection_is_the_identity_inside_and_small_outside(name: str) -> None:
    space, rng = SearchSpace.preset(name), np.random.default_rng(4)
    bottom, top = space.macs_range()
    for _ in range(10):
        network = space.sample(rng)
        cost = space.macs(network)
        assert space.project(network, 0.5 * cost, cost, rng) is network
        target = float(np.exp(rng.uniform(np.log(1.02 * bottom), np.log(0.98 * top))))
        moved = space.project(network, 0.99 * target, 1.01 * target, rng)
        assert 0.99 * target <= space.macs(moved) <= 1.01 * target
        near = space.project(network, 0.90 * cost, 0.97 * cost, rng)
        changed = sum(a != b for a, b in zip(space.encode(network), space.encode(near), strict=True))
        assert changed <= 8


@pytest.mark.parametrize("width", [1e-3, 1e-4])
def test_narrow_windows_are_hit(width: float) -> None:
    space, rng = SearchSpace.preset("a2"), np.random.default_rng(8)
    for budget in (2.6e9, 5.9e9, 11.6e9, 30e9):
        network = space.sample_at(rng, (1 - width) * budget, (1 + width) * budget)
        assert abs(space.macs(network) / budget - 1) <= width
