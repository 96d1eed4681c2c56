"""What every strategy owes: inside the window, never a duplicate, the same again for the same history."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from search_space.architecture import Architecture
from search_space.space import SearchSpace
from searcher.domain import Design, SpaceDomain
from searcher.settings import SearchSettings
from searcher.strategies import STRATEGIES, create
from searcher.strategy import Observation, SpaceExhaustedError, Strategy
from tests.searcher.tiny_driver import TINY_SPACE

SPACE = SearchSpace.from_dict(TINY_SPACE, "tiny").with_classes(16)
LOW, HIGH = (float(end) for end in SPACE.macs_range())


def make(name: str, seed: int = 0, low: float = LOW, high: float = HIGH) -> Strategy:
    return create(name, SpaceDomain(SPACE, {"macs": (low, high)}), seed=seed, startup=8)


def toy(architecture: Architecture) -> float:
    """More is better, and deep second stages a little more."""
    return 0.2 * math.log10(SPACE.macs(architecture)) - 0.8 + 0.02 * len(architecture.stages[1].layers)


def observed(
    design: Design, accuracy: float | None, rungs_left: int = 0, pending: bool = False
) -> Observation:
    values = None if accuracy is None else (1 - accuracy, math.log(design.cost))
    return Observation(design.genotype, design.cost, values, rungs_left, pending)


def simulate(
    strategy: Strategy,
    count: int,
    fate: Callable[[int, Architecture], float | None] = lambda _, a: toy(a),
) -> list[Architecture]:
    """Proposals, each answered at once; a fate of None is a failure."""
    history: list[Observation] = []
    proposed: list[Architecture] = []
    for number in range(count):
        found = strategy.propose(history, {each.digest for each in proposed})
        proposed.append(found.architecture)
        history.append(observed(found, fate(number, found.architecture), number % 3))
    return proposed


def test_the_names_are_those_of_the_settings() -> None:
    field = SearchSettings.model_fields["strategy"]
    assert set(STRATEGIES) == set(get_args(field.annotation))


@pytest.mark.parametrize("name", STRATEGIES)
def test_proposals_are_new_in_the_space_and_in_the_window(name: str) -> None:
    low, high = LOW * 1.5, HIGH / 2
    found = simulate(make(name, low=low, high=high), 30)
    assert len({each.digest for each in found}) == 30
    assert all(SPACE.contains(each) for each in found)
    assert all(low <= SPACE.macs(each) <= high for each in found)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_seed_proposes_the_same_in_the_same_order(name: str) -> None:
    assert simulate(make(name), 24) == simulate(make(name), 24)
    assert simulate(make(name), 24) != simulate(make(name, seed=1), 24)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_has_no_memory_of_its_own(name: str) -> None:
    """One that is made anew for every proposal, as after a restart, goes on in the same way."""
    together = simulate(make(name), 20)
    history: list[Observation] = []
    for number, expected in enumerate(together):
        found = make(name).propose(history, {each.digest for each in together[:number]})
        assert found.architecture == expected
        history.append(observed(found, toy(expected), number % 3))


@pytest.mark.parametrize("name", STRATEGIES)
def test_failed_pending_and_nan_trials_do_no_harm(name: str) -> None:
    fates: tuple[Callable[[Architecture], float | None], ...] = (toy, lambda a: None, lambda a: math.nan)
    found = simulate(make(name), 30, lambda number, a: fates[number % 3](a))
    assert len({each.digest for each in found}) == 30
    history = [Observation(SPACE.encode(each), SPACE.macs(each), None, pending=True) for each in found]
    assert make(name).propose(history, {each.digest for each in found}).architecture not in found


@pytest.mark.parametrize("name", STRATEGIES)
def test_workers_that_ask_before_anything_is_known_get_different_proposals(name: str) -> None:
    history: list[Observation] = []
    taken: set[str] = set()
    for _ in range(16):
        found = make(name).propose(history, taken)
        taken.add(found.digest)
        history.append(observed(found, None, pending=True))
    assert len(taken) == 16


@pytest.mark.parametrize("count", [8, 24])
def test_stratified_proposals_cover_the_cost_range(count: int) -> None:
    found = simulate(make("random"), count)
    places = sorted(math.log(SPACE.macs(each) / LOW) / math.log(HIGH / LOW) for each in found)
    gaps = np.diff([0.0, *places, 1.0])
    assert gaps.max() < 0.3


@pytest.mark.parametrize("name", ["tpe", "mutation", "nsga2"])
def test_learning_beats_stratified_random_on_a_space_with_a_taste(name: str) -> None:
    """Accuracy counts 3x3x3 kernels, which a random architecture seldom has everywhere."""

    def taste(architecture: Architecture) -> float:
        layers = list(itertools.chain.from_iterable(stage.layers for stage in architecture.stages))
        return sum(layer.kernel.time == 3 for layer in layers) / len(layers) * 0.5 + 0.05 * len(layers)

    def score(strategy: str, seed: int) -> float:
        found = simulate(make(strategy, seed), 50, lambda _, a: taste(a))
        return float(np.mean([taste(each) for each in found[25:]]))

    ours = np.mean([score(name, seed) for seed in range(3)])
    assert ours > np.mean([score("random", seed) for seed in range(3)]) + 0.03


def test_a_space_that_is_used_up_says_so() -> None:
    small = TINY_SPACE | {
        "stages": [stage | {"depth": [1], "kernel": ["1x3x3"]} for stage in TINY_SPACE["stages"]]
    }
    space = SearchSpace.from_dict(small, "small").with_classes(16)
    strategy = create("random", SpaceDomain(space), seed=0, startup=8)
    history: list[Observation] = []
    taken: set[str] = set()
    for _ in range(space.cardinality):
        found = strategy.propose(history, taken)
        taken.add(found.digest)
        history.append(observed(found, 0.5))
    assert len(taken) == space.cardinality
    with pytest.raises(SpaceExhaustedError, match=f"after {space.cardinality} proposals"):
        strategy.propose(history, taken)
