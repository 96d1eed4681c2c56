"""A plan in the terms of Ray Tune: a searcher that asks it for jobs, a scheduler that tells it of results.

Neither keeps a state of its own, for Ray keeps no record here: a restarted driver builds both anew around a
plan that was rebuilt from the record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from searcher.cluster.nodes import missing
from searcher.plan.events import EpochTrained, Lost
from searcher.plan.job import EpochResult, EvaluatorSpec, Job
from searcher.plan.plan import Plan

if TYPE_CHECKING:
    from searcher.cluster.cluster import Cluster

_LOG = logging.getLogger(__name__)
_LOST = "its worker was lost"
_PATIENCE = 10.0
_DETAILS = 20_000


class Bridge:
    """What searcher and scheduler share: the plan, and which Ray trial runs which job.

    Args:
        plan: what to run.
        first: a job that the plan has handed out already.
        cluster: where it runs.
        limit: how many Ray trials this Tuner runs: Ray's memory grows with each, so that long plans take
            several.
    """

    def __init__(self, plan: Plan, first: Job, cluster: Cluster, limit: int) -> None:
        self.plan = plan
        self.jobs: dict[str, Job] = {}
        self.errors: dict[str, str] = {}
        # Ray logs and swallows exceptions from some of its hooks; kept here, they are raised from others.
        self.error: BaseException | None = None
        self.over = False
        self.stopping = False
        self._cluster = cluster
        self._left = limit
        self._first: Job | None = first
        self._working: dict[str, _Working] = {}
        self._idle_since = time.monotonic()

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
        if self.stopping:
            self.over = not self.jobs
            return None
        if self.jobs and len(self.jobs) >= self._cluster.room():
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

    def started(self, trial: Trial) -> None:
        """Takes the start of a Ray trial on a worker."""
        self._working[trial.trial_id] = _Working(trial, time.monotonic())

    def observe(self, trial: Trial, result: dict[str, Any]) -> bool:
        """Takes a worker's result; answers whether its job goes on."""
        job = self.jobs[trial.trial_id]
        self.started(trial)
        # Who has got further may be lost again as often.
        trial.max_failures = trial.num_failures + self._cluster.retries
        try:
            if "failure" in result:
                self.plan.fail(job, result["failure"])
                return False
            epoch = EpochResult.from_dict(result["epoch"])
            where, log = str(result.get("where", "")), tuple(map(str, result.get("log", ())))
            digest = job.architecture.digest
            self.plan.on_event(
                EpochTrained(job.purpose, digest, job.seed, epoch.epoch, epoch.seconds, where, log)
            )
            return self.plan.observe(job, epoch) and not self.stopping
        except Exception as error:
            # Ray would wrap it, and the remedy that it names would be lost in a traceback.
            self.error = error
            return False

    def lost(self, trial: Trial, reason: str, details: str) -> None:
        """Takes the loss of a Ray trial's worker, before Ray tries again, or does not."""
        working = self._working.pop(trial.trial_id, None)
        if working is not None and working.killed:
            reason, details = working.killed, ""
        self.errors[trial.trial_id] = reason
        job = self.jobs.get(trial.trial_id)
        _LOG.warning("a worker failed at %s: %s", job.name if job else trial.trial_id, reason)
        if job is not None:
            self.plan.on_event(Lost(job.purpose, job.architecture.digest, job.seed, reason, details))

    def ended(self, trial_id: str, *, failed: bool) -> None:
        """Takes the end of a Ray trial."""
        job = self.jobs.pop(trial_id, None)
        working = self._working.pop(trial_id, None)
        if job is None:
            return
        try:
            if failed:
                reason = working.killed if working is not None else ""
                self.plan.fail(job, reason or self.errors.get(trial_id, _LOST))
            self.plan.on_job_end(job)
        except Exception as error:
            # Not swallowed: raised by the next call that Ray lets raise.
            self.error = error

    def tick(self) -> None:
        """Looks after what does not report by itself: hung workers, listeners, the wish to stop."""
        now = time.monotonic()
        for trial_id, working in self._working.items():
            if trial_id in self.jobs and not working.killed:
                self._end_overdue(self.jobs[trial_id], working, now - working.since)
        if self._working:
            self._idle_since = now
        pulse = self._cluster.pulse
        if pulse is not None and pulse.due:
            nodes = self._cluster.nodes()
            idle = now - self._idle_since if self.jobs else 0.0
            why = missing(nodes, self._cluster.cpus, self._cluster.gpus) if idle > _PATIENCE else ""
            pulse.beat(self.plan.progress(), nodes=nodes, waiting=why, waiting_seconds=idle)
            self.stopping = self.stopping or pulse.stopping

    def _end_overdue(self, job: Job, working: _Working, silent: float) -> None:
        """Kills the worker of a job that hangs, or has taken too long; its process need not listen."""
        allowed, stall = self.plan.allowed(job), self._cluster.stall
        if allowed is not None and self.plan.spent(job) + silent > allowed:
            working.killed = f"it took more than {allowed / 60:g} minutes"
            # Trying again would only take longer.
            working.trial.max_failures = 0
        elif stall is not None and silent > stall:
            working.killed = f"it hung: no epoch was finished within {stall / 60:g} minutes"
        else:
            return
        actor = working.trial.temporary_state.ray_actor
        if actor is not None:
            ray.kill(actor)


@dataclass
class _Working:
    """A Ray trial on a worker, when it last gave a sign, and why it was killed if it was."""

    trial: Trial
    since: float
    killed: str = ""


class PlanSearcher(Searcher):  # type: ignore[misc]
    """Ray's question "what next", answered by the plan only when a worker is free.

    Ray would ask ahead of time; a proposal made before the results it could have learned from is worse, and
    its order would depend on timing.
    """

    def __init__(self, bridge: Bridge, evaluator: EvaluatorSpec, fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self._bridge = bridge
        self._fixed = {"evaluator": evaluator.to_json(), **fixed}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The configuration of a new trial, None for later, or FINISHED."""
        job = self._bridge.next(trial_id)
        if job is not None:
            # The network by itself is for people who look at a tracker.
            network = {"digest": job.architecture.digest, "architecture": job.architecture.text}
            return {"job": job.to_json(), **network, **self._fixed}
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
        goes_on = self._bridge.observe(trial, _unflatten(result))
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Remembers why; Ray tries again unless it has done so often enough."""
        del tune_controller
        self._bridge.lost(trial, *_last_error(trial))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The oldest trial that waits for a worker."""
        waiting = [trial for trial in tune_controller.get_trials() if trial.status == Trial.PENDING]
        if self._bridge.stopping:
            # They may wait for ever.
            for trial in waiting:
                tune_controller.stop_trial(trial)
            return None
        return next(iter(waiting), None)

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

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called by Ray when a worker takes a trial, the first time or again."""
        del iteration, trials, info
        self._bridge.started(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called by Ray about ten times a second."""
        del iteration, trials, info
        self._bridge.raise_error()
        self._bridge.tick()
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self._bridge.plan.on_event(self._bridge.plan.progress())


def _unflatten(result: dict[str, Any]) -> dict[str, Any]:
    """Ray flattens nested results to keys with slashes; this undoes it for what a worker sent."""
    sent: dict[str, Any] = {key: result[key] for key in ("failure", "where", "log") if key in result}
    if "failure" in sent:
        return sent
    epoch: dict[str, Any] = {"metrics": None}
    for key, value in result.items():
        parts = key.split("/")
        if parts[0] == "epoch" and len(parts) == 2:
            epoch[parts[1]] = value
        elif parts[0] == "epoch":
            epoch["metrics"] = {**(epoch["metrics"] or {}), parts[2]: value}
    return {**sent, "epoch": epoch}


def _last_error(trial: Trial) -> tuple[str, str]:
    """The last line of the error file that Ray keeps for a trial, and the end of all of it."""
    try:
        text = Path(trial.error_file).read_text().strip()
    except (TypeError, OSError):
        return _LOST, ""
    lines = text.splitlines()
    return (lines[-1][:500], text[-_DETAILS:]) if lines else (_LOST, "")
