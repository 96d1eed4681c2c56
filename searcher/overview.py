"""How far a run is, read from its folder alone, while it works or after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from proxy_train.measurement import Measurement
from searcher.lease import holder
from searcher.progress import FrontierPoint, frontier_so_far
from searcher.records import Records


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
    """

    name: str
    driver: str | None
    candidates: dict[str, int]
    measurements: dict[str, dict[str, int]]
    failures: tuple[Measurement, ...]
    frontier: tuple[FrontierPoint, ...]
    hypervolume: float
    objectives: tuple[str, ...]

    def text(self) -> str:
        """A few lines for a terminal."""
        lines = [f"{self.name}: {'driven by ' + self.driver if self.driver else 'nobody is working on it'}"]
        if self.candidates:
            lines.append(f"candidates: {_counts(self.candidates)}")
        lines += [f"{purpose}: {_counts(states)}" for purpose, states in self.measurements.items()]
        lines += [f"failed: {each.digest} ({each.purpose}): {each.reason}" for each in self.failures]
        lines.append(f"hypervolume of the search: {self.hypervolume:.3f}")
        return "\n".join(lines)


def overview(run_dir: Path) -> Overview:
    """Read a run's record, without disturbing whoever writes it.

    Raises:
        RecordError: there is no run in the folder, or its record cannot be read.
    """
    records = Records.reading(run_dir)
    candidates, measurements = records.candidates(), records.measurements()
    costs = [each.macs for each in candidates]
    low, high = (min(costs), max(costs)) if costs else (1, 2)
    frontier, volume = frontier_so_far(candidates, records.objectives, low, high)
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
        frontier=frontier,
        hypervolume=volume,
        objectives=records.objectives.names,
    )


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())
