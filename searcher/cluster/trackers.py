"""Experiment trackers that follow a search through Ray's own callbacks: MLflow, Weights & Biases.

Addresses and credentials come from the trackers' own environment variables (MLFLOW_TRACKING_URI,
WANDB_API_KEY), not from a run's settings.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Literal, get_args

from search_space.errors import SettingsError

Tracker = Literal["mlflow", "wandb"]
_UPLOAD_SECONDS = 20
"""Seconds that a tracker may take for the last trainings: batch systems leave 30 after a signal."""


def check_trackers(names: Sequence[Tracker]) -> None:
    """Check that the packages of trackers are installed.

    Raises:
        SettingsError: one is not installed; names the command that installs it.
    """
    for name in names:
        assert name in get_args(Tracker), name
        if importlib.util.find_spec(name) is None:
            raise SettingsError(
                f"trackers names {name}, which is not installed", hint=f"pip install 'movinas[{name}]'"
            )


def callbacks(names: Sequence[Tracker], run: str) -> list[Any]:
    """Return callbacks of Ray Tune; a run is a project of the tracker, a training one of its runs.

    Args:
        names: names of the trackers.
        run: name of the run.
    """
    if not names:
        return []
    from searcher.cluster.tracked_ends import TrackedEnds, of_those_that_ran

    following: list[Any] = []
    if "mlflow" in names:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        following.append(of_those_that_ran(MLflowLoggerCallback)(experiment_name=run))
    if "wandb" in names:
        from ray.air.integrations.wandb import WandbLoggerCallback

        wandb = of_those_that_ran(WandbLoggerCallback)
        following.append(wandb(project=run, group=run, upload_timeout=_UPLOAD_SECONDS))
    # Before the trackers: what it tells them, they wait for.
    return [TrackedEnds(following, _UPLOAD_SECONDS), *following]
