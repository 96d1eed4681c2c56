"""The ends of trainings, for experiment trackers that would wait for them in vain."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

_LOG = logging.getLogger(__name__)


class TrackedEnds(Callback):  # type: ignore[misc]
    """Ray's callback that ends the trainings which run when a search is interrupted, as trackers see them.

    Ray tells trackers of no end then, and Weights & Biases' callback waits for all of them, half an hour by
    default.

    Args:
        trackers: the callbacks of the trackers, which come after this one.
        seconds: time that they may take, for people.
    """

    def __init__(self, trackers: Sequence[Callback], seconds: int) -> None:
        self._trackers, self._seconds = tuple(trackers), seconds
        self._running: dict[str, Trial] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note that a training runs."""
        del iteration, trials, info
        self._running[trial.trial_id] = trial

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note that a training has ended."""
        del iteration, trials, info
        self._running.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note that a training has failed."""
        self.on_trial_complete(iteration, trials, trial, **info)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Tell the trackers of the ends that Ray does not tell."""
        del info
        if self._running:
            _LOG.warning(
                "waiting up to %d s for the trackers to write the trainings that were interrupted",
                self._seconds,
            )
        for trial in self._running.values():
            for tracker in self._trackers:
                tracker.on_trial_complete(iteration=0, trials=trials, trial=trial)
        self._running.clear()


def of_those_that_ran(tracker: type[Any]) -> type[Any]:
    """Return a tracker's callback that hears only of the ends of trainings of whose beginnings it has heard.

    A search that is stopped ends trainings that still wait for a worker, and one whose worker cannot be
    started fails before it begins. Both trackers look for what they know of it, and end the search instead.
    """

    class OfThoseThatRan(tracker):  # type: ignore[misc]
        _ran: frozenset[str] = frozenset()

        def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
            self._ran |= {trial.trial_id}
            super().on_trial_start(iteration, trials, trial, **info)

        def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
            if trial.trial_id in self._ran:
                super().on_trial_complete(iteration, trials, trial, **info)

        def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
            if trial.trial_id in self._ran:
                super().on_trial_error(iteration, trials, trial, **info)

    return OfThoseThatRan
