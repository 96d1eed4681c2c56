"""The history of a run as arrays: the measured proposals, the best of them, and those under way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_space.genes.space_genes import Genotype
from searcher.pareto import best_first, non_dominated


@dataclass(frozen=True, slots=True)
class Observation:
    """An earlier proposal as strategies see it.

    Args:
        genotype: choice of every gene.
        macs: primary cost, over which proposals are spread.
        values: value of every objective, to minimise (see ``Objective.to_minimise``); None before the first
            measurement, or if it failed. A proposal with a value that is not finite counts as failed.
        rungs_left: number of rungs at which it was not measured; values compare well only at the same number.
        pending: whether it is under way without a measurement.
        violation: violation of soft constraints; infeasible above 0.
        exact: whether the genotype is that of the proposal itself; else it is of the nearest network, which
            was not proposed.
    """

    genotype: Genotype
    macs: float
    values: tuple[float, ...] | None
    rungs_left: int = 0
    pending: bool = False
    violation: float = 0.0
    exact: bool = True

    @property
    def is_measured(self) -> bool:
        """Whether it has been measured, with finite values."""
        return self.values is not None and all(map(math.isfinite, self.values))


@dataclass(frozen=True)
class History:
    """The measured proposals of a run.

    Args:
        numbers: numbers of the proposals, ascending, shape (n,).
        genotypes: choices of every gene, shape (n, genes).
        values: values of the objectives, to minimise, shape (n, objectives).
        costs: primary costs, shape (n,).
        rungs_left: numbers of rungs that a proposal was not measured at, shape (n,).
        violation: violations of soft constraints, shape (n,).
    """

    numbers: NDArray[np.int64]
    genotypes: NDArray[np.int64]
    values: NDArray[np.float64]
    costs: NDArray[np.float64]
    rungs_left: NDArray[np.int64]
    violation: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def front(self) -> NDArray[np.int64]:
        """Rows of the non-dominated feasible proposals; of the least infeasible ones if none is feasible."""
        allowed = np.flatnonzero(self.violation <= max(0.0, float(self.violation.min(initial=np.inf))))
        front: NDArray[np.int64] = allowed[non_dominated(self.values[allowed])]
        return front

    def best(self, count: int) -> NDArray[np.int64]:
        """Return at most ``count`` rows, best first: by rank, then crowding; infeasible ones by violation."""
        feasible = np.flatnonzero(self.violation <= 0)
        order = feasible[best_first(self.values[feasible])] if len(feasible) else feasible
        others = np.flatnonzero(self.violation > 0)
        others = others[np.argsort(self.violation[others], kind="stable")]
        rows: NDArray[np.int64] = np.concatenate([order, others])[:count]
        return rows


class Ledger:
    """Observations turned into arrays; of observations that it has seen before, only new ones cost time.

    Attributes:
        genotypes: genotypes that were proposed.
        pending: numbers of the proposals that are under way.
    """

    def __init__(self) -> None:
        self.genotypes: set[Genotype] = set()
        self.pending: list[int] = []
        self._seen: list[Observation] = []
        self._capacity = 0
        self._values: NDArray[np.float64] = np.empty((0, 2))

    def read(self, history: Sequence[Observation]) -> History:
        """Return the measured proposals of a history, and update the attributes."""
        if len(history) < len(self._seen):
            # The history of another run, or an earlier state of this one.
            self.genotypes, self._seen, self._capacity = set(), [], 0
        self._grow(len(history), history)
        changed = [
            number
            for number, (old, new) in enumerate(zip(self._seen, history, strict=False))
            if old is not new and old != new
        ]
        for number in (*changed, *range(len(self._seen), len(history))):
            self._store(number, history[number])
        self._seen = list(history)
        self.pending = [number for number, observation in enumerate(history) if observation.pending]
        rows = np.flatnonzero(self._is_measured[: len(history)])
        return History(
            rows,
            self._genotypes[rows],
            self._values[rows],
            self._costs[rows],
            self._rungs_left[rows],
            self._violation[rows],
        )

    def _grow(self, size: int, history: Sequence[Observation]) -> None:
        """Make room for ``size`` proposals, and for the objectives once one is measured."""
        objectives = next((len(o.values) for o in history if o.values is not None), 2)
        if size <= self._capacity and self._values.shape[1] == objectives:
            return
        self._seen, self._capacity = [], max(64, 2 * size)
        self._genotypes = np.zeros(
            (self._capacity, len(history[0].genotype) if history else 0), dtype=np.int64
        )
        self._values = np.full((self._capacity, objectives), np.nan)
        self._costs, self._violation = np.zeros(self._capacity), np.zeros(self._capacity)
        self._rungs_left = np.zeros(self._capacity, dtype=np.int64)
        self._is_measured = np.zeros(self._capacity, dtype=bool)

    def _store(self, number: int, observation: Observation) -> None:
        """Write an observation into the row of its proposal."""
        if observation.exact:
            self.genotypes.add(observation.genotype)
        self._genotypes[number] = observation.genotype
        self._is_measured[number] = observation.is_measured
        if observation.is_measured:
            assert observation.values is not None
            self._values[number] = observation.values
        self._costs[number], self._violation[number] = observation.macs, observation.violation
        self._rungs_left[number] = observation.rungs_left
