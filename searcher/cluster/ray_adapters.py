"""A plan in the terms of Ray Tune: a searcher that asks it for jobs, a scheduler that hands it results.

Neither has a state of its own: a restarted driver creates both around a plan that it rebuilds from the
record.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search_space.termination import in_main_thread
from searcher.cluster.capacity import Capacity, FaultTolerance
from searcher.cluster.departure import POLL_SECONDS, is_draining, tell_workers
from searcher.cluster.heartbeat import Heartbeat
from searcher.cluster.nodes import missing
from searcher.cluster.watchdog import Watchdog
from searcher.plan.events import EpochTrained, Lost
from searcher.plan.job import EpochResult, EvaluatorSpec, Job
from searcher.plan.plan import Plan

_LOG = logging.getLogger(__name__)
_LOST = "its worker was lost"
STOP_SECONDS = 10.0
"""Seconds that trainings have to finish their epoch after a stop was requested."""
LEAVE_SECONDS = 18.0
"""Seconds that they have then to write what they have of it; schedulers give 30 from SIGTERM to SIGKILL."""
_IDLE_SECONDS = 10.0
"""Seconds without any training after which the heartbeat gives the reason."""
_MOMENT_SECONDS = 1.0
_DETAIL_CHARACTERS = 20_000
_ALONE = ("failure", "interrupted", "waiting")


@dataclass
class Losses:
    """The losses of a job's workers, in a row without an epoch in between.

    Args:
        count: number of losses; those of the same moment count once.
        last: time of the last one that was counted, by the monotonic clock.
        final: whether the job is not to be retried.
    """

    count: int = 0
    last: float = -math.inf
    final: bool = False

    def add(self, *, final: bool) -> None:
        """Count a loss, unless one was counted a moment ago."""
        self.final = final
        if time.monotonic() - self.last > _MOMENT_SECONDS:
            self.count, self.last = self.count + 1, time.monotonic()

    def within(self, retries: int) -> bool:
        """Return whether the job was lost, and may be retried."""
        return 0 < self.count <= retries and not self.final


class Bridge:
    """The plan and the jobs that Ray's trials run, shared by searcher and scheduler.

    Args:
        plan: plan to run.
        first: job that the plan has handed out already.
        capacity: number and size of the workers.
        faults: reaction to workers that are lost or hang.
        trials: number of Ray's trials in this Tuner: Ray's memory grows with each, so that long plans need
            several Tuners.
        heartbeat: heartbeat of the driver, which receives the plan's progress and knows of requests to stop.
    """

    def __init__(
        self,
        plan: Plan,
        first: Job,
        capacity: Capacity,
        faults: FaultTolerance,
        trials: int,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.plan = plan
        self.jobs: dict[str, Job] = {}
        self.errors: dict[str, str] = {}
        # Ray logs and swallows exceptions in some hooks: they are kept here, and raised in others.
        self.error: BaseException | None = None
        # What jobs wait for on their workers.
        self._waiting: dict[str, str] = {}
        self.over = False
        self.stopping = self.terminated = False
        self._capacity, self._faults, self._heartbeat = capacity, faults, heartbeat
        self._left = trials
        # Jobs to hand out before the plan is asked for more.
        self._ready = [first]
        self._losses: dict[str, Losses] = {}
        self._stop_at = self._leave_at = 0.0
        self._interrupted = False
        self._checked_at = time.monotonic()
        self._watchdog = Watchdog(plan, faults)

    def __reduce__(self) -> tuple[Any, ...]:
        # Ray pickles searcher and scheduler for a Tuner.restore that is never called; a plan cannot always be
        # pickled, since it may hold a terminal.
        return object, ()

    def raise_error(self) -> None:
        """Raise the error that a hook could not raise, if there is one."""
        if self.error is not None:
            raise self.error

    def next(self, trial_id: str) -> Job | None:
        """Return the job of a new Ray trial; None if there is none now, or ever if ``over`` is set."""
        self.raise_error()
        if self.stopping:
            self.over = not self.jobs
            return None
        if self.jobs and len(self.jobs) >= self._capacity.jobs():
            return None
        job = self._ready.pop(0) if self._ready else None
        if job is None and self._left:
            job = self.plan.next()
        if job is None:
            self.over = not self.jobs
            return None
        self._left -= 1
        self.jobs[trial_id] = job
        return job

    def on_start(self, trial: Trial) -> None:
        """Note that a Ray trial has started on a worker."""
        self._watchdog.heard(trial)

    def observe(self, trial: Trial, result: dict[str, Any]) -> bool:
        """Pass a worker's result to the plan; return whether its job continues."""
        job = self.jobs[trial.trial_id]
        self._watchdog.heard(trial)
        self._waiting.pop(trial.trial_id, None)
        if "waiting" in result:
            self._waiting[trial.trial_id] = f"{job.name} on {result.get('where', '?')}: {result['waiting']}"
            return not self.stopping
        # A job that has made progress may be lost as often again.
        self._losses.pop(job.name, None)
        trial.max_failures = trial.num_failures + self._faults.retries
        if "interrupted" in result:
            # Where the driver stays, the trial is lost with its node, and resumed on another.
            return not self.stopping
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
            # Ray would wrap it, and its remedy would be lost in a traceback.
            self.error = error
            return False

    def on_lost(self, trial: Trial, reason: str, details: str) -> None:
        """Note that a Ray trial's worker was lost, before Ray retries the trial or ends it."""
        killed = self._watchdog.forget(trial.trial_id)
        self._waiting.pop(trial.trial_id, None)
        if killed:
            reason, details = killed, ""
        self.errors[trial.trial_id] = reason
        job = self.jobs.get(trial.trial_id)
        _LOG.warning("a worker failed at %s: %s", job.name if job else trial.trial_id, reason)
        if job is not None:
            losses = self._losses.setdefault(job.name, Losses())
            losses.add(final=trial.max_failures == 0)
            self.plan.on_event(Lost(job.purpose, job.architecture.digest, job.seed, reason, details))

    def on_end(self, trial_id: str, *, failed: bool) -> None:
        """Pass the end of a Ray trial to the plan."""
        job = self.jobs.pop(trial_id, None)
        self._waiting.pop(trial_id, None)
        killed = self._watchdog.forget(trial_id)
        if job is None:
            return
        if failed and not killed and self._losses.get(job.name, Losses()).within(self._faults.retries):
            # Ray does not retry a trial that was to reuse a worker whose machine is gone.
            self._ready.append(job)
            return
        self._losses.pop(job.name, None)
        try:
            if failed:
                self.plan.fail(job, killed or self.errors.get(trial_id, _LOST))
            self.plan.on_job_end(job)
        except Exception as error:
            # Not swallowed: raised by the next call that Ray lets raise.
            self.error = error

    def tick(self) -> None:
        """Kill hung workers, write the heartbeat and obey a request to stop."""
        idle = self._watchdog.check(self.jobs)
        heartbeat, capacity = self._heartbeat, self._capacity
        if heartbeat is not None and heartbeat.due:
            nodes = capacity.nodes()
            reason = missing(nodes, capacity.cpus, capacity.gpus) if idle > _IDLE_SECONDS else ""
            heartbeat.beat(
                self.plan.progress(),
                nodes=nodes,
                waiting=reason,
                waiting_seconds=idle,
                obstacles=(*capacity.unreachable(), *self._waiting.values()),
            )
            self.stopping = self.stopping or heartbeat.stopping
        if capacity.address is not None and time.monotonic() - self._checked_at > POLL_SECONDS:
            self._checked_at = time.monotonic()
            if not self.terminated and is_draining():
                self.terminate()
        if self.stopping and self.jobs:
            self._end_soon()

    def terminate(self) -> None:
        """End soon, without waiting for the ends of epochs; a handler of signals may call this."""
        self.stopping = self.terminated = True

    def _end_soon(self) -> None:
        """Have trainings write what they have; interrupt those that have not done so in time.

        After a request to stop they have time to finish their epoch first.
        """
        now = time.monotonic()
        self._stop_at = self._stop_at or now + STOP_SECONDS
        if not self._leave_at and (self.terminated or now > self._stop_at):
            self._leave_at = now + LEAVE_SECONDS
            tell_workers()
        if self._leave_at and now > self._leave_at and not self._interrupted and in_main_thread():
            # As Ctrl-C does, which Tune obeys at once; the epoch is trained again later.
            self._interrupted = True
            signal.raise_signal(signal.SIGINT)


class PlanSearcher(Searcher):  # type: ignore[misc]
    """Ray's searcher, which asks the plan for a job only when a worker is free.

    Ray would ask ahead of time: proposals would miss results that they could have learned from, and their
    order would depend on timing.

    Args:
        bridge: plan and jobs.
        evaluator: evaluator of the jobs.
        fixed: configuration that all trials share.
    """

    def __init__(self, bridge: Bridge, evaluator: EvaluatorSpec, fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self._bridge = bridge
        self._fixed = {"evaluator": evaluator.to_json(), **fixed}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the configuration of a new trial, None for later, or FINISHED."""
        job = self._bridge.next(trial_id)
        if job is not None:
            # The network by itself is for users of a tracker.
            network = {"digest": job.architecture.digest, "architecture": job.architecture.text}
            return {"job": job.to_json(), **network, **self._fixed}
        return str(Searcher.FINISHED) if self._bridge.over else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note that a trial has ended, was stopped by the scheduler or failed too often."""
        del result
        self._bridge.on_end(trial_id, failed=error)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the record is the state."""


class PlanScheduler(TrialScheduler):  # type: ignore[misc]
    """Ray's scheduler, which asks the plan after every result whether a trial continues."""

    # Every result needs a decision of its own.
    _supports_buffered_results = False

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Continue or stop a trial; none is paused, since a held candidate returns as a new trial."""
        del tune_controller
        continues = self._bridge.observe(trial, _unflatten(result))
        return str(TrialScheduler.CONTINUE if continues else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Keep the reason; Ray retries the trial up to its limit."""
        del tune_controller
        self._bridge.on_lost(trial, *_last_error(trial))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the oldest trial that waits for a worker."""
        waiting = [trial for trial in tune_controller.get_trials() if trial.status == Trial.PENDING]
        if self._bridge.stopping:
            # They might never start.
            for trial in waiting:
                tune_controller.stop_trial(trial)
            return None
        return next(iter(waiting), None)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Name the trial's folder, without which Ray cannot list a trial that never started."""
        del tune_controller
        trial.init_local_path()

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Do nothing."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Do nothing."""

    def debug_string(self) -> str:
        """Return the description that Ray prints."""
        return "Pareto-rank successive halving"


class Ticker(Callback):  # type: ignore[misc]
    """Ray's callback, which sends the plan's progress at most twice a second.

    Args:
        bridge: plan and jobs.
        seconds: least seconds between two reports of progress.
    """

    def __init__(self, bridge: Bridge, seconds: float = 0.5) -> None:
        self._bridge = bridge
        self._seconds = seconds
        self._last = -float("inf")

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note that a trial has started on a worker; called by Ray."""
        del iteration, trials, info
        self._bridge.on_start(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Check the workers and send progress; called by Ray about ten times a second."""
        del iteration, trials, info
        self._bridge.raise_error()
        self._bridge.tick()
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self._bridge.plan.on_event(self._bridge.plan.progress())


def _unflatten(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result that a worker sent, which Ray has flattened to keys with slashes."""
    sent: dict[str, Any] = {key: result[key] for key in (*_ALONE, "where", "log") if key in result}
    if not sent.keys().isdisjoint(_ALONE):
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
    """Return the last line of the error file that Ray keeps for a trial, and the end of the whole file."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").strip()
    except (TypeError, OSError):
        return _LOST, ""
    lines = text.splitlines()
    return (lines[-1][:500], text[-_DETAIL_CHARACTERS:]) if lines else (_LOST, "")
