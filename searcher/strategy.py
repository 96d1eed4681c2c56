"""How the next candidate is chosen: the interface of all strategies, and what they share.

A strategy only has an idea; ``propose`` makes a proposal of it: inside the window of multiply-adds by
construction, and never an architecture that was proposed before. All that a strategy knows comes from the
record, and its generator is seeded from the run's seed and the number of proposals so far, so that a
restarted search goes on as if it had never stopped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_space.architecture import Architecture
from search_space.errors import SpaceError
from search_space.space import Genotype, SearchSpace
from searcher.candidate import Candidate

_TRIES = 64
_ENUMERABLE = 20_000
_GOLDEN = (math.sqrt(5) - 1) / 2


class SpaceExhaustedError(SpaceError):
    """Every architecture that could be found inside the window was proposed before."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a strategy may know about an earlier proposal.

    Args:
        genotype: the choice of every gene.
        macs: multiply-adds of one clip.
        accuracy: top-1 at the highest rung that was measured; None while nothing is known, or if it failed.
        rungs_left: how many rungs it was not measured at; accuracies compare well only at the same number.
        pending: whether it is still under way with nothing known.
    """

    genotype: Genotype
    macs: float
    accuracy: float | None
    rungs_left: int = 0
    pending: bool = False

    @classmethod
    def of(cls, candidate: Candidate, rungs: Sequence[int]) -> Observation:
        """What the record knows about a candidate."""
        left = sum(rung > candidate.epochs for rung in rungs)
        pending = candidate.state == "open" and candidate.accuracy is None
        return cls(candidate.genotype, candidate.macs, candidate.accuracy, left, pending)


class Strategy(ABC):
    """One way to choose candidates; ``searcher.strategies`` has their names.

    Args:
        space: what can be chosen.
        seed: of the run.
        startup: how many proposals are spread over the cost range before the strategy has its say.
        low: least multiply-adds of a proposal.
        high: most multiply-adds of a proposal.
    """

    def __init__(self, space: SearchSpace, seed: int, startup: int, low: float, high: float) -> None:
        self.space = space
        self.seed = seed
        self.startup = startup
        self.low, self.high = low, high

    @abstractmethod
    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Architecture:
        """An architecture of the space, anywhere in it, known or not; ``history`` has some accuracies."""

    def propose(self, history: Sequence[Observation], taken: set[str]) -> Architecture:
        """The next candidate.

        Args:
            history: all proposals of the run in their order, pending and failed ones too.
            taken: digests that must not come again.

        Raises:
            SpaceExhaustedError: there is nothing new left.
        """
        rng = np.random.default_rng([self.seed, len(history)])
        known = sum(each.accuracy is not None for each in history)
        if len(history) < self.startup or known < 2:
            found = self.stratified(len(history), rng)
        else:
            found = self.space.project(self.idea(history, rng), self.low, self.high, rng)
        return self._new(found, taken, rng)

    def stratified(self, number: int, rng: np.random.Generator) -> Architecture:
        """A random architecture from one slice of the cost range; consecutive numbers cover all of it evenly.

        The slices follow the golden ratio, so that any number of proposals is spread without knowing it in
        advance.
        """
        span = math.log(self.high / self.low)
        width = 1 / max(self.startup, 8)
        offset = np.random.default_rng(self.seed).random()
        start = ((number * _GOLDEN + offset) % 1) * (1 - width)
        low = self.low * math.exp(span * start)
        try:
            return self.space.sample_at(rng, low, low * math.exp(span * width))
        except SpaceError:
            # A sparse space has gaps; near them the whole window has to do.
            return self.space.sample_at(rng, self.low, self.high)

    def _new(self, found: Architecture, taken: set[str], rng: np.random.Generator) -> Architecture:
        """``found``, or after ever more mutations something like it, that is in the window and not taken."""
        candidate = found
        for attempt in range(_TRIES):
            if candidate.digest not in taken and self._fits(candidate):
                return candidate
            # Walks of growing length: the neighbourhood of a good candidate is the first to be used up.
            candidate = candidate if attempt % 4 else found
            for _ in range(1 + attempt // 8):
                candidate = self._mutated(candidate, rng)
        if self.space.cardinality <= _ENUMERABLE:
            left = [each for each in self.space.enumerate() if each.digest not in taken and self._fits(each)]
            if left:
                return left[int(rng.integers(len(left)))]
        raise SpaceExhaustedError(
            f"nothing new from {self.low:.4g} to {self.high:.4g} multiply-adds after {len(taken)} proposals",
            hint="widen search.macs, choose a larger space, or ask for fewer trials",
        )

    def _mutated(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        try:
            return self.space.mutate(architecture, rng, self.low, self.high)
        except SpaceError:
            # The window holds nothing else, which the caller finds out.
            return architecture

    def _fits(self, architecture: Architecture) -> bool:
        return self.low <= self.space.macs(architecture) <= self.high


class StratifiedRandom(Strategy):
    """Random architectures, spread evenly over log multiply-adds, not bunched where most of them are."""

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Architecture:
        """The next slice of the cost range."""
        return self.stratified(len(history), rng)
