"""Strategies that vary good candidates by mutation: of the Pareto front, and aging evolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searcher.pareto import crowding, ranks
from searcher.strategies.domain import Design
from searcher.strategies.history import Observation
from searcher.strategies.strategy import Strategy


class ParetoMutation(Strategy):
    """Mutates a random member of the front of everything known so far."""

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """One to three genes changed in a member of the front."""
        known = self.ledger.read(history)
        parent = known.genotypes[int(rng.choice(known.front))]
        design = self.domain.project(parent.tolist(), rng)
        for _ in range(int(rng.choice((1, 2, 3), p=(0.5, 0.3, 0.2)))):
            design = self._mutated(design, rng)
        return design


class AgingEvolution(Strategy):
    """Regularised evolution (Real et al. 2019): parents are the best of a sample of the youngest.

    With several objectives, the best of a sample is one of its front, the one with the most room around it.
    """

    population = 50
    sample = 10

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """One gene changed in the winner of a tournament."""
        known = self.ledger.read(history)
        alive = np.arange(max(0, len(known) - self.population), len(known))
        drawn = rng.choice(alive, size=min(self.sample, len(alive)), replace=False)
        points = known.values[drawn]
        # Infeasible ones come last, the least infeasible first.
        bad = np.maximum(known.violation[drawn], 0)
        winner = drawn[np.lexsort((-crowding(points), ranks(points), bad))[0]]
        return self._mutated(self.domain.project(known.genotypes[winner].tolist(), rng), rng)
