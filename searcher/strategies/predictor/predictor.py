"""The predictor: a Gaussian process learns the objectives, and the most promising design is proposed.

Its candidates are a pool spread over the cost range and mutations of the best; the most promising one has the
greatest expected gain of hypervolume, given those that are pending. Unless it ranks held-out measurements
better than their cost does, another strategy proposes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from search_space.genes.space_genes import Genotype
from searcher.strategies.domain import Design, Domain
from searcher.strategies.evolution import ParetoMutation
from searcher.strategies.history import History, Observation
from searcher.strategies.optuna_samplers import Tpe
from searcher.strategies.predictor.surrogate import FitCache, PredictorQuality, Surrogate
from searcher.strategies.strategy import Strategy

_LOG = logging.getLogger(__name__)
_POOL = 600
_PARENTS, _CHILDREN = 16, 4
_ROUNDS, _CLIMBERS, _STEPS = 2, 4, 8
_MUTATION_SHARE = 0.15
"""Share of proposals that are mutations, whatever the model expects: it cannot learn of regions that it never
proposes from."""


class Predictor(Strategy):
    """The strategy that proposes the design with the greatest expected gain of hypervolume.

    Attributes:
        quality: quality of the predictor at the last proposal; None before the first.
    """

    def __init__(self, domain: Domain, seed: int, startup: int) -> None:
        super().__init__(domain, seed, startup)
        self.quality: PredictorQuality | None = None
        self._untrained = Tpe(domain, seed, startup)
        self._mutation = ParetoMutation(domain, seed, startup)
        self._untrained.ledger = self._mutation.ledger = self.ledger
        # These only save time: no proposal depends on them.
        self._fits = FitCache()
        self._pool: list[Design] = []
        self._pending: dict[Genotype, Design] = {}

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Return the most promising candidate, at times a mutation, or the proposal of another strategy."""
        measured = self.ledger.read(history)
        model = Surrogate(self.domain, measured, len(history), self._fits)
        if model.quality != self.quality:
            self.quality = model.quality
            _LOG.info("predictor after %d proposals: %s", len(history), self.quality)
        if not model.quality.trusted:
            return self._untrained.idea(history, rng)
        if rng.random() < _MUTATION_SHARE:
            return self._mutation.idea(history, rng)
        model.condition(self._designs_of_pool(), self._pending_designs(history))
        return self._climb(model, measured, rng) or self._mutation.idea(history, rng)

    def _climb(self, model: Surrogate, measured: History, rng: np.random.Generator) -> Design | None:
        """Return the most promising design of the pool, the front's variants, and variants of those."""
        proposed = self.ledger.genotypes
        front = measured.front
        parents = rng.choice(front, size=_PARENTS, replace=len(front) < _PARENTS)
        candidates = [design for design in self._designs_of_pool() if design.genotype not in proposed]
        candidates += self._new_variants(
            [tuple(row) for row in measured.genotypes[parents].tolist()], _CHILDREN, rng
        )
        best, most = None, -1.0
        for _ in range(1 + _ROUNDS):
            if not candidates:
                break
            gains = model.expected_gain(candidates)
            order = np.argsort(-gains, kind="stable").tolist()
            if gains[order[0]] > most:
                best, most = candidates[order[0]], float(gains[order[0]])
            candidates = self._new_variants(
                [candidates[place].genotype for place in order[:_CLIMBERS]], _STEPS, rng
            )
        return best

    def _new_variants(
        self, parents: Sequence[Genotype], count: int, rng: np.random.Generator
    ) -> list[Design]:
        """Return new designs one gene away from ``parents``, at most ``count`` of each."""
        variants = [design for parent in parents for design in self.domain.variants(parent, rng, count)]
        distinct = {design.genotype: design for design in variants}
        return [design for design in distinct.values() if design.genotype not in self.ledger.genotypes]

    def _designs_of_pool(self) -> list[Design]:
        """Return random designs over the whole cost range, drawn once."""
        if not self._pool:
            rng = np.random.default_rng([self.seed, 1])
            drawn = [self.stratified(number, rng) for number in range(_POOL)]
            self._pool = list({design.genotype: design for design in drawn}.values())
        return self._pool

    def _pending_designs(self, history: Sequence[Observation]) -> list[Design]:
        """Return the designs of pending proposals."""
        genotypes = [history[number].genotype for number in self.ledger.pending]
        self._pending = {
            genotype: self._pending.get(genotype) or self.domain.design(genotype) for genotype in genotypes
        }
        return list(self._pending.values())
