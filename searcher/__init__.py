"""The search: settings, proposals, promotion, cluster, confirmation, records."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from searcher.objectives import OBJECTIVES, Objective, Objectives
    from searcher.pareto import crowding, hypervolume, non_dominated, ranks
    from searcher.plan.confirmation import Confirmed, confirmed
    from searcher.plan.events import EpochTrained, Lost, Measured, PhaseProgress, Started
    from searcher.plan.job import EpochResult, Evaluator, EvaluatorSpec, Job
    from searcher.plan.reproduction import reproduce
    from searcher.record.candidate import Candidate, Decision
    from searcher.record.records import Records
    from searcher.run.overview import Overview, overview
    from searcher.run.session import Session, run_search
    from searcher.settings.checks import check_settings
    from searcher.settings.reading import load_settings
    from searcher.settings.settings import Settings
    from searcher.simulation.simulation import Simulation
    from searcher.simulation.yardsticks import yardstick
    from searcher.strategies.domain import Design, Domain
    from searcher.strategies.history import History, Observation
    from searcher.strategies.registry import create_strategy, register_strategy, strategy_names
    from searcher.strategies.space_domain import SpaceDomain
    from searcher.strategies.strategy import Strategy, StratifiedRandom
else:
    from search_space.lazy_names import lazy_names

    _MODULES = {
        "searcher.objectives": ("OBJECTIVES", "Objective", "Objectives"),
        "searcher.pareto": ("crowding", "hypervolume", "non_dominated", "ranks"),
        "searcher.plan.confirmation": ("Confirmed", "confirmed"),
        "searcher.plan.events": ("EpochTrained", "Lost", "Measured", "PhaseProgress", "Started"),
        "searcher.plan.job": ("EpochResult", "Evaluator", "EvaluatorSpec", "Job"),
        "searcher.plan.reproduction": ("reproduce",),
        "searcher.record.candidate": ("Candidate", "Decision"),
        "searcher.record.records": ("Records",),
        "searcher.run.overview": ("Overview", "overview"),
        "searcher.run.session": ("Session", "run_search"),
        "searcher.settings.checks": ("check_settings",),
        "searcher.settings.reading": ("load_settings",),
        "searcher.settings.settings": ("Settings",),
        "searcher.simulation.simulation": ("Simulation",),
        "searcher.simulation.yardsticks": ("yardstick",),
        "searcher.strategies.domain": ("Design", "Domain"),
        "searcher.strategies.history": ("History", "Observation"),
        "searcher.strategies.registry": ("create_strategy", "register_strategy", "strategy_names"),
        "searcher.strategies.space_domain": ("SpaceDomain",),
        "searcher.strategies.strategy": ("Strategy", "StratifiedRandom"),
    }
    __getattr__ = lazy_names(__name__, _MODULES)

__all__ = [
    "OBJECTIVES",
    "Candidate",
    "Confirmed",
    "Decision",
    "Design",
    "Domain",
    "EpochResult",
    "EpochTrained",
    "Evaluator",
    "EvaluatorSpec",
    "History",
    "Job",
    "Lost",
    "Measured",
    "Objective",
    "Objectives",
    "Observation",
    "Overview",
    "PhaseProgress",
    "Records",
    "Session",
    "Settings",
    "Simulation",
    "SpaceDomain",
    "Started",
    "Strategy",
    "StratifiedRandom",
    "check_settings",
    "confirmed",
    "create_strategy",
    "crowding",
    "hypervolume",
    "load_settings",
    "non_dominated",
    "overview",
    "ranks",
    "register_strategy",
    "reproduce",
    "run_search",
    "strategy_names",
    "yardstick",
]


def __dir__() -> list[str]:
    return sorted(__all__)
