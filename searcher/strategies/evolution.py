"""Strategies that vary good candidates by mutation: of the Pareto front, and aging evolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searcher.pareto import crowding, ranks
from searcher.strategies.domain import Design
from searcher.strategies.history import Observation
from searcher.strategies.strategy import Strategy


class ParetoMutation(Strategy):
    """Mutation of a random member of the front of all measured proposals."""

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Return a member of the front with one to three genes changed."""
        measured = self.ledger.read(history)
        parent = measured.genotypes[int(rng.choice(measured.front))]
        design = self.domain.project(parent.tolist(), rng)
        for _ in range(int(rng.choice((1, 2, 3), p=(0.5, 0.3, 0.2)))):
            design = self._mutated(design, rng)
        return design


class AgingEvolution(Strategy):
    """Regularised evolution (Real et al. 2019): the parent is the best of a sample of the youngest.

    With several objectives, the best is the member of the sample's front with the greatest crowding distance.
    """

    population = 50
    sample = 10

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Return the winner of a tournament with one gene changed."""
        measured = self.ledger.read(history)
        alive = np.arange(max(0, len(measured) - self.population), len(measured))
        drawn = rng.choice(alive, size=min(self.sample, len(alive)), replace=False)
        points = measured.values[drawn]
        # Infeasible proposals come last, the least infeasible first.
        violation = np.maximum(measured.violation[drawn], 0)
        winner = drawn[np.lexsort((-crowding(points), ranks(points), violation))[0]]
        return self._mutated(self.domain.project(measured.genotypes[winner].tolist(), rng), rng)
