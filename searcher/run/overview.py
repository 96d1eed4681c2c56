"""How far a run is, read from its folder alone, while it works or after."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from proxy_train.measurement import Measurement
from searcher.cluster.heartbeat import Beat, last_beat
from searcher.plan.provisional_frontier import FrontierPoint, provisional_frontier, search_hypervolume
from searcher.record.lease import holder
from searcher.record.records import Records

_SILENCE = 60.0
_NODES = 8


@dataclass(frozen=True)
class Overview:
    """Where a run stands.

    Args:
        name: of the run.
        driver: who writes it now, such as ``process 12 on host``; None if nobody does.
        candidates: of the search, by state.
        measurements: by purpose, then by status.
        failures: measurements that failed, in the record's order.
        frontier: of the search so far, the cheapest first.
        hypervolume: of that frontier.
        objectives: of the search.
        beat: how things were when the driver last said so; None if it never has.
        silent: seconds since then.
    """

    name: str
    driver: str | None
    candidates: dict[str, int]
    measurements: dict[str, dict[str, int]]
    failures: tuple[Measurement, ...]
    frontier: tuple[FrontierPoint, ...]
    hypervolume: float
    objectives: tuple[str, ...]
    beat: Beat | None = None
    silent: float = 0.0

    @property
    def working(self) -> bool:
        """Whether a driver gave a sign of life lately."""
        return self.beat is not None and self.beat.state != "ended" and self.silent < _SILENCE

    def text(self) -> str:
        """A few lines for a terminal."""
        driver = self.driver or (self.beat.driver if self.beat is not None and self.working else None)
        lines = [f"{self.name}: {'driven by ' + driver if driver else 'nobody is working on it'}"]
        if self.beat is not None and self.beat.state != "ended":
            lines += self._now(self.beat)
        if self.candidates:
            lines.append(f"candidates: {_counts(self.candidates)}")
        lines += [f"{purpose}: {_counts(states)}" for purpose, states in self.measurements.items()]
        lines += [f"failed: {each.digest} ({each.purpose}): {each.reason}" for each in self.failures]
        lines.append(f"hypervolume of the search: {self.hypervolume:.3f}")
        return "\n".join(lines)

    def _now(self, beat: Beat) -> list[str]:
        """What the driver said last."""
        if not self.working:
            return [f"its driver, {beat.driver}, was last heard of {_ago(self.silent)} ago"]
        left = "" if beat.seconds_left is None else f"; about {_ago(beat.seconds_left)} left"
        counts = f"{beat.done} of {beat.planned} done, {beat.running} running, {beat.failed} failed"
        lines = [f"{beat.phase} now: {counts}; {beat.hourly:.0f} an hour{left}"]
        if beat.nodes:
            cpus, gpus = sum(node.cpus for node in beat.nodes), sum(node.gpus for node in beat.nodes)
            names = ", ".join(f"{n.name} ({n.cpus:g} CPU, {n.gpus:g} GPU)" for n in beat.nodes[:_NODES])
            more = "" if len(beat.nodes) <= _NODES else f" and {len(beat.nodes) - _NODES} more"
            lines.append(f"nodes: {len(beat.nodes)} with {cpus:g} CPU and {gpus:g} GPU: {names}{more}")
        if beat.waiting:
            lines.append(f"PENDING for {_ago(beat.waiting_seconds)}: {beat.waiting}")
        if beat.state == "stopping":
            lines.append("it was asked to stop, and ends what is under way")
        return lines


def overview(run_dir: Path, storage: str | None = None) -> Overview:
    """Read a run's record, without disturbing whoever writes it.

    Args:
        run_dir: the run's folder, or with ``storage`` its name alone.
        storage: the database of its record, for a machine that does not have the folder.

    Raises:
        RecordError: there is no run in the folder, or its record cannot be read.
    """
    records = reading(run_dir, storage)
    beat = last_beat(records.channel)
    candidates, measurements = records.candidates(), records.measurements()
    purposes = dict.fromkeys(each.purpose for each in measurements)
    return Overview(
        name=records.name,
        driver=holder(run_dir),
        candidates=dict(Counter(each.state for each in candidates)),
        measurements={
            purpose: dict(Counter(each.status for each in measurements if each.purpose == purpose))
            for purpose in purposes
        },
        failures=tuple(each for each in measurements if each.status == "failed"),
        frontier=provisional_frontier(candidates, records.objectives),
        hypervolume=search_hypervolume(candidates, records.objectives),
        objectives=records.objectives.names,
        beat=beat,
        silent=0.0 if beat is None else max(0.0, time.time() - beat.time),
    )


def reading(run_dir: Path, storage: str | None) -> Records:
    """The record of a run by its folder, or by its name and the database."""
    return Records.reading(run_dir) if storage is None else Records.reading_from(storage, run_dir.name)


def _ago(seconds: float) -> str:
    """Such as ``40 seconds``, ``5 minutes``, ``3.2 hours``."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())
