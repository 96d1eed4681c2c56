"""A plan in the terms of Ray Tune: a searcher that asks it for jobs, a scheduler that tells it of results.

Neither keeps a state of its own, for Ray keeps no record here: a restarted driver builds both anew around a
plan that was rebuilt from the record.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from searcher.jobs import EpochResult, EvaluatorSpec, Job
from searcher.plan import Plan

_LOG = logging.getLogger(__name__)


class Bridge:
    """What searcher and scheduler share: the plan, and which Ray trial runs which job.

    Args:
        plan: what to run.
        first: a job that the plan has handed out already.
        workers: how many jobs at a time.
        limit: how many Ray trials this Tuner runs: Ray's memory grows with each, so that long plans take
            several.
    """

    def __init__(self, plan: Plan, first: Job, workers: int, limit: int) -> None:
        self.plan = plan
        self.jobs: dict[str, Job] = {}
        self.errors: dict[str, str] = {}
        # Ray logs and swallows exceptions from some of its hooks; kept here, they are raised from others.
        self.error: BaseException | None = None
        self.over = False
        self._workers = workers
        self._left = limit
        self._first: Job | None = first

    def __reduce__(self) -> tuple[Any, ...]:
        # Ray writes its parts to a file for a Tuner.restore that is never called; a plan's listener may be
        # anything, a terminal for instance, and need not survive that.
        return object, ()

    def raise_error(self) -> None:
        """Raises what a hook could not."""
        if self.error is not None:
            raise self.error

    def next(self, trial_id: str) -> Job | None:
        """The job for a new Ray trial, or None: not now, or with ``over`` never."""
        self.raise_error()
        if len(self.jobs) >= self._workers:
            return None
        job, self._first = self._first, None
        if job is None and self._left:
            job = self.plan.next()
        if job is None:
            self.over = not self.jobs
            return None
        self._left -= 1
        self.jobs[trial_id] = job
        return job

    def observe(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Takes a worker's result; answers whether its job goes on."""
        job = self.jobs[trial_id]
        try:
            if "failure" in result:
                self.plan.fail(job, result["failure"])
                return False
            return self.plan.observe(job, EpochResult.from_dict(result["epoch"]))
        except Exception as error:
            # Ray would wrap it, and the remedy that it names would be lost in a traceback.
            self.error = error
            return False

    def ended(self, trial_id: str, *, failed: bool) -> None:
        """Takes the end of a Ray trial."""
        job = self.jobs.pop(trial_id, None)
        if job is None:
            return
        try:
            if failed:
                self.plan.fail(job, self.errors.get(trial_id, "its worker was lost"))
            self.plan.ended(job)
        except Exception as error:
            # Not swallowed: raised by the next call that Ray lets raise.
            self.error = error


class PlanSearcher(Searcher):  # type: ignore[misc]
    """Ray's question "what next", answered by the plan only when a worker is free.

    Ray would ask ahead of time; a proposal made before the results it could have learned from is worse, and
    its order would depend on timing.
    """

    def __init__(self, bridge: Bridge, evaluator: EvaluatorSpec, threads: int) -> None:
        super().__init__()
        self._bridge = bridge
        self._fixed = {"evaluator": evaluator.to_json(), "threads": threads}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The configuration of a new trial, None for later, or FINISHED."""
        job = self._bridge.next(trial_id)
        if job is not None:
            return {"job": job.to_json(), **self._fixed}
        return str(Searcher.FINISHED) if self._bridge.over else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial is over, stopped by the scheduler or failed too often."""
        del result
        self._bridge.ended(trial_id, failed=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the record is the state."""


class PlanScheduler(TrialScheduler):  # type: ignore[misc]
    """Ray's question "go on?", answered by the plan: by Pareto-rank halving in a search."""

    # Results are decided one by one.
    _supports_buffered_results = False

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Goes on or stops; a trial is never paused, for a held candidate comes back as a new trial."""
        del tune_controller
        goes_on = self._bridge.observe(trial.trial_id, _unflatten(result))
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Remembers why; Ray tries again unless it has done so often enough."""
        del tune_controller
        reason = _last_error(trial)
        self._bridge.errors[trial.trial_id] = reason
        _LOG.warning("a worker failed at %s: %s", trial.trial_id, reason)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The oldest trial that waits for a worker."""
        waiting = (trial for trial in tune_controller.get_trials() if trial.status == Trial.PENDING)
        return next(waiting, None)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing to do."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing to do."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing to do."""

    def debug_string(self) -> str:
        """What Ray prints about a scheduler."""
        return "Pareto-rank successive halving"


class Ticker(Callback):  # type: ignore[misc]
    """Sends the plan's progress to whoever listens, at most twice a second."""

    def __init__(self, bridge: Bridge, seconds: float = 0.5) -> None:
        self._bridge = bridge
        self._seconds = seconds
        self._last = -float("inf")

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called by Ray about ten times a second."""
        del iteration, trials, info
        self._bridge.raise_error()
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self._bridge.plan.on_event(self._bridge.plan.progress())


def _unflatten(result: dict[str, Any]) -> dict[str, Any]:
    """Ray flattens nested results to keys with slashes; this undoes it for what a worker sent."""
    if "failure" in result:
        return {"failure": result["failure"]}
    epoch: dict[str, Any] = {"metrics": None}
    for key, value in result.items():
        parts = key.split("/")
        if parts[0] == "epoch" and len(parts) == 2:
            epoch[parts[1]] = value
        elif parts[0] == "epoch":
            epoch["metrics"] = {**(epoch["metrics"] or {}), parts[2]: value}
    return {"epoch": epoch}


def _last_error(trial: Trial) -> str:
    """The last line of the error file that Ray keeps for a trial."""
    try:
        lines = Path(trial.error_file).read_text().strip().splitlines()
    except (TypeError, OSError):
        return "its worker was lost"
    return lines[-1][:500] if lines else "its worker was lost"
