"""The predictor: a Gaussian process learns the objectives, and the design that promises most is proposed.

Its candidates are a pool spread over the cost range and mutations of the best; the promise is the expected
gain of hypervolume, pending candidates taken as measured. Where it has not shown that it ranks designs better
than their cost does, on measurements that were held out, another strategy proposes.
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
from searcher.strategies.predictor.surrogate import Fits, PredictorQuality, Surrogate
from searcher.strategies.strategy import Strategy

_LOG = logging.getLogger(__name__)
_POOL = 600
_PARENTS, _CHILDREN = 16, 4
_ROUNDS, _CLIMBERS, _STEPS = 2, 4, 8
_MUTATIONS = 0.15
"""The share of proposals that are mutations, whatever is promised: a model is never told what it overlooks
where it never looks."""


class Predictor(Strategy):
    """See the module.

    Attributes:
        quality: of the predictor when it was last asked; None before.
    """

    def __init__(self, domain: Domain, seed: int, startup: int) -> None:
        super().__init__(domain, seed, startup)
        self.quality: PredictorQuality | None = None
        self._untrained = Tpe(domain, seed, startup)
        self._mutation = ParetoMutation(domain, seed, startup)
        self._untrained.ledger = self._mutation.ledger = self.ledger
        # All that follows only saves time.
        self._fits = Fits()
        self._pool: list[Design] = []
        self._pending: dict[Genotype, Design] = {}

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """The most promising candidate, now and then a mutation, or what another strategy proposes."""
        known = self.ledger.read(history)
        model = Surrogate(self.domain, known, len(history), self._fits)
        if model.quality != self.quality:
            self.quality = model.quality
            _LOG.info("predictor after %d proposals: %s", len(history), self.quality)
        if not model.quality.trusted:
            return self._untrained.idea(history, rng)
        if rng.random() < _MUTATIONS:
            return self._mutation.idea(history, rng)
        model.look(self._spread(), self._under_way(history))
        return self._climb(model, known, rng) or self._mutation.idea(history, rng)

    def _climb(self, model: Surrogate, known: History, rng: np.random.Generator) -> Design | None:
        """The best of the pool and of the front's mutations, and then of their mutations."""
        gone = self.ledger.genotypes
        front = known.front
        parents = rng.choice(front, size=_PARENTS, replace=len(front) < _PARENTS)
        fresh = [each for each in self._spread() if each.genotype not in gone]
        fresh += self._varied([tuple(row) for row in known.genotypes[parents].tolist()], _CHILDREN, rng)
        best, most = None, -1.0
        for _ in range(1 + _ROUNDS):
            if not fresh:
                break
            promise = model.promise(fresh)
            order = np.argsort(-promise, kind="stable").tolist()
            if promise[order[0]] > most:
                best, most = fresh[order[0]], float(promise[order[0]])
            fresh = self._varied([fresh[place].genotype for place in order[:_CLIMBERS]], _STEPS, rng)
        return best

    def _varied(self, parents: Sequence[Genotype], count: int, rng: np.random.Generator) -> list[Design]:
        """New designs one gene away."""
        found = [each for parent in parents for each in self.domain.variants(parent, rng, count)]
        return [
            each
            for each in {each.genotype: each for each in found}.values()
            if each.genotype not in self.ledger.genotypes
        ]

    def _spread(self) -> list[Design]:
        """Random designs over the whole cost range, drawn once."""
        if not self._pool:
            rng = np.random.default_rng([self.seed, 1])
            drawn = [self.stratified(number, rng) for number in range(_POOL)]
            self._pool = list({each.genotype: each for each in drawn}.values())
        return self._pool

    def _under_way(self, history: Sequence[Observation]) -> list[Design]:
        """The designs of pending proposals."""
        genotypes = [history[number].genotype for number in self.ledger.pending]
        self._pending = {each: self._pending.get(each) or self.domain.design(each) for each in genotypes}
        return list(self._pending.values())
