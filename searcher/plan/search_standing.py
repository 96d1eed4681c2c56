"""The state of a search, from its record: every candidate as strategies and promotion see it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from search_space.architecture.architecture import Architecture
from searcher.objectives import Objectives
from searcher.promotion.features import architecture_features
from searcher.promotion.halving import RungResult
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.strategies.history import Observation


class SearchStanding:
    """The candidates of a record as observations and as results of rungs; a ``Standing``.

    The values kept between calls only save time: a long search asks thousands of times.

    Args:
        records: record of the run.
        rungs: epochs at which candidates are measured, increasing.

    Attributes:
        running: numbers of the candidates that are on a worker now.
    """

    def __init__(self, records: Records, rungs: Sequence[int]) -> None:
        self.running: set[int] = set()
        self._records, self._rungs = records, tuple(rungs)
        self._features: dict[int, tuple[float, ...]] = {}
        self._results: dict[tuple[int, int], RungResult] = {}
        self._observations: dict[int, tuple[tuple[str, int], Observation]] = {}

    @property
    def _objectives(self) -> Objectives:
        return self._records.objectives

    def history(self) -> list[Observation]:
        """Return all proposals in their order, as strategies see them."""
        return [self._observation(candidate) for candidate in self._records.candidates()]

    def interrupted(self) -> Candidate | None:
        """Return a candidate that should be on a worker and is not."""
        for candidate in self._records.candidates():
            if candidate.state == "open" and candidate.number not in self.running and not candidate.waits:
                return candidate
        return None

    def results(self, rung: int) -> Sequence[Sequence[RungResult]]:
        """Return the results of every rung up to ``rung``."""
        candidates = self._records.candidates()
        return [
            [self._result(candidate, epochs) for candidate in candidates if epochs in candidate.metrics]
            for epochs in self._rungs[: rung + 1]
        ]

    def promoted(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that were promoted from a rung."""
        epochs = self._rungs[rung]
        return {
            candidate.number
            for candidate in self._records.candidates()
            if epochs in candidate.decisions and candidate.decisions[epochs].promoted
        }

    def held(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that are held at a rung."""
        epochs = self._rungs[rung]
        return {
            candidate.number
            for candidate in self._records.candidates()
            if candidate.waits and candidate.epochs == epochs and candidate.number not in self.running
        }

    def expects(self, rung: int) -> bool:
        """Return whether a candidate under way can still be measured at a rung."""
        epochs = self._rungs[rung]
        return any(
            candidate.state == "open" and candidate.epochs < epochs and not candidate.waits
            for candidate in self._records.candidates()
        )

    def _observation(self, candidate: Candidate) -> Observation:
        key = candidate.state, candidate.epochs
        kept = self._observations.get(candidate.number)
        if kept is None or kept[0] != key:
            kept = self._observations[candidate.number] = key, self._new_observation(candidate)
        return kept[1]

    def _new_observation(self, candidate: Candidate) -> Observation:
        is_measured = candidate.metrics and candidate.state != "failed"
        values = self._objectives.values(candidate.latest) if is_measured else None
        return Observation(
            genotype=candidate.genotype,
            macs=candidate.macs,
            values=values,
            rungs_left=sum(epochs > candidate.epochs for epochs in self._rungs),
            pending=candidate.state == "open" and values is None,
            violation=self._objectives.violation(candidate.latest) if values is not None else 0.0,
            exact=candidate.exact,
        )

    def _result(self, candidate: Candidate, epochs: int) -> RungResult:
        result = self._results.get((candidate.number, epochs))
        if result is None:
            result = self._results[candidate.number, epochs] = self._new_result(candidate, epochs)
        return result

    def _new_result(self, candidate: Candidate, epochs: int) -> RungResult:
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
