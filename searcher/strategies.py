"""The strategies by the names that settings use."""

from __future__ import annotations

from collections.abc import Mapping

from search_space.space import SearchSpace
from searcher.evolution import Nsga2, ParetoMutation
from searcher.strategy import Strategy, StratifiedRandom
from searcher.tpe import Tpe

STRATEGIES: Mapping[str, type[Strategy]] = {
    "tpe": Tpe,
    "random": StratifiedRandom,
    "mutation": ParetoMutation,
    "nsga2": Nsga2,
}


def create(name: str, space: SearchSpace, *, seed: int, startup: int, low: float, high: float) -> Strategy:
    """The strategy of that name; see ``Strategy`` for the rest.

    Raises:
        KeyError: there is none of that name; settings refuse it earlier.
    """
    return STRATEGIES[name](space, seed, startup, low, high)
