"""Finished measurements as a domain: designs are chosen from a table as networks from a space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_space.errors import SpaceError
from search_space.genes.space_genes import Genotype
from search_space.genes.stage_genes import Gene
from searcher.objectives import log_cost
from searcher.strategies.domain import Design

_NEAREST = 8


@dataclass(frozen=True)
class Table:
    """The measurements of a set of designs.

    Args:
        name: name for people.
        genes: gene of each column of ``genotypes``.
        genotypes: genotypes of the rows, no two the same, shape (n, genes).
        digests: digest of each row.
        objectives: names of the objectives, accuracy first.
        primary: cost over which proposals are spread, known before a measurement, shape (n,).
        accuracy: accuracies by row, rung and repeat, fractions, shape (n, rungs, repeats); NaN where missing.
        costs: measured values of the other objectives, shape (n, objectives - 1).
        known: whether each cost is known before a measurement.
        seconds: seconds of a training up to each rung, shape (n, rungs).
        worth: accuracy of each row without the luck of its seeds, shape (n,); None takes the mean of its
            repeats at the last rung.
    """

    name: str
    genes: tuple[Gene, ...]
    genotypes: NDArray[np.int64]
    digests: Sequence[str]
    objectives: tuple[str, ...]
    primary: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    costs: NDArray[np.float64]
    known: tuple[bool, ...]
    seconds: NDArray[np.float64]
    worth: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class TableDesign(Design):
    """A row of a table.

    Args:
        name: digest of the row.
    """

    name: str

    @property
    def digest(self) -> str:
        """Digest of the row."""
        return self.name


class TableDomain:
    """The rows of a table as designs; a genotype without a row stands for one near it.

    Args:
        table: table of measurements.
        window: lowest and highest primary cost; by default those of the table.
    """

    def __init__(self, table: Table, window: tuple[float, float] | None = None) -> None:
        self.table = table
        self.genes: Sequence[Gene] = table.genes
        self.objectives = table.objectives
        self.count = len(table.genotypes)
        primary = table.primary
        self.window = (float(primary.min()), float(primary.max())) if window is None else window
        self._inside = (primary >= self.window[0]) & (primary <= self.window[1])
        self._order = np.argsort(primary, kind="stable")
        self._sorted = primary[self._order]
        self._genotypes: list[Genotype] = [tuple(row) for row in table.genotypes.tolist()]
        self._rows = {genotype: row for row, genotype in enumerate(self._genotypes)}
        spread = [max(gene.choices - 1, 1) if gene.ordered else 0 for gene in table.genes]
        self._spread = np.array(spread)

    def row(self, design: Design) -> int:
        """Return the row of a design in the table."""
        return self._rows[design.genotype]

    def at(self, row: int) -> Design:
        """Return the design of a row."""
        costs = self.table.costs[row].tolist()
        known = tuple(
            log_cost(cost) if is_known else None
            for cost, is_known in zip(costs, self.table.known, strict=True)
        )
        primary = float(self.table.primary[row])
        return TableDesign(self._genotypes[row], primary, (None, *known), self.table.digests[row])

    def design(self, genotype: Sequence[int]) -> Design:
        """Return the design of a genotype, or that of the row nearest to it."""
        row = self._rows.get(tuple(genotype))
        return self.at(self._near(genotype, np.ones(self.count, dtype=bool), None) if row is None else row)

    def inside(self, design: Design) -> bool:
        """Return whether a design lies inside the window."""
        return self.window[0] <= design.cost <= self.window[1]

    def _distance(self, genotype: Sequence[int]) -> NDArray[np.float64]:
        """Return the distance of every row, shape (n,): 1 a gene, and 0.5 to 1 an ordered gene."""
        steps = np.abs(self.table.genotypes - np.asarray(genotype))
        ordered = 0.5 + 0.5 * steps / np.maximum(self._spread, 1)
        by_gene = np.where(steps == 0, 0, np.where(self._spread > 0, ordered, 1))
        distances: NDArray[np.float64] = by_gene.sum(axis=1)
        return distances

    def _near(
        self, genotype: Sequence[int], allowed: NDArray[np.bool_], rng: np.random.Generator | None
    ) -> int:
        """Return one of the nearest allowed rows; the nearest itself without random numbers."""
        distance = np.where(allowed, self._distance(genotype), np.inf)
        if rng is None:
            return int(np.argmin(distance))
        least = distance.min()
        if not math.isfinite(least):
            raise SpaceError(
                f"table {self.table.name} has no other row inside the window", hint="widen the window"
            )
        ties = np.flatnonzero(distance <= least + 1e-9)
        if len(ties) < _NEAREST:
            ties = np.argsort(distance, kind="stable")[: min(_NEAREST, int(np.isfinite(distance).sum()))]
        return int(rng.choice(ties))

    def random(self, rng: np.random.Generator, low: float, high: float) -> Design:
        """Return a row near to a primary cost drawn from ``low`` to ``high``, uniform in its logarithm.

        Raises:
            SpaceError: there is no row from ``low`` to ``high``.
        """
        first, last = np.searchsorted(self._sorted, [max(low, self.window[0]), min(high, self.window[1])])
        last += int(last < self.count and self._sorted[last] <= min(high, self.window[1]))
        if first >= last:
            raise SpaceError(
                f"table {self.table.name} has no row from {low:.4g} to {high:.4g}",
                hint=f"its rows have {self._sorted[0]:.4g} to {self._sorted[-1]:.4g}",
            )
        costs = np.log(self._sorted[first:last])
        target = costs[0] + rng.random() * (costs[-1] - costs[0])
        near = np.argsort(np.abs(costs - target), kind="stable")[:_NEAREST]
        return self.at(int(self._order[first + int(rng.choice(near))]))

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """Return a row one gene away, or one of the nearest if there is none."""
        rows = self._one_away(design.genotype)
        if rows:
            return self.at(rows[int(rng.integers(len(rows)))])
        allowed = self._inside.copy()
        allowed[self.row(design)] = False
        return self.at(self._near(design.genotype, allowed, rng))

    def _one_away(self, genotype: Sequence[int]) -> list[int]:
        """Return the rows inside the window that differ in one gene."""
        rows = []
        for place, gene in enumerate(self.genes):
            for value in range(gene.choices):
                row = self._rows.get((*genotype[:place], value, *genotype[place + 1 :]))
                if row is not None and value != genotype[place] and self._inside[row]:
                    rows.append(row)
        return rows

    def project(self, genotype: Sequence[int], rng: np.random.Generator) -> Design:
        """Return the row of a genotype, or one of those nearest to it inside the window."""
        row = self._rows.get(tuple(genotype))
        if row is not None and self._inside[row]:
            return self.at(row)
        return self.at(self._near(genotype, self._inside, rng))

    def variants(self, genotype: Sequence[int], rng: np.random.Generator, count: int) -> list[Design]:
        """Return at most ``count`` rows one gene away, or if there are none, of the nearest rows."""
        rows = self._one_away(genotype)
        if len(rows) > count:
            rows = rng.choice(rows, size=count, replace=False).tolist()
        elif not rows:
            distance = np.where(self._inside, self._distance(genotype), np.inf)
            distance[distance == 0] = np.inf
            size = min(count, _NEAREST, int(np.isfinite(distance).sum()))
            rows = np.argsort(distance, kind="stable")[:size].tolist()
        return [self.at(row) for row in rows]

    def enumerate(self) -> Iterator[Design]:
        """Return an iterator over every row inside the window."""
        return map(self.at, np.flatnonzero(self._inside).tolist())
