"""How much of the true front survives successive halving to one in nine, by the rule that promotes.

600 networks of the synthetic space (``searcher.simulation.synthetic``: true costs, invented accuracies),
spread over the cost range, are measured on two rungs, with normal noise of 0.04 and then 0.015, and a third
goes on at each. Printed is the share of the true front of the 600 that is left at the end, the mean of 20
repeats, for several yardsticks of the same kind. The rule in use is called as the search calls it;
"asynchronous" lets it decide result by result, in the order in which 16 workers finish, and counts whoever
reaches the top (5 repeats).

    python benchmarks/promotion.py [--repeats 20] [--seeds 7 1 2 3 4] [--layerwise]
"""

from __future__ import annotations

import argparse
import heapq
import os
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from searcher.pareto import best_first, non_dominated
from searcher.promotion.features import genotype_features
from searcher.promotion.halving import ParetoHalving, RungResult
from searcher.simulation.synthetic import InventedAccuracy, SyntheticDomain
from searcher.strategies.strategy import StratifiedRandom

ASYNCHRONOUS_REPEATS = 5
NETWORKS, NOISE, REDUCTION, WORKERS, STRATA = 600, (0.04, 0.015), 3, 16, 6
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """The networks of one repeat: (error, log cost) as they are, costs, features, and what rungs measure."""

    true: Floats
    costs: Floats
    features: list[tuple[float, ...]]
    measured: list[Floats]
    window: tuple[float, float]

    @property
    def front(self) -> NDArray[np.bool_]:
        """The networks that no other one dominates."""
        return non_dominated(self.true)

    def result(self, number: int, rung: int) -> RungResult:
        """What a rung knows about a network."""
        values = (float(self.measured[rung][number]), float(self.true[number, 1]))
        return RungResult(number, values, float(self.costs[number]), self.features[number])


def pool(domain: SyntheticDomain, seed: int, repeat: int) -> Pool:
    """Draws networks spread over the cost range, and their measurements."""
    strategy = StratifiedRandom(domain, seed=1000 * seed + repeat, startup=8)
    rng = np.random.default_rng([seed, repeat])
    drawn = [strategy.stratified(number, rng) for number in range(NETWORKS)]
    genotypes = np.array([each.genotype for each in drawn])
    errors = 1 - InventedAccuracy(seed)(domain.layers(genotypes))
    costs = np.array([each.cost for each in drawn])
    return Pool(
        np.column_stack([errors, np.log(costs)]),
        costs,
        [genotype_features(domain.genes, each.genotype) for each in drawn],
        [errors + rng.normal(0, noise, NETWORKS) for noise in NOISE],
        domain.window,
    )


Rule = Callable[[Pool, int, NDArray[np.int64], int], NDArray[np.int64]]


def by_accuracy(pool: Pool, rung: int, alive: NDArray[np.int64], keep: int) -> NDArray[np.int64]:
    """The most accurate."""
    return alive[np.argsort(pool.measured[rung][alive])[:keep]]


def within_strata(pool: Pool, rung: int, alive: NDArray[np.int64], keep: int) -> NDArray[np.int64]:
    """The most accurate of each part of the cost range in turn."""
    low, high = np.log(pool.window)
    part = np.minimum((pool.true[alive, 1] - low) / (high - low) * STRATA, STRATA - 1).astype(int)
    order = np.argsort(pool.measured[rung][alive])
    turn = np.empty(len(alive))
    for stratum in range(STRATA):
        members = order[part[order] == stratum]
        turn[members] = np.arange(len(members))
    return alive[np.argsort(turn, kind="stable")[:keep]]


def by_rank(pool: Pool, rung: int, alive: NDArray[np.int64], keep: int) -> NDArray[np.int64]:
    """Non-dominated sort, ties by crowding."""
    points = np.column_stack([pool.measured[rung][alive], pool.true[alive, 1]])
    return alive[best_first(points)[:keep]]


def in_use(pool: Pool, rung: int, alive: NDArray[np.int64], keep: int) -> NDArray[np.int64]:
    """What the search does, once a rung is complete; its guard of strata may keep a few more."""
    halving = ParetoHalving((1, 2, 3), REDUCTION, *pool.window)
    reached = [range(NETWORKS), alive.tolist()] if rung else [alive.tolist()]
    results = [[pool.result(each, number) for each in there] for number, there in enumerate(reached)]
    found = halving.survivors(results, complete=True)
    return np.array(list(found)[:keep])


def halved(pool: Pool, rule: Rule) -> NDArray[np.int64]:
    """Who is left after both rungs."""
    alive = np.arange(NETWORKS)
    for rung in range(len(NOISE)):
        alive = rule(pool, rung, alive, len(alive) // REDUCTION)
    return alive


def asynchronous(pool: Pool) -> NDArray[np.int64]:
    """Who reaches the top when every result is decided at once; each rung takes three times as long."""
    halving = ParetoHalving((1, 2, 3), REDUCTION, *pool.window)
    results: list[list[RungResult]] = [[], []]
    promoted: list[set[int]] = [set(), set()]
    top: list[int] = []
    clock, waiting = 0.0, iter(range(NETWORKS))
    busy: list[tuple[float, int, int]] = []

    def start(number: int, rung: int) -> None:
        heapq.heappush(busy, (clock + pool.costs[number] ** 0.5 * 3**rung, number, rung))

    def held() -> tuple[int, int] | None:
        for rung in (1, 0):
            for number in halving.survivors(results[: rung + 1], promoted[rung]):
                if number not in promoted[rung]:
                    promoted[rung].add(number)
                    return number, rung + 1
        return None

    def next_job() -> bool:
        job = held() or next(((number, 0) for number in waiting), None)
        if job is not None:
            start(*job)
        return job is not None

    while len(busy) < WORKERS and next_job():
        pass
    while busy:
        clock, number, rung = heapq.heappop(busy)
        if rung == len(NOISE):
            top.append(number)
        else:
            results[rung].append(pool.result(number, rung))
            if halving.decide(number, results[: rung + 1], promoted[rung]).promoted:
                promoted[rung].add(number)
                start(number, rung + 1)
                continue
        while len(busy) < WORKERS and next_job():
            pass
    return np.array(top)


RULES: dict[str, Rule] = {
    "accuracy alone": by_accuracy,
    "accuracy within strata": within_strata,
    "non-dominated sort": by_rank,
    "in use": in_use,
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 1, 2, 3, 4])
    parser.add_argument("--layerwise", action="store_true", help="genes for every layer, not for every stage")
    arguments = parser.parse_args()
    domain = SyntheticDomain(layerwise=arguments.layerwise)
    heads = [*RULES, "asynchronous", "(at the top)", "(true front)"]
    print("seed  " + "  ".join(heads))
    rows = []
    for seed in arguments.seeds:
        found = []
        for repeat in range(arguments.repeats):
            drawn = pool(domain, seed, repeat)
            front = drawn.front
            left = [halved(drawn, rule) for rule in RULES.values()]
            top = asynchronous(drawn) if repeat < ASYNCHRONOUS_REPEATS else None
            kept = [front[each].sum() / front.sum() for each in left]
            late = (np.nan, np.nan) if top is None else (front[top].sum() / front.sum(), len(top))
            found.append([*kept, *late, front.sum()])
        rows.append(np.nanmean(found, axis=0))
        print(_row(str(seed), rows[-1], heads), flush=True)
    print(_row("mean", np.mean(rows, axis=0), heads))


def _row(name: str, values: Floats, heads: list[str]) -> str:
    cells = [f"{100 * value:.1f} %" for value in values[:-2]] + [f"{value:.0f}" for value in values[-2:]]
    return f"{name:4s}  " + "  ".join(
        f"{cell:>{len(head)}s}" for cell, head in zip(cells, heads, strict=True)
    )


if __name__ == "__main__":
    main()
