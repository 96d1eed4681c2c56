"""How good the strategies are, on yardsticks where a measurement costs nothing.

NAS-Bench-201: what is missing of the hypervolume of the whole table, the less the better, mean over its three
data sets and all seeds, after so many evaluations; accuracy against log latency, which a strategy has to
measure, and against log model size, which is known beforehand. Video: the same on the table of trained video
networks, against log multiply-adds, after at most 100 evaluations. Synthetic: the hypervolume itself.
Searches see noisy accuracies; scores are free of noise. Baselines: random without strata, and Optuna's TPE
and NSGA-II as they are by default, which evaluate repeats again.

    python -m benchmarks.search_quality [latency] [size] [video] [synthetic] [--seeds 20] [--processes 1]
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna

from searcher.record.gene_params import distributions
from searcher.simulation.nasbench201 import DATA_SETS
from searcher.simulation.simulation import Simulation
from searcher.simulation.yardsticks import yardstick
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import Observation
from searcher.strategies.registry import create_strategy
from searcher.strategies.strategy import Strategy

STARTUP = 20
TITLES = {
    "latency": "NAS-Bench-201, accuracy against latency: gap",
    "size": "NAS-Bench-201, accuracy against model size: gap",
    "video": "Trained video networks, accuracy against multiply-adds: gap",
}
CHECKPOINTS = {
    "latency": (25, 50, 100, 200),
    "size": (25, 50, 100, 200),
    "video": (25, 50, 100),
    "synthetic": (50, 100, 200, 300),
}


class Uniform(Strategy):
    """Every gene at random, repeats and all."""

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Whatever comes."""
        del history
        return self.domain.design([int(rng.integers(gene.choices)) for gene in self.domain.genes])

    def propose(self, history: Sequence[Observation], taken: Container[str]) -> Design:
        """An idea, whether it is new or not."""
        del taken
        return self.idea(history, np.random.default_rng([self.seed, len(history)]))


class PlainOptuna(Uniform):
    """One of Optuna's samplers with its default settings, for one worker."""

    def __init__(self, domain: Domain, seed: int, startup: int, sampler: optuna.samplers.BaseSampler) -> None:
        super().__init__(domain, seed, startup)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(directions=["minimize"] * len(domain.objectives), sampler=sampler)
        self._distributions = distributions(domain.genes)

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Tells the last result, and asks."""
        del rng
        if history:
            self._study.tell(len(history) - 1, history[-1].values)
        chosen = self._study.ask(self._distributions).params
        return self.domain.design([int(chosen[gene.name]) for gene in self.domain.genes])


@dataclass(frozen=True)
class Outcome:
    """Of one search: scores by evaluations, the share of repeats, processor time a proposal."""

    scores: Mapping[int, float]
    repeats: float
    seconds: float


@dataclass(frozen=True)
class Case:
    """A row of a table: what is searched how."""

    row: str
    strategy: str
    yardstick: str
    workers: int = 1
    evaluations: int = 200
    score_at: tuple[int, ...] = ()
    seed: int = 0

    def run(self) -> Outcome:
        """The search."""
        on = yardstick(self.yardstick)
        began = time.process_time()
        found = Simulation(
            on,
            self._strategy(on.domain),
            self.evaluations,
            workers=self.workers,
            seed=self.seed,
            score_at=self.score_at,
        ).run()
        seconds = (time.process_time() - began) / self.evaluations
        return Outcome(found.scores, found.repeats / self.evaluations, seconds)

    def _strategy(self, domain: Domain) -> Strategy:
        if self.strategy == "uniform":
            return Uniform(domain, self.seed, 0)
        if self.strategy == "optuna-tpe":
            return PlainOptuna(domain, self.seed, 0, optuna.samplers.TPESampler(seed=self.seed))
        if self.strategy == "optuna-nsga2":
            return PlainOptuna(domain, self.seed, 0, optuna.samplers.NSGAIISampler(seed=self.seed))
        return create_strategy(self.strategy, domain, seed=self.seed, startup=STARTUP)


BASELINES = (
    ("random", "uniform"),
    ("random, stratified by cost", "random"),
    ("Pareto mutation", "mutation"),
    ("Optuna TPE, default", "optuna-tpe"),
    ("Optuna NSGA-II, default", "optuna-nsga2"),
)
OURS = (
    ("aging evolution", "aging"),
    ("nsga2", "nsga2"),
    ("nsga3", "nsga3"),
    ("tpe", "tpe"),
    ("predictor", "predictor"),
)


def table_cases(name: str, seeds: Iterable[int]) -> list[Case]:
    """All rows of a table of trained networks: NAS-Bench-201, or video networks."""
    cost = "latency" if name == "latency" else "model_size"
    yardsticks = ["video-table"] if name == "video" else [f"nasbench201-{data}:{cost}" for data in DATA_SETS]
    at = CHECKPOINTS[name]
    return [
        Case(row, strategy, on, evaluations=at[-1], score_at=at, seed=seed)
        for row, strategy in (*BASELINES, *OURS)
        for on in yardsticks
        for seed in seeds
    ]


def synthetic_cases(seeds: Iterable[int], yardstick_seed: int) -> list[Case]:
    """All rows of a table on the synthetic space: genes for each layer, or shared by a stage's layers."""
    rows = [(f"{row}, layer by layer", strategy, "synthetic-layers", 1) for row, strategy in BASELINES]
    rows += [("predictor, layer by layer", "predictor", "synthetic-layers", 1)]
    rows += [(row, strategy, "synthetic", 1) for row, strategy in (*BASELINES, *OURS)]
    rows += [("predictor, 64 workers", "predictor", "synthetic", 64)]
    return [
        Case(row, strategy, f"{on}:{yardstick_seed}", workers, 300, CHECKPOINTS["synthetic"], seed)
        for row, strategy, on, workers in rows
        for seed in seeds
    ]


def measure(case: Case) -> tuple[Case, Outcome]:
    """For a pool of processes."""
    return case, case.run()


def show(title: str, checkpoints: Sequence[int], cases: Sequence[Case], processes: int) -> None:
    """Runs all cases and prints their table, a row as soon as it is complete."""
    print(f"\n{title}\n| strategy | " + " | ".join(f"@{at}" for at in checkpoints), end="")
    print(" | standard error | repeats % | ms a proposal |\n|---|" + "---|" * (len(checkpoints) + 3))
    left: dict[str, int] = defaultdict(int)
    for case in cases:
        left[case.row] += 1
    done: dict[str, list[Outcome]] = defaultdict(list)
    with ProcessPoolExecutor(processes) as pool:
        for case, outcome in pool.map(measure, cases):
            done[case.row].append(outcome)
            if len(done[case.row]) == left[case.row]:
                print(f"| {case.row} | {_cells(done[case.row], checkpoints)} |", flush=True)


def _cells(outcomes: Sequence[Outcome], checkpoints: Sequence[int]) -> str:
    scores = np.array([[each.scores[at] for at in checkpoints] for each in outcomes])
    error = scores[:, -1].std(ddof=1) / len(scores) ** 0.5 if len(scores) > 1 else np.nan
    cells = [f"{value:.4f}" for value in (*scores.mean(axis=0), error)]
    cells.append(f"{100 * np.mean([each.repeats for each in outcomes]):.1f}")
    cells.append(f"{1000 * np.mean([each.seconds for each in outcomes]):.0f}")
    return " | ".join(cells)


def main() -> None:
    """Prints the tables that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", help="latency, size, video, synthetic; by default all")
    parser.add_argument(
        "--seeds", type=int, default=20, help="of searches; half as many on the synthetic space"
    )
    parser.add_argument("--yardsticks", type=int, nargs="*", default=[7], help="seeds of the synthetic space")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="rows that begin so")
    given = parser.parse_args()
    tables = given.tables or list(CHECKPOINTS)

    def wanted(cases: list[Case]) -> list[Case]:
        return [case for case in cases if not given.only or case.row.startswith(tuple(given.only))]

    for name in tables:
        if name == "synthetic":
            for seed in given.yardsticks:
                cases = synthetic_cases(range(max(given.seeds // 2, 1)), seed)
                title = f"Synthetic space {seed}: hypervolume"
                show(title, CHECKPOINTS[name], wanted(cases), given.processes)
        else:
            cases = table_cases(name, range(given.seeds))
            show(TITLES[name], CHECKPOINTS[name], wanted(cases), given.processes)


if __name__ == "__main__":
    main()
