"""Every strategy keeps the contract; and what only some of them promise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from search_space.cost.closed_form import compute_cost
from search_space.errors import SettingsError, SpaceError
from search_space.space.space import SearchSpace
from searcher.settings.checks import check_settings
from searcher.simulation.simulation import Simulation
from searcher.simulation.yardsticks import SyntheticYardstick
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import Observation
from searcher.strategies.predictor.predictor import Predictor
from searcher.strategies.registry import create_strategy, register_strategy, strategy_class, strategy_names
from searcher.strategies.space_domain import SpaceDomain
from searcher.strategies.strategy import SpaceExhaustedError, Strategy, StratifiedRandom
from searcher.testing.domains import HIGH, LOW, SPACE, TINY_SPACE, make_domain, observed, values
from searcher.testing.strategy_contract import STARTUP, StrategyContract, genotypes
from searcher.testing.strategy_contract import propose_in_turn as run
from tests.searcher.searching import finished
from tests.searcher.tiny_driver import tiny_settings


def make(name: str, domain: Domain, seed: int = 0) -> Strategy:
    return create_strategy(name, domain, seed=seed, startup=STARTUP)


class TestTpe(StrategyContract):
    strategy = "tpe"


class TestRandom(StrategyContract):
    strategy = "random"


class TestMutation(StrategyContract):
    strategy = "mutation"


class TestAging(StrategyContract):
    strategy = "aging"


class TestNsga2(StrategyContract):
    strategy = "nsga2"


class TestNsga3(StrategyContract):
    strategy = "nsga3"


class TestPredictor(StrategyContract):
    strategy = "predictor"


class TestTunas(StrategyContract):
    strategy = "tunas"


class TestGaussianProcess(StrategyContract):
    """Optuna's Gaussian processes take seconds for each proposal beyond the startup."""

    strategy = "gp"
    proposals = STARTUP + 1
    domains = ("space", "table")


class CheapestFirst(StratifiedRandom):
    """A strategy of somebody else."""

    def idea(self, history: object, rng: np.random.Generator) -> Design:
        return self.domain.random(rng, self.low, 2 * self.low)


class TestOneOfSomebodyElse(StrategyContract):
    strategy = f"{__name__}:CheapestFirst"


def test_every_strategy_is_under_contract() -> None:
    contracts = StrategyContract.__subclasses__()
    assert {contract.strategy for contract in contracts} >= set(strategy_names())


def test_a_search_takes_a_strategy_from_outside(tmp_path: Path) -> None:
    path = f"{__name__}:CheapestFirst"
    assert tiny_settings(tmp_path, strategy=path).search.strategy == path
    records = finished(tmp_path, strategy=path, trials=12, startup=4)
    later = [candidate.macs for candidate in records.candidates()[4:]]
    assert np.median(later) < 2.2 * LOW


def test_a_registered_strategy_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no strategy 'cheapest'.*predictor.*my_package"):
        strategy_class("cheapest")
    register_strategy("cheapest", CheapestFirst)
    register_strategy("cheapest", CheapestFirst)
    assert strategy_class("cheapest") is CheapestFirst and "cheapest" in strategy_names()
    assert tiny_settings(tmp_path, strategy="cheapest").search.strategy == "cheapest"
    with pytest.raises(SettingsError, match="there is a strategy 'tpe' already"):
        register_strategy("tpe", CheapestFirst)
    with pytest.raises(SettingsError, match="no colon"):
        register_strategy("a:b", CheapestFirst)
    with pytest.raises(SettingsError, match="'number' is not a strategy"):
        register_strategy("number", cast("type[Strategy]", int))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at_all:Mine", r"'nowhere.at_all:Mine' cannot be imported: No module named 'nowhere'"),
        ("math:Mine", "'math:Mine' cannot be imported: .*no attribute 'Mine'"),
        ("math:pi", "'math:pi' is not a strategy but 3.14"),
    ],
)
def test_a_strategy_that_is_none_is_refused_before_work_starts(
    name: str, message: str, tmp_path: Path
) -> None:
    settings = tiny_settings(tmp_path, strategy=name, workers=1)
    with pytest.raises(SettingsError, match=message):
        check_settings(settings)


def test_windows_on_other_costs_hold() -> None:
    domain = make_domain("three objectives")
    designs, _ = run(make("predictor", domain), 22)
    costs = [compute_cost(SPACE.decode(design.genotype), SPACE.classes) for design in designs]
    assert all(cost.parameters <= 15_000 for cost in costs)


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
    with pytest.raises(SpaceError, match="no network of the space is in it"):
        SpaceDomain(SPACE, {"macs": (2 * HIGH, 3 * HIGH)})
    with pytest.raises(SpaceError, match="there is no window on latency"):
        SpaceDomain(SPACE, {"latency": (0.0, 1.0)})
    with pytest.raises(SpaceError, match="objectives cannot be macs, accuracy"):
        SpaceDomain(SPACE, objectives=("macs", "accuracy"))


@pytest.mark.parametrize("count", [8, 24])
def test_stratified_proposals_cover_the_cost_range(count: int) -> None:
    found, _ = run(make("random", SpaceDomain(SPACE)), count)
    places = sorted(math.log(each.cost / LOW) / math.log(HIGH / LOW) for each in found)
    assert np.diff([0.0, *places, 1.0]).max() < 0.3


@pytest.mark.parametrize(
    ("name", "margin"), [pytest.param("predictor", 0.04, marks=pytest.mark.slow), ("tpe", 0.0)]
)
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
