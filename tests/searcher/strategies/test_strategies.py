"""What every strategy owes on every domain: inside windows, never a repeat, the same for the same past."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from search_space.cost.closed_form import compute_cost
from search_space.errors import SpaceError
from search_space.space.space import SearchSpace
from searcher.settings.settings import SearchSettings
from searcher.simulation.simulation import Simulation, replay_events
from searcher.simulation.table import TableDomain
from searcher.simulation.yardsticks import SyntheticYardstick, TableYardstick
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import Observation
from searcher.strategies.predictor.predictor import Predictor
from searcher.strategies.registry import STRATEGIES, create
from searcher.strategies.space_domain import SpaceDomain
from searcher.strategies.strategy import SpaceExhaustedError, Strategy, StratifiedRandom
from tests.searcher.domains import DOMAINS, HIGH, LOW, SPACE, make_domain, observed, tiny_table, values
from tests.searcher.tiny_driver import TINY_SPACE

STARTUP = 8
Fate = Callable[[int, Design], Observation]


def make(name: str, domain: Domain, seed: int = 0) -> Strategy:
    return create(name, domain, seed=seed, startup=STARTUP)


def enough(name: str) -> int:
    """Proposals that reach beyond the startup; Optuna's Gaussian processes take seconds for each."""
    return STARTUP + 1 if name == "gp" else 22


def kinds(name: str) -> tuple[str, ...]:
    """Domains to try a strategy on."""
    return ("space", "table") if name == "gp" else DOMAINS


def good(number: int, design: Design) -> Observation:
    """Measured at once, some on lower rungs."""
    return observed(design, values(design), number % 3)


def run(strategy: Strategy, count: int, fate: Fate = good) -> tuple[list[Design], list[Observation]]:
    """Proposals, each answered at once."""
    history: list[Observation] = []
    found: list[Design] = []
    for number in range(count):
        found.append(strategy.propose(history, {each.digest for each in found}))
        history.append(fate(number, found[-1]))
    return found, history


def genotypes(designs: list[Design]) -> list[tuple[int, ...]]:
    return [each.genotype for each in designs]


def test_the_names_are_those_of_the_settings() -> None:
    assert set(STRATEGIES) == set(get_args(SearchSettings.model_fields["strategy"].annotation))


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in STRATEGIES for kind in kinds(name)])
def test_proposals_are_new_inside_the_windows_and_canonical(name: str, kind: str) -> None:
    domain = make_domain(kind)
    found, _ = run(make(name, domain), enough(name))
    assert len({each.digest for each in found}) == len(set(genotypes(found))) == len(found)
    assert all(domain.inside(each) for each in found)
    assert all(domain.window[0] <= each.cost <= domain.window[1] for each in found)
    assert all(domain.design(each.genotype).genotype == each.genotype for each in found)
    if kind == "three objectives":
        assert all(
            compute_cost(SPACE.decode(each.genotype), SPACE.classes).parameters <= 15_000 for each in found
        )


@pytest.mark.parametrize("kind", ["space", "table"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_seed_proposes_the_same_and_a_restart_goes_on_in_the_same_way(name: str, kind: str) -> None:
    domain = make_domain(kind)
    found, history = run(make(name, domain), enough(name))
    for number in {3, STARTUP, enough(name) - 1}:
        again = make(name, make_domain(kind))
        before = {each.digest for each in found[:number]}
        assert again.propose(history[:number], before).genotype == found[number].genotype
    other = make(name, domain, seed=1)
    assert genotypes(run(other, STARTUP)[0]) != genotypes(found[:STARTUP])


@pytest.mark.parametrize("name", STRATEGIES)
def test_failed_lost_nan_and_infeasible_trials_do_no_harm(name: str) -> None:
    def fate(number: int, design: Design) -> Observation:
        right = values(design)
        broken = (
            None,
            tuple(math.nan for _ in right),
            (right[0], math.inf, *right[2:]),
            right,
            right,
        )[number % 5]
        return observed(design, broken, bad=0.5 * (number % 5 == 4))

    domain = make_domain("space" if name == "gp" else "three objectives")
    found, history = run(make(name, domain), enough(name), fate)
    assert len(set(genotypes(found))) == len(found)
    # Workers that were lost leave proposals that nobody hears of again.
    history += [observed(each, None, pending=True) for each in found]
    strategy = make(name, domain)
    assert domain.inside(strategy.propose(history, {each.digest for each in found}))
    only_failures = [observed(each, None) for each in found]
    assert domain.inside(strategy.propose(only_failures, {each.digest for each in found}))


@pytest.mark.parametrize("name", STRATEGIES)
def test_workers_that_ask_at_once_get_different_proposals(name: str) -> None:
    domain = make_domain("space")
    found, history = run(make(name, domain), STARTUP)
    for _ in range(2 if name == "gp" else 12):
        # Every worker's driver could be a new one: pending proposals are all that it knows.
        found.append(make(name, domain).propose(history, {each.digest for each in found}))
        history.append(observed(found[-1], None, pending=True))
    assert len(set(genotypes(found))) == len(found)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_domain_that_is_used_up_says_so(name: str) -> None:
    domain = TableDomain(tiny_table(), (10.0, 16.0 if name != "gp" else 12.0))
    strategy = make(name, domain)
    inside = list(domain.enumerate())
    found, history = run(strategy, len(inside))
    assert set(genotypes(found)) == set(genotypes(inside))
    with pytest.raises(SpaceExhaustedError, match=f"after {len(inside)} proposals"):
        strategy.propose(history, {each.digest for each in found})


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "gp"])
def test_a_search_is_replayed_from_the_order_in_which_measurements_came_in(name: str) -> None:
    yardstick = TableYardstick(tiny_table(rungs=2))
    found = Simulation(yardstick, make(name, yardstick.domain), 24, workers=5, reduction=2).run()
    again = replay_events(make(name, yardstick.domain), found.events, yardstick.rungs)
    assert genotypes(again) == genotypes(found.designs)
    ends = [event.number for event in found.events if event.rung >= 0]
    assert ends != sorted(ends)


def test_a_space_that_is_used_up_says_so() -> None:
    small = TINY_SPACE | {
        "stages": [stage | {"depth": [1], "kernel": ["1x3x3"]} for stage in TINY_SPACE["stages"]]
    }
    space = SearchSpace.from_dict(small, "small").with_classes(16)
    strategy = make("random", SpaceDomain(space))
    found, history = run(strategy, space.cardinality)
    assert len({each.digest for each in found}) == space.cardinality
    with pytest.raises(SpaceExhaustedError, match=f"after {space.cardinality} proposals"):
        strategy.propose(history, {each.digest for each in found})


def test_windows_that_exclude_each_other_are_refused() -> None:
    domain = SpaceDomain(SPACE, {"macs": (HIGH / 1.2, HIGH), "parameters": (0.0, 500.0)})
    with pytest.raises(SpaceError, match=r"parameters.*multiply-adds"):
        make("random", domain).propose([], set())
    with pytest.raises(SpaceError, match="space has none there"):
        SpaceDomain(SPACE, {"macs": (2 * HIGH, 3 * HIGH)})
    with pytest.raises(SpaceError, match="a window on latency"):
        SpaceDomain(SPACE, {"latency": (0.0, 1.0)})
    with pytest.raises(SpaceError, match="objectives macs, accuracy"):
        SpaceDomain(SPACE, objectives=("macs", "accuracy"))


@pytest.mark.parametrize("count", [8, 24])
def test_stratified_proposals_cover_the_cost_range(count: int) -> None:
    found, _ = run(make("random", SpaceDomain(SPACE)), count)
    places = sorted(math.log(each.cost / LOW) / math.log(HIGH / LOW) for each in found)
    assert np.diff([0.0, *places, 1.0]).max() < 0.3


@pytest.mark.parametrize(("name", "margin"), [("predictor", 0.04), ("tpe", 0.0)])
def test_learning_beats_stratified_random(name: str, margin: float) -> None:
    def score(strategy: str, seed: int) -> float:
        yardstick = SyntheticYardstick(seed)
        search = Simulation(yardstick, make(strategy, yardstick.domain, seed), 60, seed=seed).run()
        return search.scores[60]

    gains = [score(name, seed) - score("random", seed) for seed in range(2)]
    assert np.mean(gains) > margin


def test_the_predictor_stands_back_where_cost_says_more_than_it_does() -> None:
    """Accuracy is all compute_cost: nothing ranks better, and the other strategy proposes."""
    domain = make_domain("space")

    def by_cost(_: int, design: Design) -> Observation:
        return observed(design, (1 / math.log(design.cost), math.log(design.cost)))

    strategy = make("predictor", domain)
    assert isinstance(strategy, Predictor)
    found, history = run(strategy, 20, by_cost)
    assert strategy.quality is not None
    assert strategy.quality.baseline == 1.0 and not strategy.quality.trusted
    other = make("tpe", domain).propose(history[:-1], {each.digest for each in found[:-1]})
    assert other.genotype == found[-1].genotype


def test_strategies_forget_nothing_that_another_history_needs() -> None:
    """One object may be shown a shorter history, or one with other measurements."""
    domain = make_domain("space")
    used, (found, history) = make("predictor", domain), run(make("predictor", domain), 18)
    taken = {each.digest for each in found}
    used.propose(history, taken)
    changed = [observed(each, values(each)[::-1]) for each in found[:12]]
    shorter = {each.digest for each in found[:12]}
    fresh = make("predictor", domain).propose(changed, shorter)
    assert used.propose(changed, shorter).genotype == fresh.genotype


def test_stratified_random_is_what_a_search_begins_with() -> None:
    domain = make_domain("space")
    first = genotypes(run(make("predictor", domain), STARTUP)[0])
    assert first == genotypes(run(StratifiedRandom(domain, 0, STARTUP), STARTUP)[0])
