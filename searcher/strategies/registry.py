"""The strategies by the names that settings use."""

from __future__ import annotations

from collections.abc import Mapping

from searcher.strategies.domain import Domain
from searcher.strategies.evolution import AgingEvolution, ParetoMutation
from searcher.strategies.optuna_samplers import GaussianProcess, Nsga2, Nsga3, Tpe
from searcher.strategies.predictor.predictor import Predictor
from searcher.strategies.strategy import Strategy, StratifiedRandom

STRATEGIES: Mapping[str, type[Strategy]] = {
    "tpe": Tpe,
    "random": StratifiedRandom,
    "mutation": ParetoMutation,
    "aging": AgingEvolution,
    "nsga2": Nsga2,
    "nsga3": Nsga3,
    "gp": GaussianProcess,
    "predictor": Predictor,
}


def create(name: str, domain: Domain, *, seed: int, startup: int) -> Strategy:
    """The strategy of that name; see ``Strategy`` for the rest.

    Raises:
        KeyError: there is none of that name; settings refuse it earlier.
    """
    return STRATEGIES[name](domain, seed, startup)
