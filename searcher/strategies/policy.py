"""The strategy that proposes what a controller has learnt, while the shared weights were trained: TuNAS."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from searcher.strategies.domain import Design
from searcher.strategies.history import Observation
from searcher.strategies.strategy import Strategy


class PolicySampling(Strategy):
    """Draws from a policy, the most probable choices first; without a policy, from an even one."""

    _policy: tuple[tuple[float, ...], ...] = ()

    def follow(self, policy: Sequence[Sequence[float]]) -> None:
        """Propose by a policy from now on.

        Args:
            policy: probabilities of each gene's choices.
        """
        self._policy = tuple(map(tuple, policy))

    def propose(self, history: Sequence[Observation], taken: Container[str]) -> Design:
        """Return the next design; see ``Strategy``. A policy needs no startup."""
        if not self._policy:
            return super().propose(history, taken)
        rng = np.random.default_rng([self.seed, len(history)])
        best = self.domain.project([int(np.argmax(row)) for row in self._policy], rng)
        design = self.idea(history, rng) if best.digest in taken else best
        return self._new_design(design, taken, len(history), rng)

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Return a draw from the policy, or the nearest design inside the windows."""
        del history
        policy = self._policy or [[1 / gene.choices] * gene.choices for gene in self.domain.genes]
        return self.domain.project(
            [int(rng.choice(len(row), p=np.array(row) / sum(row))) for row in policy], rng
        )
