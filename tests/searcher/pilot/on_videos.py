"""Pilots on small encoded videos, trained in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxy_train.recipe import Recipe
from search_space.progress import ignore_progress
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.plan.job import EvaluatorSpec
from searcher.plan.plan import Plan
from searcher.record.records import Records
from searcher.run.session import Session
from searcher.settings.settings import Settings
from searcher.testing.domains import TINY_SPACE
from tests.searcher.serial import run_serially


class Serial:
    """Stands in for a cluster: runs plans in this process, ``stop_after`` epochs if that is given."""

    def __init__(self, stop_after: int | None = None) -> None:
        self._stop_after = stop_after
        self.epochs = 0

    def run(self, plan: Plan, evaluator: EvaluatorSpec) -> None:
        self.epochs += run_serially(plan, evaluator, stop_after=self._stop_after)
        if self._stop_after is not None:
            raise KeyboardInterrupt


def settings_on(videos: Path, output: Path, **changes: Any) -> Settings:
    """A run over a space of small networks and over a folder of videos."""
    recipe = {"batch_size": 8, "shift": 0.0, "photometric": 0.0, "learning_rate": 0.02}
    defaults: dict[str, Any] = {
        "name": "run",
        "output": output,
        "data": {"kind": "folder", "root": videos, "cache": videos.parent / "cache", "flips": False},
        "space": TINY_SPACE,
        "recipe": Recipe.model_validate(recipe | changes.pop("recipe", {})),
        "search": {"trials": 96, "startup": 8, "rungs": [4, 8], "workers": 1},
        "confirmation": {"epochs": 8, "seeds": 2, "members": 4},
    }
    return Settings.model_validate(defaults | changes)


@contextmanager
def session_on(settings: Settings, cluster: Serial | None = None) -> Iterator[tuple[Session, RunData]]:
    """Open a run whose trainings are done in this process; yield it with its data."""
    data = RunData.open(
        settings.data, settings.space, workers=1, making=ignore_progress, preparing=ignore_progress
    )
    space, evaluator = (
        settings.space.with_classes(len(data.classes)),
        video_evaluator(data.paths, settings.recipe),
    )
    with Records.writing(settings.run_dir, settings.identity()) as records:
        yield Session(settings, space, records, cluster or Serial(), evaluator), data  # type: ignore[arg-type]
