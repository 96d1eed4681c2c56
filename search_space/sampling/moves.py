"""Small steps between a space's architectures: neighbours, mutations, and the way into a window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from math import log

import numpy as np

from search_space.genes.space_genes import SpaceChoices

Measure = Callable[[Sequence[int]], int]

FEW = 32


def adjacent(choices: SpaceChoices, values: Sequence[int]) -> Iterator[list[int]]:
    """Yield the canonical values one change away: an ordered gene by one place, any other to any value."""
    full = choices.filled(values)
    for place in choices.active(values):
        gene = choices.genes[place]
        for value in range(gene.choices):
            if value != full[place] and (not gene.ordered or abs(value - full[place]) == 1):
                yield changed(choices, full, place, value)


def changed(choices: SpaceChoices, full: Sequence[int], place: int, value: int) -> list[int]:
    """Return the canonical values with one gene set."""
    result = list(full)
    result[place] = value
    return canonical(choices, result)


def canonical(choices: SpaceChoices, values: Sequence[int]) -> list[int]:
    """Return the same values with 0 for every inactive gene."""
    result = [0] * len(values)
    for place in choices.active(values):
        result[place] = values[place]
    return result


def mutated(choices: SpaceChoices, values: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Return the values with one random active gene, among those with a choice, at another random value."""
    places = [place for place in choices.active(values) if choices.genes[place].choices > 1]
    place = places[int(rng.integers(len(places)))]
    full = choices.filled(values)
    value = int(rng.integers(choices.genes[place].choices - 1))
    return changed(choices, full, place, value + (value >= full[place]))


class _Window:
    """A window of costs, and the distance to it on a log scale; 0 inside."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def distance(self, macs: int) -> float:
        if macs < self.low:
            return log(self.low / macs)
        return log(macs / self.high) if macs > self.high else 0.0


def walk_into(
    choices: SpaceChoices,
    values: Sequence[int],
    measure: Measure,
    window: tuple[float, float],
    rng: np.random.Generator,
) -> list[int]:
    """Change single genes until the cost lies in the window, or no change brings it nearer.

    Each step takes the best of some random changes, of all of them where those do not help, and at last of
    pairs. A change that leads inside ends the walk.

    Returns:
        Canonical values; the caller checks whether they are inside.
    """
    target = _Window(*window)
    now = canonical(choices, values)
    distance = target.distance(measure(now))
    while distance > 0:
        changes = _single_changes(choices, now, rng)
        first, others = islice(changes, FEW), changes
        pairs = (
            pair
            for one in islice(_single_changes(choices, now, rng), FEW)
            for pair in _single_changes(choices, one, rng)
        )
        for candidates in (first, others, pairs):
            reached, nearest = _nearest(candidates, measure, target)
            if reached < distance:
                now, distance = nearest, reached
                break
        else:
            return now
    return now


def _nearest(candidates: Iterable[list[int]], measure: Measure, target: _Window) -> tuple[float, list[int]]:
    least, nearest = float("inf"), list[int]()
    for candidate in candidates:
        reached = target.distance(measure(candidate))
        if reached < least:
            least, nearest = reached, candidate
            if reached == 0:
                break
    return least, nearest


def _single_changes(
    choices: SpaceChoices, values: Sequence[int], rng: np.random.Generator
) -> Iterator[list[int]]:
    """Yield all canonical values that differ in one gene, in random order."""
    full = choices.filled(values)
    changes = [
        (place, value)
        for place in choices.active(values)
        for value in range(choices.genes[place].choices)
        if value != full[place]
    ]
    for i in rng.permutation(len(changes)).tolist():
        yield changed(choices, full, *changes[i])
