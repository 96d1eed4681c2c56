"""The state of a search, from its record: every candidate as strategies and promotion see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_space.architecture.architecture import Architecture
from searcher.objectives import Objectives
from searcher.pareto import non_dominated
from searcher.plan.provisional_frontier import FrontierPoint, measured_hypervolume, provisional_frontier
from searcher.promotion.features import architecture_features
from searcher.promotion.halving import RungResult
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.strategies.history import Observation


class SearchStanding:
    """The candidates of a record as observations and as results of rungs; a ``Standing``.

    A long search asks thousands of times: only what has changed in the record since is looked at again.

    Args:
        records: record of the run.
        rungs: epochs at which candidates are measured, increasing.

    Attributes:
        running: numbers of the candidates that are on a worker now.
    """

    def __init__(self, records: Records, rungs: Sequence[int]) -> None:
        self.running: set[int] = set()
        self._records, self._rungs = records, tuple(rungs)
        self._seen = 0
        self._features: dict[int, tuple[float, ...]] = {}
        self._observations: list[Observation] = []
        self._results: dict[int, dict[int, RungResult]] = {epochs: {} for epochs in self._rungs}
        self._sorted: dict[int, list[RungResult]] = {}
        self._promoted: dict[int, set[int]] = {epochs: set() for epochs in self._rungs}
        self._held: dict[int, set[int]] = {epochs: set() for epochs in self._rungs}
        self._under_way: set[int] = set()
        self._told: list[tuple[str, int]] = []
        self._counts: Counter[str] = Counter()
        self._epochs = 0
        # Values at each rung, and the latest; NaN where nothing is measured, or nothing that may count.
        self._values: NDArray[np.float64] = np.empty((0, len(self._rungs), len(self._objectives.names)))
        self._latest: NDArray[np.float64] = np.empty((0, len(self._objectives.names)))

    @property
    def _objectives(self) -> Objectives:
        return self._records.objectives

    def history(self) -> list[Observation]:
        """Return all proposals in their order, as strategies see them."""
        self._update()
        return list(self._observations)

    def interrupted(self) -> Candidate | None:
        """Return a candidate that should be on a worker and is not."""
        self._update()
        missing = self._under_way - self.running
        return self._records.candidate(min(missing)) if missing else None

    def results(self, rung: int) -> Sequence[Sequence[RungResult]]:
        """Return the results of every rung up to ``rung``."""
        self._update()
        for epochs in self._rungs[: rung + 1]:
            if epochs not in self._sorted:
                self._sorted[epochs] = [result for _, result in sorted(self._results[epochs].items())]
        return [self._sorted[epochs] for epochs in self._rungs[: rung + 1]]

    def promoted(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that were promoted from a rung."""
        self._update()
        return self._promoted[self._rungs[rung]]

    def held(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that are held at a rung."""
        self._update()
        return self._held[self._rungs[rung]] - self.running

    def expects(self, rung: int) -> bool:
        """Return whether a candidate under way can still be measured at a rung."""
        self._update()
        return any(self._records.candidate(number).epochs < self._rungs[rung] for number in self._under_way)

    def counts(self) -> Mapping[str, int]:
        """Return the numbers of candidates that are ``failed``, ``stopped`` at a rung, and ``complete``."""
        self._update()
        return self._counts

    def epochs(self) -> int:
        """Return the epochs of all candidates up to their highest rungs."""
        self._update()
        return self._epochs

    def frontier(self) -> tuple[FrontierPoint, ...]:
        """Return the frontier so far; see ``provisional_frontier``."""
        self._update()
        if not self._told:
            return ()
        front = np.flatnonzero(non_dominated(self._latest[: len(self._told)])).tolist()
        return provisional_frontier([self._records.candidate(number) for number in front], self._objectives)

    def hypervolume(self) -> float:
        """Return the hypervolume of all measurements; see ``search_hypervolume``."""
        self._update()
        values = self._values[: len(self._told)].reshape(-1, self._values.shape[2])
        return measured_hypervolume(values[~np.isinf(values).any(axis=1)], self._objectives)

    def _update(self) -> None:
        """Look at the candidates that have changed since the last call."""
        changed = self._records.changed
        for number in sorted(set(changed[self._seen :])):
            self._look_at(self._records.candidate(number))
        self._seen = len(changed)

    def _look_at(self, candidate: Candidate) -> None:
        number, waits = candidate.number, candidate.waits
        rungs_left = sum(epochs > candidate.epochs for epochs in self._rungs)
        observation = observed(candidate, candidate.latest, rungs_left, self._objectives)
        if number == len(self._observations):
            self._observations.append(observation)
        elif self._observations[number] != observation:
            self._observations[number] = observation
        for epochs in self._rungs:
            if epochs in candidate.metrics and number not in self._results[epochs]:
                self._results[epochs][number] = self._result(candidate, epochs)
                self._sorted.pop(epochs, None)
            decision = candidate.decisions.get(epochs)
            _keep(self._promoted[epochs], number, decision is not None and decision.promoted)
            _keep(self._held[epochs], number, waits and candidate.epochs == epochs)
        _keep(self._under_way, number, candidate.state == "open" and not waits)
        self._count(candidate)
        self._note_values(candidate)

    def _count(self, candidate: Candidate) -> None:
        number, kind = candidate.number, str(candidate.state)
        if candidate.state in ("failed", "cancelled"):
            kind = "failed"
        elif candidate.waits or candidate.state == "pruned":
            kind = "stopped"
        if number < len(self._told):
            before, epochs = self._told[number]
            self._counts[before] -= 1
            self._epochs -= epochs
        else:
            self._told.append(("", 0))
        self._told[number] = kind, candidate.epochs
        self._counts[kind] += 1
        self._epochs += candidate.epochs

    def _note_values(self, candidate: Candidate) -> None:
        number = candidate.number
        if number >= len(self._latest):
            more = max(64, len(self._latest))
            # Infinite where there is no measurement: one that is no number is a measurement.
            self._values = np.concatenate([self._values, np.full((more, *self._values.shape[1:]), np.inf)])
            self._latest = np.concatenate([self._latest, np.full((more, self._latest.shape[1]), np.nan)])
        for place, epochs in enumerate(self._rungs):
            metrics = candidate.metrics.get(epochs)
            if metrics is not None and self._objectives.violation(metrics) <= 0:
                self._values[number, place] = self._objectives.values(metrics)
        self._latest[number] = np.nan
        allowed = candidate.state != "failed" and candidate.metrics
        if allowed and self._objectives.violation(candidate.latest) <= 0:
            self._latest[number] = self._objectives.values(candidate.latest)

    def _result(self, candidate: Candidate, epochs: int) -> RungResult:
        if candidate.number not in self._features:
            architecture = Architecture.parse(candidate.architecture)
            self._features[candidate.number] = architecture_features(architecture)
        metrics = candidate.metrics[epochs]
        return RungResult(
            candidate.number,
            self._objectives.values(metrics),
            candidate.macs,
            self._features[candidate.number],
            self._objectives.violation(metrics),
        )


def observed(
    candidate: Candidate, metrics: Mapping[str, float], rungs_left: int, objectives: Objectives
) -> Observation:
    """Return a candidate as strategies see it.

    Args:
        candidate: the candidate; one that failed counts as not measured.
        metrics: metrics of a measurement of it; empty before the first.
        rungs_left: number of rungs above that measurement.
        objectives: objectives and soft constraints of the search.
    """
    is_measured = metrics and candidate.state != "failed"
    values = objectives.values(metrics) if is_measured else None
    return Observation(
        genotype=candidate.genotype,
        macs=candidate.macs,
        values=values,
        rungs_left=rungs_left,
        pending=candidate.state == "open" and values is None,
        violation=objectives.violation(metrics) if values is not None else 0.0,
        exact=candidate.exact,
    )


def _keep(members: set[int], number: int, belongs: bool) -> None:
    """Put a number into a set, or out of it."""
    if belongs:
        members.add(number)
    else:
        members.discard(number)
