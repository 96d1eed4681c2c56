"""Whom to confirm: candidates chosen at once by a cheap measurement, or half of them by what trainings tell.

    OMP_NUM_THREADS=1 python -m benchmarks.two_fidelities [--repeats 50] [--epochs 1 2 3] [--members 10]

Networks come from the table of trained video networks: 100 spread over the cost are measured after a few
epochs, as if with shared weights, and ten of them are confirmed by trainings of eight epochs. "At once" takes
all ten as ``choose_members`` does; "in halves" takes five so, and the others as ``next_members`` does;
"by its model alone" lets the same model choose all ten from the cheap measurements. Printed is the
hypervolume that the frontier of the ten lacks to that of the whole table, by the networks' estimated worth:
mean, standard error, and the mean difference to "at once".
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from searcher.objectives import ACCURACY_AND_MACS
from searcher.pareto import hypervolume, non_dominated
from searcher.plan.confirmation import choose_members
from searcher.plan.two_fidelities import next_members
from searcher.record.candidate import Candidate
from searcher.simulation.table import TableDomain
from searcher.simulation.video_table import EPOCHS, video_table

_CANDIDATES = 100


class Problem:
    """The table at one length of the cheap training."""

    def __init__(self, epochs: int) -> None:
        self.table = video_table((epochs, EPOCHS))
        self.domain = TableDomain(self.table)
        logs = np.log(self.table.primary)
        self.costs = (logs - logs.min()) / np.ptp(logs)
        self.rows = {digest: row for row, digest in enumerate(self.table.digests)}
        self._order = np.argsort(self.costs, kind="stable")
        assert self.table.worth is not None, "this table has one"
        self.worth = self.table.worth
        self.whole = self.volume(np.arange(len(logs)))

    def volume(self, rows: NDArray[np.int64]) -> float:
        """Return the hypervolume of the worth of some networks over the log cost."""
        return hypervolume(np.column_stack([1 - self.worth[rows], self.costs[rows]]), (1.0, 1.1))

    def draw(self, rng: np.random.Generator) -> list[Candidate]:
        """Return candidates spread over the log cost, each measured once by the cheap training."""
        rows: list[int] = []
        for place in range(_CANDIDATES):
            cost = (place + rng.random()) / _CANDIDATES
            near = self._order[np.argsort(np.abs(self.costs[self._order] - cost), kind="stable")]
            rows.append(int(rng.choice([row for row in near[: 8 + place].tolist() if row not in rows][:8])))
        return [self._candidate(number, row) for number, row in enumerate(rows)]

    def _candidate(self, number: int, row: int) -> Candidate:
        macs = int(self.table.primary[row])
        genotype = tuple(self.table.genotypes[row].tolist())
        found = Candidate(number, genotype, self.table.digests[row], str(row), macs, "complete")
        found.metrics[1] = {"top1": float(self.table.accuracy[row, 0, 0]), "macs": float(macs)}
        return found

    def training(self, candidate: Candidate) -> dict[str, float]:
        """Return the metrics of a training, of another seed than the cheap one's where there are several."""
        trained = self.table.accuracy[self.rows[candidate.digest], 1]
        return {"top1": float(trained[np.isfinite(trained)][-1]), "macs": float(candidate.macs)}

    def missing(self, chosen: list[Candidate]) -> float:
        """Return what the frontier of the trainings of some candidates lacks."""
        rows = np.array([self.rows[each.digest] for each in chosen])
        trained = np.array([self.training(each)["top1"] for each in chosen])
        front = non_dominated(np.column_stack([-trained, self.costs[rows]]))
        return self.whole - self.volume(rows[front])


def choices(problem: Problem, candidates: list[Candidate], members: int) -> dict[str, list[Candidate]]:
    """Return the members that each way chooses."""
    half = choose_members(candidates, (members + 1) // 2)
    confirmed = {each.digest: problem.training(each) for each in half}
    later = next_members(candidates, confirmed, members - len(half), problem.domain, ACCURACY_AND_MACS)
    first = choose_members(candidates, 1)
    told = {each.digest: dict(each.latest) for each in first}
    alone = next_members(candidates, told, members - 1, problem.domain, ACCURACY_AND_MACS)
    return {
        "at once": choose_members(candidates, members),
        "in halves": half + later,
        "by its model alone": first + alone,
    }


def main() -> None:
    """Print what each way of choosing lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--members", type=int, default=10)
    options = parser.parse_args()
    for epochs in options.epochs:
        problem = Problem(epochs)
        found: dict[str, list[float]] = {}
        for repeat in range(options.repeats):
            candidates = problem.draw(np.random.default_rng(repeat))
            for name, chosen in choices(problem, candidates, options.members).items():
                found.setdefault(name, []).append(problem.missing(chosen))
        print(f"cheap trainings of {epochs} epochs:")
        base = np.array(found["at once"])
        for name, values in found.items():
            lacks, more = np.array(values), np.array(values) - base
            root = np.sqrt(len(lacks))
            print(
                f"  {name}: lacks {lacks.mean():.4f} +- {lacks.std(ddof=1) / root:.4f}, difference"
                f" {more.mean():+.4f} +- {more.std(ddof=1) / root:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
