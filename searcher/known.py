"""What is known of a run as arrays: the measured proposals, the best of them, and those under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from searcher.pareto import best_first, ranks
from searcher.strategy import Observation


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

    @classmethod
    def of(cls, history: Sequence[Observation]) -> Known:
        """The measured ones of a history."""
        rows = [(number, each) for number, each in enumerate(history) if each.known]
        return cls(
            np.array([number for number, _ in rows], dtype=np.int64),
            np.array([each.genotype for _, each in rows], dtype=np.int64),
            np.array([each.values for _, each in rows], dtype=np.float64),
            np.array([each.macs for _, each in rows], dtype=np.float64),
            np.array([each.rungs_left for _, each in rows], dtype=np.int64),
            np.array([each.violation for _, each in rows], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def front(self) -> NDArray[np.int64]:
        """Rows of the non-dominated feasible ones; of the least infeasible ones if none is feasible."""
        allowed = np.flatnonzero(self.violation <= max(0.0, float(self.violation.min(initial=np.inf))))
        front: NDArray[np.int64] = allowed[ranks(self.values[allowed]) == 0]
        return front

    def best(self, count: int) -> NDArray[np.int64]:
        """Up to so many rows, the best first: by rank, ties by crowding; infeasible ones by violation."""
        feasible = np.flatnonzero(self.violation <= 0)
        order = feasible[best_first(self.values[feasible])] if len(feasible) else feasible
        others = np.flatnonzero(self.violation > 0)
        others = others[np.argsort(self.violation[others], kind="stable")]
        rows: NDArray[np.int64] = np.concatenate([order, others])[:count]
        return rows
