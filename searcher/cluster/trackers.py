"""Experiment trackers that follow a search through Ray's own callbacks: MLflow, Weights & Biases.

Where they are, and who may write there, they take from their own environment variables (MLFLOW_TRACKING_URI,
WANDB_API_KEY): nothing of it is in a run's settings.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Literal, get_args

from search_space.errors import SettingsError

Tracker = Literal["mlflow", "wandb"]


def check_trackers(names: Sequence[Tracker]) -> None:
    """That their packages are there.

    Raises:
        SettingsError: one is not; it says how to get it.
    """
    for name in names:
        assert name in get_args(Tracker), name
        if importlib.util.find_spec(name) is None:
            raise SettingsError(
                f"trackers names {name}, which is not installed", hint=f"pip install 'movinas[{name}]'"
            )


def callbacks(names: Sequence[Tracker], run: str) -> list[Any]:
    """Ray Tune callbacks; a run is one experiment or project there, a training one of its runs."""
    found: list[Any] = []
    if "mlflow" in names:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        found.append(MLflowLoggerCallback(experiment_name=run))
    if "wandb" in names:
        from ray.air.integrations.wandb import WandbLoggerCallback

        found.append(WandbLoggerCallback(project=run, group=run))
    return found
