"""Strategies by name: those that come with movinas, those that were registered, and any import path."""

from __future__ import annotations

import importlib
import re

from search_space.errors import SettingsError
from searcher.strategies.domain import Domain
from searcher.strategies.strategy import Strategy

_BUILT_IN = {
    "tpe": "searcher.strategies.optuna_samplers:Tpe",
    "random": "searcher.strategies.strategy:StratifiedRandom",
    "mutation": "searcher.strategies.evolution:ParetoMutation",
    "aging": "searcher.strategies.evolution:AgingEvolution",
    "nsga2": "searcher.strategies.optuna_samplers:Nsga2",
    "nsga3": "searcher.strategies.optuna_samplers:Nsga3",
    "gp": "searcher.strategies.optuna_samplers:GaussianProcess",
    "tunas": "searcher.strategies.policy:PolicySampling",
    "predictor": "searcher.strategies.predictor.predictor:Predictor",
}
_REGISTERED: dict[str, type[Strategy]] = {}
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def strategy_names() -> tuple[str, ...]:
    """Return the names of all strategies: those of movinas first, then those that were registered."""
    return (*_BUILT_IN, *_REGISTERED)


def register_strategy(name: str, strategy: type[Strategy]) -> None:
    """Make a strategy available under a name, in this process.

    A driver that is started from the command line does not run the code that registers; its settings give an
    import path instead, ``module:Class``.

    Args:
        name: name in settings.
        strategy: subclass of :class:`Strategy`; ``searcher.testing.strategy_contract`` has the tests to pass.

    Raises:
        SettingsError: the name is taken or has a colon, or the class is not a strategy.
    """
    if name in strategy_names() and _REGISTERED.get(name) is not strategy:
        raise SettingsError(f"there is a strategy {name!r} already", hint="choose another name")
    if not name or ":" in name:
        raise SettingsError(f"a strategy cannot be named {name!r}", hint="a name has no colon")
    _REGISTERED[name] = _checked(strategy, name)


def is_strategy_name(name: str) -> bool:
    """Tell whether a name is one of a strategy, or has the form of an import path; nothing is imported."""
    return name in strategy_names() or _PATH.fullmatch(name) is not None


def strategy_class(name: str) -> type[Strategy]:
    """Return the class of a strategy.

    Args:
        name: name of a strategy, or an import path, ``module:Class``.

    Raises:
        SettingsError: there is no strategy of that name, it cannot be imported, or the class is not a
            strategy.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if not is_strategy_name(name):
        raise SettingsError(
            f"there is no strategy {name!r}",
            hint=f"use {', '.join(strategy_names())}, or an import path such as my_package.module:Mine",
        )
    module, _, attribute = _BUILT_IN.get(name, name).partition(":")
    try:
        return _checked(getattr(importlib.import_module(module), attribute), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"the strategy {name!r} cannot be imported: {error}",
            hint="is its package installed where the driver runs?",
        ) from error


def create_strategy(name: str, domain: Domain, *, seed: int, startup: int) -> Strategy:
    """Create a strategy by its name or import path; see :class:`Strategy` for the arguments.

    Raises:
        SettingsError: there is no strategy of that name, it cannot be imported, or the class is not a
            strategy.
    """
    return strategy_class(name)(domain, seed, startup)


def _checked(strategy: object, name: str) -> type[Strategy]:
    """Return the class if it is a strategy, else raise."""
    if not (isinstance(strategy, type) and issubclass(strategy, Strategy)):
        raise SettingsError(
            f"{name!r} is not a strategy but {strategy!r}",
            hint="name a subclass of searcher.strategies.strategy.Strategy",
        )
    return strategy
