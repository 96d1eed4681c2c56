"""Workers that hang or take too long are killed, by a clock of the test's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from searcher.cluster.capacity import FaultTolerance
from searcher.cluster.watchdog import Watchdog
from searcher.plan.job import Job
from tests.searcher.searching import search


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def trial(name: str) -> Any:
    """Return what the watchdog knows of a Ray trial whose worker process is gone already."""
    return SimpleNamespace(trial_id=name, max_failures=3, temporary_state=SimpleNamespace(ray_actor=None))


@pytest.mark.parametrize(
    ("limit", "stall", "seconds", "reason", "retries"),
    [
        (None, 60.0, 59.0, "", 3),
        (None, 60.0, 61.0, "it hung: no epoch was finished within 1 minutes", 3),
        (0.5, None, 29.0, "", 3),
        (0.5, None, 31.0, "it took more than 0.5 minutes", 0),
        (0.5, 10.0, 11.0, "it hung: no epoch was finished within 0.166667 minutes", 3),
        (None, None, 1e6, "", 3),
    ],
)
def test_a_silent_worker_is_killed_when_its_time_is_over(
    limit: float | None, stall: float | None, seconds: float, reason: str, retries: int, tmp_path: Path
) -> None:
    clock = Clock()
    with search(tmp_path, time_limit_minutes=limit) as plan:
        job = plan.next()
        assert job is not None
        dog = Watchdog(plan, FaultTolerance(stall_seconds=stall), clock)
        jobs: dict[str, Job] = {"a": job}
        working = trial("a")
        dog.heard(working)
        clock.now += seconds
        assert dog.check(jobs) == 0.0, "something is on a worker"
        assert working.max_failures == retries, "what took too long is not tried again"
        assert dog.forget("a") == reason and dog.forget("a") == ""


def test_a_sign_of_life_starts_the_time_anew_and_idle_time_is_told(tmp_path: Path) -> None:
    clock = Clock()
    with search(tmp_path) as plan:
        job = plan.next()
        assert job is not None
        dog, working = Watchdog(plan, FaultTolerance(stall_seconds=60.0), clock), trial("a")
        clock.now += 7
        assert dog.check({"a": job}) == 7.0, "handed out, and on no worker yet"
        assert dog.check({}) == 0.0, "nothing is handed out"
        for _ in range(3):
            dog.heard(working)
            clock.now += 50
            dog.check({"a": job})
        assert dog.forget("a") == ""
