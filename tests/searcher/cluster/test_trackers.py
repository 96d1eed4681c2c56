"""Experiment trackers, where they are installed: real searches, read back with the trackers' own clients."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from search_space.errors import SettingsError
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
