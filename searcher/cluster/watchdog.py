"""A watchdog that kills workers whose jobs hang or take too long, and times idle clusters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ray
from ray.tune.experiment import Trial

from searcher.cluster.capacity import FaultTolerance
from searcher.plan.job import Job
from searcher.plan.plan import Plan


@dataclass
class _Working:
    """A Ray trial on a worker.

    Args:
        trial: the trial.
        since: time of its last sign of life, by the monotonic clock.
        killed: reason why its worker was killed, empty if it was not.
    """

    trial: Trial
    since: float
    killed: str = ""


class Watchdog:
    """The Ray trials that are on a worker, and their last signs of life.

    Args:
        plan: plan whose jobs run, for the time limit of each.
        faults: limits after which a worker counts as hung.
        clock: function that returns a time in seconds, from any start.
    """

    def __init__(
        self, plan: Plan, faults: FaultTolerance, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan, self._faults, self._clock = plan, faults, clock
        self._working: dict[str, _Working] = {}
        self._idle_since = clock()

    def heard(self, trial: Trial) -> None:
        """Note that a trial has started on a worker, or finished an epoch there."""
        self._working[trial.trial_id] = _Working(trial, self._clock())

    def forget(self, trial_id: str) -> str:
        """Stop watching a trial; return the reason why it was killed, empty if it was not."""
        working = self._working.pop(trial_id, None)
        return "" if working is None else working.killed

    def check(self, jobs: Mapping[str, Job]) -> float:
        """Kill the workers of overdue jobs; return the seconds since anything was last on a worker.

        Args:
            jobs: jobs that were handed out, by the id of their trial.
        """
        now = self._clock()
        for trial_id, working in self._working.items():
            if trial_id in jobs and not working.killed:
                self._kill_if_overdue(jobs[trial_id], working, now - working.since)
        if self._working:
            self._idle_since = now
        return now - self._idle_since if jobs else 0.0

    def _kill_if_overdue(self, job: Job, working: _Working, silent: float) -> None:
        """Kill the worker of a job that hangs or has taken too long, whatever its process is doing."""
        allowed, stall = self._plan.allowed(job), self._faults.stall_seconds
        if allowed is not None and self._plan.spent(job) + silent > allowed:
            working.killed = f"it took more than {allowed / 60:g} minutes"
            # A retry would only take longer.
            working.trial.max_failures = 0
        elif stall is not None and silent > stall:
            working.killed = f"it hung: no epoch was finished within {stall / 60:g} minutes"
        else:
            return
        actor = working.trial.temporary_state.ray_actor
        if actor is not None:
            ray.kill(actor)
