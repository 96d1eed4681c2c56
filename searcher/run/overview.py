"""An overview of a run, read from its record alone, while it works or afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from proxy_train.measurement import Measurement
from searcher.cluster.heartbeat import Beat, last_beat
from searcher.plan.measured_reliability import MeasuredReliability, measured_reliabilities
from searcher.plan.provisional_frontier import FrontierPoint, provisional_frontier, search_hypervolume
from searcher.record.lease import holder
from searcher.record.records import Records

_SILENT_SECONDS, _TOLD_SECONDS = 60.0, 15.0
_NODES_SHOWN, _OBSTACLES_SHOWN = 8, 8


@dataclass(frozen=True)
class Overview:
    """The state of a run.

    Args:
        name: name of the run.
        driver: process that writes it now, such as ``process 12 on host``; None if there is none.
        candidates: number of the search's candidates by state.
        measurements: number of measurements by purpose, then by status.
        failures: measurements that failed, in the record's order.
        frontier: frontier of the search so far, the cheapest first.
        hypervolume: hypervolume of all measurements of the search.
        objectives: names of the objectives of the search.
        beat: last heartbeat of the driver; None if there is none.
        silent: seconds since the last heartbeat.
        reliabilities: reliability of each kind of training that was repeated, the most thorough last.
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
    reliabilities: tuple[MeasuredReliability, ...] = ()

    @property
    def working(self) -> bool:
        """Whether a driver has given a sign of life within the last minute."""
        return self.beat is not None and self.beat.state != "ended" and self.silent < _SILENT_SECONDS

    def text(self) -> str:
        """Return a few lines for a terminal."""
        driver = self.driver or (self.beat.driver if self.beat is not None and self.working else None)
        lines = [f"{self.name}: {'driven by ' + driver if driver else 'no driver is working on it'}"]
        if self.beat is not None and self.beat.state != "ended":
            lines += self._beat_lines(self.beat)
        if self.candidates:
            lines.append(f"candidates: {_counts(self.candidates)}")
        lines += [f"{purpose}: {_counts(states)}" for purpose, states in self.measurements.items()]
        lines += [
            f"failed: {failure.digest} ({failure.purpose}): {failure.reason}" for failure in self.failures
        ]
        lines += [found.text() for found in self.reliabilities]
        lines.append(f"hypervolume of the search: {self.hypervolume:.3f}")
        return "\n".join(lines)

    def _beat_lines(self, beat: Beat) -> list[str]:
        """Return the last heartbeat in words."""
        if not self.working:
            return [f"its driver, {beat.driver}, has been silent for {_duration(self.silent)}"]
        left = "" if beat.seconds_left is None else f"; about {_duration(beat.seconds_left)} left"
        counts = f"{beat.done} of {beat.planned} done, {beat.running} running, {beat.failed} failed"
        lines = [f"{beat.phase} now: {counts}; {beat.hourly:.0f} an hour{left}"]
        if beat.nodes:
            cpus, gpus = sum(node.cpus for node in beat.nodes), sum(node.gpus for node in beat.nodes)
            names = ", ".join(f"{n.name} ({n.cpus:g} CPU, {n.gpus:g} GPU)" for n in beat.nodes[:_NODES_SHOWN])
            more = "" if len(beat.nodes) <= _NODES_SHOWN else f" and {len(beat.nodes) - _NODES_SHOWN} more"
            lines.append(f"nodes: {len(beat.nodes)} with {cpus:g} CPU and {gpus:g} GPU: {names}{more}")
        if self.silent > _TOLD_SECONDS:
            lines.append(
                f"no sign of life for {_duration(self.silent)}: the driver computes, or it or its database is"
                " cut off"
            )
        lines += [f"WAITING: {obstacle}" for obstacle in beat.obstacles[:_OBSTACLES_SHOWN]]
        if beat.waiting:
            lines.append(f"PENDING for {_duration(beat.waiting_seconds)}: {beat.waiting}")
        if beat.state == "stopping":
            lines.append("it was asked to stop: its trainings finish their epoch")
        return lines


def overview(run_dir: Path, storage: str | None = None) -> Overview:
    """Read the state of a run from its record, while a driver may be writing.

    Args:
        run_dir: folder of the run, or with ``storage`` its name alone.
        storage: address of the record's database, for a machine that does not have the folder.

    Raises:
        RecordError: there is no run in the folder, or its record cannot be read.
    """
    records = reading(run_dir, storage)
    beat = last_beat(records.channel)
    candidates, measurements = records.candidates(), records.measurements()
    purposes = dict.fromkeys(measurement.purpose for measurement in measurements)
    return Overview(
        name=records.name,
        driver=holder(run_dir),
        candidates=dict(Counter(candidate.state for candidate in candidates)),
        measurements={
            purpose: dict(Counter(result.status for result in measurements if result.purpose == purpose))
            for purpose in purposes
        },
        failures=tuple(result for result in measurements if result.status == "failed"),
        frontier=provisional_frontier(candidates, records.objectives),
        hypervolume=search_hypervolume(candidates, records.objectives),
        objectives=records.objectives.names,
        beat=beat,
        silent=0.0 if beat is None else max(0.0, records.channel.now() - beat.time),
        reliabilities=measured_reliabilities(measurements),
    )


def reading(run_dir: Path, storage: str | None) -> Records:
    """Open the record of a run by its folder, or by its name and the database, to look at it."""
    return Records.reading(run_dir) if storage is None else Records.reading_from(storage, run_dir.name)


def _duration(seconds: float) -> str:
    """Return a duration in words, such as ``40 seconds``, ``5 minutes``, ``3.2 hours``."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())
