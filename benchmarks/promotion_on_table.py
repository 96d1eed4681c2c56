"""How much of the true front of trained video networks a promotion keeps, and at what cost.

Every network of the table of trained video networks begins. One real training of each, drawn for each
repeat, is what the rungs see; the true front is that of the networks' estimated worth. Printed are, for each
ladder of rungs, the share of the true front that is trained to the end and the epochs trained, as a share of
training all to the end: means of the repeats with their standard deviations.

    python -m benchmarks.promotion_on_table [--repeats 30] [--table FILE]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from searcher.pareto import best_first, non_dominated
from searcher.promotion.features import genotype_features
from searcher.promotion.halving import ParetoHalving, RungResult
from searcher.simulation.table import Table
from searcher.simulation.video_table import EPOCHS, TABLE, video_table

# Epochs of the rungs below the last one, and one in how many goes on from them.
LADDERS = (((1, 3), 3), ((2, 3), 3), ((2, 3), 4), ((2,), 9), ((3,), 9))
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rule = Callable[[Table, tuple[int, ...], int, Floats], tuple[Ints, float]]


def in_use(table: Table, rungs: tuple[int, ...], reduction: int, errors: Floats) -> tuple[Ints, float]:
    """The rule of the search: who is left, and the epochs that were trained."""
    low, high = float(table.primary.min()), float(table.primary.max())
    halving = ParetoHalving((*rungs, EPOCHS), reduction, low, high)
    features = [genotype_features(table.genes, genotype) for genotype in table.genotypes]
    alive, results, epochs, before = np.arange(len(errors)), list[list[RungResult]](), 0, 0
    for rung, length in enumerate(rungs):
        epochs += len(alive) * (length - before)
        results.append(
            [
                RungResult(number, (errors[number, rung], np.log(cost)), cost, features[number])
                for number, cost in zip(alive.tolist(), table.primary[alive].tolist(), strict=True)
            ]
        )
        alive, before = np.array(list(halving.survivors(results, complete=True))), length
    return alive, epochs + len(alive) * (EPOCHS - before)


def by_rank(table: Table, rungs: tuple[int, ...], reduction: int, errors: Floats) -> tuple[Ints, float]:
    """Non-dominated sort, ties by crowding: who is left, and the epochs that were trained."""
    alive, epochs, before = np.arange(len(errors)), 0, 0
    for rung, length in enumerate(rungs):
        epochs += len(alive) * (length - before)
        points = np.column_stack([errors[alive, rung], np.log(table.primary[alive])])
        alive, before = alive[best_first(points)[: -(-len(alive) // reduction)]], length
    return alive, epochs + len(alive) * (EPOCHS - before)


RULES: dict[str, Rule] = {"in use": in_use, "non-dominated sort": by_rank}


def main() -> None:
    """Print a line for each ladder and rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args()
    for rungs, reduction in LADDERS:
        table = video_table((*rungs, EPOCHS), options.table)
        assert table.worth is not None, "of a table with several seeds"
        front = non_dominated(np.column_stack([1 - table.worth, table.primary]))
        if rungs == LADDERS[0][0]:
            print(f"{len(front)} networks, {front.sum()} of them on the true front")
        for name, rule in RULES.items():
            found = []
            for repeat in range(options.repeats):
                rng = np.random.default_rng(repeat)
                drawn = [rng.choice(np.flatnonzero(np.isfinite(row))) for row in table.accuracy[:, -1]]
                errors = 1 - table.accuracy[np.arange(len(drawn)), :, drawn]
                left, epochs = rule(table, rungs, reduction, errors)
                found.append([front[left].sum() / front.sum(), epochs / EPOCHS / len(drawn)])
            (kept, cost), (spread, _) = np.mean(found, axis=0), np.std(found, axis=0)
            ladder = " ".join(map(str, (*rungs, EPOCHS)))
            print(f"epochs {ladder}, one in {reduction}, {name}: {kept:.2f} +- {spread:.2f} at {cost:.2f}")


if __name__ == "__main__":
    main()
