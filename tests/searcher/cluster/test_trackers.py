"""Experiment trackers, where they are installed: real searches, read back with the trackers' own clients."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune import Callback

from search_space.errors import SettingsError
from searcher.cluster.tracked_ends import of_those_that_ran
from searcher.record.records import Records
from searcher.run.session import Session
from searcher.settings.checks import check_settings
from tests.searcher.invented import invented
from tests.searcher.tiny_driver import tiny_settings


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_named_before_the_run_starts(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None)
    settings = tiny_settings(tmp_path).model_copy(update={"trackers": (name,)})
    with pytest.raises(SettingsError, match=rf"names {name}, which is not installed.*movinas\[{name}\]"):
        check_settings(settings)


def test_trackers_hear_of_no_end_of_what_has_not_begun() -> None:
    class Strict(Callback):  # type: ignore[misc]
        """As strict as the callbacks of both trackers."""

        def __init__(self) -> None:
            self.known, self.ended = set[str](), list[str]()

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self.known.add(trial.trial_id)

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self.known.remove(trial.trial_id)
            self.ended.append(trial.trial_id)

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self.on_trial_complete(iteration, trials, trial, **info)

    ran, waited, failed = (SimpleNamespace(trial_id=name) for name in ("ran", "waited", "failed"))
    tracker = of_those_that_ran(Strict)()
    for trial in (ran, failed):
        tracker.on_trial_start(0, [], trial)
    tracker.on_trial_complete(0, [], waited)
    tracker.on_trial_error(0, [], waited)
    tracker.on_trial_complete(0, [], ran)
    tracker.on_trial_error(0, [], failed)
    assert tracker.ended == ["ran", "failed"]
    assert isinstance(tracker, Strict)


@pytest.mark.slow
def test_mlflow_has_a_run_for_every_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    settings = tiny_settings(tmp_path, trials=4, rungs=[1, 2]).model_copy(update={"trackers": ("mlflow",)})
    with Session.open(settings, invented(), classes=16) as session:
        session.search()
    runs = mlflow.search_runs(experiment_names=[settings.name], output_format="list")
    known = {each.digest: each.latest["top1"] for each in Records.reading(settings.run_dir).candidates()}
    assert {run.data.params["digest"] for run in runs} == set(known)
    best = max(run.data.metrics["epoch/metrics/top1"] for run in runs)
    assert best == pytest.approx(max(known.values()))


@pytest.mark.slow
def test_weights_and_biases_writes_a_run_for_every_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "wandb"))
    (tmp_path / "wandb").mkdir()
    settings = tiny_settings(tmp_path, trials=4, rungs=[1]).model_copy(update={"trackers": ("wandb",)})
    with Session.open(settings, invented(), classes=16) as session:
        session.search()
    assert len(list((tmp_path / "wandb").rglob("*.wandb"))) == 4
