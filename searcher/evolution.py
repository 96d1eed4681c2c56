"""Strategies that vary good candidates: Pareto mutation and a steady-state NSGA-II."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from search_space.architecture import Architecture
from searcher.pareto import best_first, crowding, ranks
from searcher.strategy import Observation, Strategy


def objectives(history: Sequence[Observation]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The points to minimise, (-accuracy, log macs), shape (n, 2); a NaN where nothing is known."""
    return np.array(
        [(math.nan if each.accuracy is None else -each.accuracy, math.log(each.macs)) for each in history]
    ).reshape(-1, 2)


class ParetoMutation(Strategy):
    """Mutates a random member of the front of everything known so far."""

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Architecture:
        """One to three genes changed in a member of the front."""
        front = np.flatnonzero(ranks(objectives(history)) == 0)
        candidate = self.space.decode(history[int(rng.choice(front))].genotype)
        for _ in range(int(rng.choice((1, 2, 3), p=(0.5, 0.3, 0.2)))):
            candidate = self.space.mutate(candidate, rng)
        return candidate


class Nsga2(Strategy):
    """NSGA-II (Deb et al. 2002), one member at a time, so that no worker waits for a generation."""

    population = 20

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Architecture:
        """A child of two tournament winners of the population, crossed over and mutated."""
        points = objectives(history)
        known = np.flatnonzero(~np.isnan(points[:, 0]))
        alive = known[best_first(points[known])[: self.population]]
        rank, spread = ranks(points[alive]), crowding(points[alive])
        parents = [
            self.space.decode(history[alive[_tournament(rank, spread, rng)]].genotype) for _ in range(2)
        ]
        child = self.space.crossover(parents[0], parents[1], rng)
        return self.space.mutate(child, rng) if rng.random() < 0.7 else child


def _tournament(
    rank: np.ndarray[tuple[int], np.dtype[np.int64]],
    spread: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator,
) -> int:
    """The better of two random members: the lower rank, then the emptier neighbourhood."""
    first, second = rng.integers(0, len(rank), 2).tolist()
    if (rank[first], -spread[first]) <= (rank[second], -spread[second]):
        return int(first)
    return int(second)
