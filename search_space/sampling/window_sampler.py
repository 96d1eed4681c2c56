"""Architectures inside a window of multiply-adds: drawn, projected or mutated into it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import exp, log

import numpy as np

from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import macs
from search_space.errors import SpaceError
from search_space.genes.space_genes import SpaceChoices
from search_space.sampling import moves
from search_space.sampling.cost_sampler import CostSampler

ENUMERABLE = 20_000
"""Largest number of architectures of a space that is listed whole to search a narrow window."""
DRAWS = 40
NARROW_DRAWS = 4_000


# Its tables take a good part of a second, and a run reads its space for its search and for its report. They
# may take 150 MB, so that few are kept.
@lru_cache(maxsize=2)
def _cost_sampler(choices: SpaceChoices, classes: int) -> CostSampler:
    """Return the sampler of a space; equal spaces have the same."""
    return CostSampler(choices, classes)


class WindowSampler:
    """A sampler of a space's architectures inside a window, both ends included.

    Args:
        choices: the space's genes.
        classes: outputs of the classifier, for costs.
        name: name of the space, for messages.
    """

    def __init__(self, choices: SpaceChoices, classes: int, name: str) -> None:
        self.choices = choices
        self.classes = classes
        self.name = name
        self.sampler = _cost_sampler(choices, classes)
        self.bottom, self.top = self.sampler.smallest.macs, self.sampler.largest.macs

    def window(self, low: float | None, high: float | None) -> tuple[float, float]:
        """Return a window with its ends filled in from the space's range.

        Raises:
            SpaceError: the window lies outside the range, or its ends are the wrong way round.
        """
        low, high = self.bottom if low is None else low, self.top if high is None else high
        if not low <= high or high < self.bottom or low > self.top:
            raise SpaceError(
                f"space {self.name!r} has nothing from {low:.4g} to {high:.4g} multiply-adds",
                hint=f"it goes from {self.bottom:.4g} to {self.top:.4g}",
            )
        return low, high

    def sample(self, rng: np.random.Generator, low: float, high: float) -> Architecture:
        """Return one architecture, its log-cost uniform over the window."""
        start, end = log(max(low, self.bottom)), log(min(high, self.top))
        values: list[int] = []
        for _ in range(DRAWS):
            values = self.sampler.draw(exp(start + (end - start) * rng.random()), rng)
            architecture = self.choices.decode(values)
            if low <= macs(architecture, self.classes) <= high:
                return architecture
        return self._reach(values, low, high, rng)

    def distinct(
        self,
        rng: np.random.Generator,
        count: int,
        window: tuple[float, float],
        exclude: Sequence[Architecture],
    ) -> list[Architecture]:
        """Return different architectures, none of ``exclude``, log-costs uniform where enough exist."""
        low, high = window
        start, end = log(max(low, self.bottom)), log(min(high, self.top))
        seen, result = set(exclude), []
        for _ in range(count):
            centre, reach = start + (end - start) * rng.random(), (end - start) / 512
            while reach < 2 * (end - start) + 1e-9:
                target = centre + reach * (2 * rng.random() - 1)
                architecture = self.choices.decode(self.sampler.draw(exp(min(max(target, start), end)), rng))
                inside = low <= macs(architecture, self.classes) <= high
                if inside and architecture not in seen:
                    seen.add(architecture)
                    result.append(architecture)
                    break
                reach *= 1.25
        return result

    def project(
        self, architecture: Architecture, rng: np.random.Generator, low: float, high: float
    ) -> Architecture:
        """Return the architecture if it is inside; else after few and small changes that lead inside."""
        values = self.choices.encode(architecture)
        if low <= macs(architecture, self.classes) <= high:
            return architecture
        values = moves.walk_into(self.choices, values, self._measure, (low, high), rng)
        if low <= self._measure(values) <= high:
            return self.choices.decode(values)
        return self._reach(values, low, high, rng)

    def mutate(
        self, architecture: Architecture, rng: np.random.Generator, low: float, high: float
    ) -> Architecture:
        """Return another architecture: one random change, and further ones only to get inside."""
        values = self.choices.encode(architecture)
        if self.choices.count() == 1:
            raise SpaceError(f"space {self.name!r} holds one architecture", hint="give it a choice")
        for _ in range(DRAWS):
            other = moves.mutated(self.choices, values, rng)
            if low <= self._measure(other) <= high:
                return self.choices.decode(other)
        for _ in range(DRAWS):
            other = moves.mutated(self.choices, values, rng)
            moved = self.choices.decode(moves.walk_into(self.choices, other, self._measure, (low, high), rng))
            if moved != architecture and low <= macs(moved, self.classes) <= high:
                return moved
        for _ in range(DRAWS):
            drawn = self.sample(rng, low, high)
            if drawn != architecture:
                return drawn
        raise self._unreachable(low, high)

    def _reach(
        self, values: Sequence[int], low: float, high: float, rng: np.random.Generator
    ) -> Architecture:
        """Get into a window that draws have missed, which is so narrow that few architectures lie in it."""
        for end in (self.sampler.smallest, self.sampler.largest):
            if low <= end.macs <= high:
                return self.choices.decode(end.genes)
        if self.choices.count() <= ENUMERABLE:
            inside = [v for v in self.choices.enumerate() if low <= self._measure(v) <= high]
            if inside:
                return self.choices.decode(inside[int(rng.integers(len(inside)))])
            raise self._unreachable(low, high)
        if not self.sampler.may_reach(low, high):
            raise self._unreachable(low, high)
        centre = (low * high) ** 0.5
        for _ in range(NARROW_DRAWS):
            drawn = self.sampler.draw(centre, rng)
            if low <= self._measure(drawn) <= high:
                return self.choices.decode(drawn)
        for _ in range(DRAWS):
            values = moves.walk_into(self.choices, values, self._measure, (low, high), rng)
            if low <= self._measure(values) <= high:
                return self.choices.decode(values)
            values = self.sampler.draw(centre, rng)
        raise self._unreachable(low, high)

    def _unreachable(self, low: float, high: float) -> SpaceError:
        return SpaceError(
            f"space {self.name!r}: found no architecture from {low:.6g} to {high:.6g} multiply-adds",
            hint="widen the window, or give the space more choices",
        )

    def _measure(self, values: Sequence[int]) -> int:
        return macs(self.choices.decode(values), self.classes)
