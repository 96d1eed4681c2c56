"""How the next candidate is chosen: the interface of all strategies, and what they share.

A strategy only has an idea; ``propose`` makes a proposal of it: inside the windows by construction, and never
a design that was proposed before. All that a strategy knows comes from the record, and its generator is
seeded from the run's seed and the number of proposals so far, so that a restarted search goes on as if it had
never stopped. What a strategy keeps between proposals only saves time.
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
    """Everything that could be found inside the windows was proposed before."""


class Strategy(ABC):
    """One way to choose designs; ``searcher.strategies.registry`` has their names.

    Args:
        domain: what can be chosen, and its windows.
        seed: of the run.
        startup: how many proposals are spread over the cost range before the strategy has its say.

    Attributes:
        ledger: the history as arrays.
    """

    def __init__(self, domain: Domain, seed: int, startup: int) -> None:
        self.domain = domain
        self.seed = seed
        self.startup = startup
        self.ledger = Ledger()

    @property
    def low(self) -> float:
        """Least primary cost of a proposal."""
        return self.domain.window[0]

    @property
    def high(self) -> float:
        """Most primary cost of a proposal."""
        return self.domain.window[1]

    @abstractmethod
    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """A design, inside the windows or not, known or not; ``history`` has two known values or more."""

    def propose(self, history: Sequence[Observation], taken: Container[str]) -> Design:
        """The next design.

        Args:
            history: all proposals of the run in their order, pending and failed ones too.
            taken: digests that must not come again.

        Raises:
            SpaceExhaustedError: there is nothing new left.
        """
        rng = np.random.default_rng([self.seed, len(history)])
        if len(history) < self.startup or not _some_known(history):
            found = self.stratified(len(history), rng)
        else:
            found = self.idea(history, rng)
            if not self.domain.inside(found):
                found = self.domain.project(found.genotype, rng)
        return self._new(found, taken, len(history), rng)

    def stratified(self, number: int, rng: np.random.Generator) -> Design:
        """A random design from one slice of the cost range; consecutive numbers cover all of it evenly.

        The slices follow the golden ratio, so that any number of proposals is spread without knowing it in
        advance.
        """
        span = math.log(self.high / self.low)
        width = 1 / max(self.startup, 8)
        offset = np.random.default_rng(self.seed).random()
        start = ((number * _GOLDEN + offset) % 1) * (1 - width)
        low = self.low * math.exp(span * start)
        try:
            return self.domain.random(rng, low, low * math.exp(span * width))
        except SpaceError:
            # A sparse space has gaps; near them the whole window has to do.
            return self.domain.random(rng, self.low, self.high)

    def _new(self, found: Design, taken: Container[str], number: int, rng: np.random.Generator) -> Design:
        """``found``, or after ever more mutations something like it, that is not taken."""
        candidate = found
        for attempt in range(_TRIES):
            if candidate.digest not in taken:
                return candidate
            # Walks of growing length: the neighbourhood of a good design is the first to be used up.
            candidate = candidate if attempt % 4 else found
            for _ in range(1 + attempt // 8):
                candidate = self._mutated(candidate, rng)
        if self.domain.count <= _ENUMERABLE:
            left = [each for each in self.domain.enumerate() if each.digest not in taken]
            if left:
                return left[int(rng.integers(len(left)))]
        raise SpaceExhaustedError(
            f"nothing new from {self.low:.4g} to {self.high:.4g} multiply-adds after {number} proposals",
            hint="widen search.macs, choose a larger space, or ask for fewer trials",
        )

    def _mutated(self, design: Design, rng: np.random.Generator) -> Design:
        try:
            return self.domain.mutate(design, rng)
        except SpaceError:
            # The windows hold nothing else, which the caller finds out.
            return design


def _some_known(history: Sequence[Observation]) -> bool:
    """Whether there are two measurements to learn from."""
    return len(list(islice((each for each in history if each.is_measured), 2))) == 2


class StratifiedRandom(Strategy):
    """Random designs, spread evenly over log cost, not bunched where most of them are."""

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """The next slice of the cost range."""
        return self.stratified(len(history), rng)
