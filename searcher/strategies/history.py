"""What is known of a run as arrays: the measured proposals, the best of them, and those under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_space.genes.space_genes import Genotype
from searcher.observation import Observation
from searcher.pareto import best_first, non_dominated


@dataclass(frozen=True)
class Known:
    """The measured proposals of a run.

    Args:
        numbers: of the proposals, ascending, shape (n,).
        genotypes: shape (n, genes).
        values: to minimise, shape (n, objectives).
        costs: the primary cost, shape (n,).
        rungs_left: shape (n,).
        violation: of soft constraints, shape (n,).
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
        """Rows of the non-dominated feasible ones; of the least infeasible ones if none is feasible."""
        allowed = np.flatnonzero(self.violation <= max(0.0, float(self.violation.min(initial=np.inf))))
        front: NDArray[np.int64] = allowed[non_dominated(self.values[allowed])]
        return front

    def best(self, count: int) -> NDArray[np.int64]:
        """Up to so many rows, the best first: by rank, ties by crowding; infeasible ones by violation."""
        feasible = np.flatnonzero(self.violation <= 0)
        order = feasible[best_first(self.values[feasible])] if len(feasible) else feasible
        others = np.flatnonzero(self.violation > 0)
        others = others[np.argsort(self.violation[others], kind="stable")]
        rows: NDArray[np.int64] = np.concatenate([order, others])[:count]
        return rows


class Ledger:
    """Turns a history into arrays; of a history that it has seen before, only what is new costs time.

    Attributes:
        genotypes: all that were proposed.
        pending: numbers of the proposals that are under way.
    """

    def __init__(self) -> None:
        self.genotypes: set[Genotype] = set()
        self.pending: list[int] = []
        self._seen: list[Observation] = []
        self._room = 0
        self._values: NDArray[np.float64] = np.empty((0, 2))

    def read(self, history: Sequence[Observation]) -> Known:
        """The measured proposals."""
        if len(history) < len(self._seen):
            # Another run's, or an earlier state of this one.
            self.genotypes, self._seen, self._room = set(), [], 0
        self._grow(len(history), history)
        changed = [
            number
            for number, (old, new) in enumerate(zip(self._seen, history, strict=False))
            if old is not new and old != new
        ]
        for number in (*changed, *range(len(self._seen), len(history))):
            self._write(number, history[number])
        self._seen = list(history)
        self.pending = [number for number, each in enumerate(history) if each.pending]
        rows = np.flatnonzero(self._known[: len(history)])
        return Known(
            rows,
            self._genotypes[rows],
            self._values[rows],
            self._costs[rows],
            self._rungs_left[rows],
            self._violation[rows],
        )

    def _grow(self, size: int, history: Sequence[Observation]) -> None:
        """Makes room for so many proposals, and for the objectives once one is measured."""
        objectives = next((len(each.values) for each in history if each.values is not None), 2)
        if size <= self._room and self._values.shape[1] == objectives:
            return
        self._seen, self._room = [], max(64, 2 * size)
        self._genotypes = np.zeros((self._room, len(history[0].genotype) if history else 0), dtype=np.int64)
        self._values = np.full((self._room, objectives), np.nan)
        self._costs, self._violation = np.zeros(self._room), np.zeros(self._room)
        self._rungs_left = np.zeros(self._room, dtype=np.int64)
        self._known = np.zeros(self._room, dtype=bool)

    def _write(self, number: int, each: Observation) -> None:
        self.genotypes.add(each.genotype)
        self._genotypes[number] = each.genotype
        self._known[number] = each.known
        if each.known:
            assert each.values is not None
            self._values[number] = each.values
        self._costs[number], self._violation[number] = each.macs, each.violation
        self._rungs_left[number] = each.rungs_left
