"""Searches on a card: several trainings share it by fractions, and a search of three minutes."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.gpu.given import Facts, Given
from results.pipeline import open_data, open_session
from search_space.progress import ProgressCallback, ignore_progress
from searcher.pilot.planned import resolved
from searcher.plan.events import Event, Measured, PhaseProgress, Started
from searcher.settings.settings import Settings


class Clock:
    """A display that keeps when trainings began and ended, how many ran at a time, and the frontier."""

    def __init__(self) -> None:
        self.most = self.measured = 0
        self.began = self.ended = 0.0
        self.frontier = 0
        self.reasons: list[str] = []
        self.hypervolume = 0.0

    def __call__(self, event: Event) -> None:
        """Hear of the search."""
        if isinstance(event, Started):
            self.began = self.began or time.perf_counter()
        elif isinstance(event, Measured):
            self.ended = time.perf_counter()
            self.measured += event.measurement.status == "complete"
            if event.measurement.status == "failed":
                self.reasons.append(event.measurement.reason)
        elif isinstance(event, PhaseProgress):
            self.most = max(self.most, event.running)
            self.frontier, self.hypervolume = len(event.frontier), event.hypervolume

    def say(self, message: object) -> None:
        """Show nothing."""

    @contextmanager
    def bar(self, title: str) -> Iterator[ProgressCallback]:
        """Show nothing."""
        del title
        yield ignore_progress

    @contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """Show nothing."""
        del title
        yield


class MemoryWatch(threading.Thread):
    """The most memory of the card that all processes together had in use, looked at five times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._over = 0.0, threading.Event()

    def run(self) -> None:
        """Look, until ``stop``."""
        while not self._over.wait(0.2):
            free, whole = torch.cuda.mem_get_info()
            self.most = max(self.most, (whole - free) / 1e9)

    def stop(self) -> float:
        """Return the most gigabytes."""
        self._over.set()
        self.join()
        return self.most


def search(given: Given, workers: int, fraction: float, **changes: Any) -> Facts:
    """Run a search over small networks of the embedded digits; return what came of it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        part: dict[str, Any] = {
            "strategy": "predictor",
            "trials": 3 if given.quick else 10_000,
            "startup": 2 if given.quick else 16,
            "workers": workers,
            "gpus_per_trial": fraction if given.on_cuda else 0,
            "rungs": [1] if given.quick else [2, 4],
            "seeds": [],
        }
        settings = resolved(
            Settings.model_validate(
                {
                    "name": "gpu",
                    "output": folder,
                    "pilot": False,
                    "data": {"kind": "moving-digits", "preset": "tiny"},
                    "search": part | changes,
                }
            )
        )
        clock, watch = Clock(), MemoryWatch() if given.on_cuda else None
        data = open_data(settings, settings.space, clock)
        if watch is not None:
            watch.start()
        with open_session(settings, data, clock) as session:
            session.search()
            proposals = len(session.records.candidates())
    spent = clock.ended - clock.began
    return {
        "gpus per trial": part["gpus_per_trial"],
        "workers": workers,
        "proposals": proposals,
        "measurements": clock.measured,
        "failures": clock.reasons,
        "most at a time": clock.most,
        "seconds": round(spent, 1),
        "measurements a minute": round(60 * clock.measured / spent, 1) if spent else None,
        "networks on the frontier": clock.frontier,
        "hypervolume": clock.hypervolume,
        "GB in use": None if watch is None else round(watch.stop(), 2),
    }


def run_fractions(given: Given) -> Facts:
    """Return measurements a minute of one training at a time, and of four that share the card."""
    # A session each, of which Ray's start takes a part.
    minutes = {} if given.quick else {"budget_minutes": max(0.1, (given.seconds / 2 - 15) / 60)}
    alone = search(given, 1, 1, **minutes)
    shared = search(given, 2 if given.quick else 4, 0.25, **minutes)
    wrong = [reason for each in (alone, shared) for reason in each["failures"][:1]]
    if not given.quick and shared["most at a time"] < 4:
        wrong.append(f"only {shared['most at a time']} trainings shared the card")
    return {"one at a time": alone, "four share": shared, "wrong": wrong}


def run_search(given: Given) -> Facts:
    """Return what a search of three minutes finds."""
    minutes = {} if given.quick else {"budget_minutes": 3}
    found = search(given, 2 if given.quick else 4, 0.25, **minutes)
    nothing = [] if found["measurements"] else ["nothing was measured"]
    return found | {"wrong": found["failures"][:3] + nothing}
