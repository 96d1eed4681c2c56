"""The choice of the next candidate: the interface of all strategies, and their common parts.

A strategy only has an idea; ``propose`` turns it into a proposal: inside the windows by construction, and
never a design that was proposed before. A strategy depends on the record alone, and its generator is seeded
from the run's seed and the number of proposals: a resumed search proposes the same as an uninterrupted one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from itertools import islice

import numpy as np

from search_space.errors import SpaceError
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import Ledger, Observation

_TRIES = 64
_ENUMERABLE = 20_000
_GOLDEN = (math.sqrt(5) - 1) / 2


class SpaceExhaustedError(SpaceError):
    """The error that nothing new is left to propose inside the windows."""


class Strategy(ABC):
    """A way to choose designs; ``searcher.strategies.registry`` has their names.

    Args:
        domain: designs that can be chosen, and their windows.
        seed: seed of the run.
        startup: number of first proposals that are spread over the cost range, before ``idea`` is asked.

    Attributes:
        ledger: history of the run as arrays.
    """

    def __init__(self, domain: Domain, seed: int, startup: int) -> None:
        self.domain = domain
        self.seed = seed
        self.startup = startup
        self.ledger = Ledger()

    @property
    def low(self) -> float:
        """Lowest primary cost of a proposal."""
        return self.domain.window[0]

    @property
    def high(self) -> float:
        """Highest primary cost of a proposal."""
        return self.domain.window[1]

    @abstractmethod
    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Return a design, inside the windows or not, new or not.

        Args:
            history: all proposals of the run in their order; at least two are measured.
            rng: random numbers of this proposal.
        """

    def propose(self, history: Sequence[Observation], taken: Container[str]) -> Design:
        """Return the next design, new and inside the windows.

        Args:
            history: all proposals of the run in their order, pending and failed ones too.
            taken: digests of designs that must not be proposed again.

        Raises:
            SpaceExhaustedError: nothing new is left inside the windows.
        """
        rng = np.random.default_rng([self.seed, len(history)])
        if len(history) < self.startup or not _has_two_measurements(history):
            design = self.stratified(len(history), rng)
        else:
            design = self.idea(history, rng)
            if not self.domain.inside(design):
                design = self.domain.project(design.genotype, rng)
        return self._new_design(design, taken, len(history), rng)

    def stratified(self, number: int, rng: np.random.Generator) -> Design:
        """Return a random design from a slice of the cost range; consecutive numbers cover the range.

        The slices follow the golden ratio: proposals are spread evenly however many there will be.

        Args:
            number: number of the proposal, from 0.
            rng: random numbers of this proposal.
        """
        span = math.log(self.high / self.low)
        width = 1 / max(self.startup, 8)
        offset = np.random.default_rng(self.seed).random()
        start = ((number * _GOLDEN + offset) % 1) * (1 - width)
        low = self.low * math.exp(span * start)
        try:
            return self.domain.random(rng, low, low * math.exp(span * width))
        except SpaceError:
            # A sparse space has gaps: in one of them, the whole window is the slice.
            return self.domain.random(rng, self.low, self.high)

    def _new_design(
        self, design: Design, taken: Container[str], number: int, rng: np.random.Generator
    ) -> Design:
        """Return ``design``, or if it is taken, a similar one, as few mutations away as possible."""
        candidate = design
        for attempt in range(_TRIES):
            if candidate.digest not in taken:
                return candidate
            # Walks of growing length: the neighbourhood of a good design is the first to be used up.
            candidate = candidate if attempt % 4 else design
            for _ in range(1 + attempt // 8):
                candidate = self._mutated(candidate, rng)
        if self.domain.count <= _ENUMERABLE:
            new = [candidate for candidate in self.domain.enumerate() if candidate.digest not in taken]
            if new:
                return new[int(rng.integers(len(new)))]
        raise SpaceExhaustedError(
            f"nothing new is left from {self.low:.4g} to {self.high:.4g} multiply-adds, after {number}"
            " proposals",
            hint="widen search.macs, choose a larger space, or ask for fewer trials",
        )

    def _mutated(self, design: Design, rng: np.random.Generator) -> Design:
        """Return a mutation of a design, or the design itself if the windows hold no other."""
        try:
            return self.domain.mutate(design, rng)
        except SpaceError:
            # The caller notices by the digest.
            return design


def _has_two_measurements(history: Sequence[Observation]) -> bool:
    """Return whether there are two measurements to learn from."""
    return len(list(islice((earlier for earlier in history if earlier.is_measured), 2))) == 2


class StratifiedRandom(Strategy):
    """Random designs, spread evenly over log cost rather than dense where the space is."""

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Return a random design from the next slice of the cost range."""
        return self.stratified(len(history), rng)
