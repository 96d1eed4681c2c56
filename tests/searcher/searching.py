"""Small searches over made-up accuracies, run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from searcher.plan.events import Event
from searcher.plan.job import EvaluatorSpec
from searcher.plan.search_plan import CandidateTraining, SearchLimits, SearchPlan
from searcher.promotion.halving import ParetoHalving
from searcher.record.records import Records
from searcher.settings.settings import Settings
from searcher.strategies.registry import create_strategy
from searcher.strategies.space_domain import SpaceDomain
from tests.searcher.invented import invented
from tests.searcher.serial import run_serially
from tests.searcher.tiny_driver import tiny_settings


def plan_over(settings: Settings, records: Records, events: list[Event] | None = None) -> SearchPlan:
    space, part = settings.space.with_classes(16), settings.search
    low, high = settings.window(space)
    domain = SpaceDomain(space, settings.windows(space), part.objectives)
    training = CandidateTraining(settings.run_dir, 0, part.rungs, part.time_limit_minutes)
    return SearchPlan(
        records,
        create_strategy(part.strategy, domain, seed=0, startup=part.startup),
        ParetoHalving([rung.epochs for rung in part.rungs], part.reduction, low, high),
        space,
        training,
        SearchLimits(part.trials, part.budget_minutes),
        on_event=(lambda _: None) if events is None else events.append,
    )


def settings_of(folder: Path, **changes: Any) -> Settings:
    return tiny_settings(folder, **{"trials": 20, "rungs": [1, 2, 4], "reduction": 2, **changes})


@contextmanager
def search(folder: Path, events: list[Event] | None = None, **changes: Any) -> Iterator[SearchPlan]:
    settings = settings_of(folder, **changes)
    with Records.writing(settings.run_dir, settings.identity()) as records:
        yield plan_over(settings, records, events)


def finished(
    folder: Path, evaluator: EvaluatorSpec | None = None, workers: int = 1, **changes: Any
) -> Records:
    with search(folder, **changes) as plan:
        run_serially(plan, evaluator or invented(), workers)
        return plan.records


def story(records: Records) -> list[object]:
    return [
        [(each.digest, each.fidelity.key, each.metrics["top1"]) for each in records.measurements()],
        [(each.digest, each.state, each.decisions) for each in records.candidates()],
    ]


THREE: dict[str, Any] = {"objectives": ["accuracy", "macs", "latency"], "constraints": {"latency_ms": 5}}
