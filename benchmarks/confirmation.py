"""How often a confirmation is right about its members, by the rule that spends its trainings.

Members have a known cost and a true accuracy, invented around a line over the log cost; a training's logit
accuracy is normal around it, with a deviation of 0.4 between seeds. "equal" trains the members in turn, "in
use" as ``searcher.plan.confirmation_plan`` does, one training at a time or four. All are told the same result
of a member's first training, of its second, and so on.

Printed are, with standard errors: the members in percent that the means put rightly on or off the true
frontier, and how many more than "equal" does; those that a chance above one half puts rightly; the
hypervolume that the chosen members lack to the true front's (accuracy over log cost, in points of accuracy).
Then the mean squared error of the chances, and the trainings of the member that has most.

    OMP_NUM_THREADS=1 python -m benchmarks.confirmation [--repeats 400] [--members 10] [--seeds 2]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from searcher.pareto import non_dominated
from searcher.plan.confirmation_plan import MOST_SEEDS, most_telling
from searcher.plan.front_posterior import Contender, FrontPosterior
from searcher.reliability import accuracy_logits

NOISE = 0.4
SPAN = 3.3
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Front:
    """The members of one repeat: log cost, true logit accuracy, and the accuracies that trainings give."""

    log_costs: Floats
    truth: Floats
    accuracies: Floats

    @property
    def on_front(self) -> Bools:
        """The members that no other one dominates in truth."""
        return chosen(self.truth, self.log_costs)

    def contender(self, member: int, count: int, pending: int = 0) -> Contender:
        """What is known of a member after some trainings."""
        logits = accuracy_logits(self.accuracies[member, :count]).tolist()
        cost = float(self.log_costs[member])
        return Contender(logits, float(np.exp(cost)), (cost,), pending=pending)

    def hypervolume(self, on: Bools) -> float:
        """The area below the steps of some members' true accuracy, over the log cost scaled to 1."""
        grid = np.linspace(0, 1.1 * SPAN, 400)
        reached = np.where((self.log_costs[on, None] <= grid), expit(self.truth[on, None]), 0.0)
        return float(reached.max(axis=0, initial=0.0).mean())


def chosen(values: Floats, log_costs: Floats) -> Bools:
    """The members on the frontier of some accuracies."""
    return non_dominated(np.column_stack([-values, log_costs]))


# Rise of the logit accuracy from the cheapest to the most expensive, and deviation of networks around it.
PROBLEMS = {"steep": (4.0, 0.4), "flat": (1.5, 0.3), "level": (0.0, 0.3), "alike": (1.5, 0.1)}


def front(problem: str, repeat: int, members: int, most: int) -> Front:
    """Invent the members of a repeat."""
    rise, deviation = PROBLEMS[problem]
    rng = np.random.default_rng([repeat, list(PROBLEMS).index(problem)])
    log_costs = np.sort(rng.uniform(0, SPAN, members))
    truth = -0.5 + rise * log_costs / SPAN + deviation * rng.normal(size=members)
    return Front(log_costs, truth, expit(truth[:, None] + NOISE * rng.normal(size=(members, most))))


Rule = Callable[[Front, int, int], NDArray[np.int64]]


def equal(one: Front, total: int, most: int) -> NDArray[np.int64]:
    """Trainings of each member when they go in turn."""
    del most
    members = len(one.truth)
    return np.array([total // members + (member < total % members) for member in range(members)])


def in_use(one: Front, total: int, most: int, workers: int = 1) -> NDArray[np.int64]:
    """Trainings of each member by the rule in use; a worker's result comes after those of the others."""
    members = len(one.truth)
    counts, pending = np.ones(members, dtype=np.int64), list[int]()
    while counts.sum() + len(pending) < total:
        if len(pending) == workers:
            counts[pending.pop(0)] += 1
        known = [
            one.contender(member, int(counts[member]), pending.count(member)) for member in range(members)
        ]
        allowed = [member for member in range(members) if counts[member] + pending.count(member) < most]
        pending.append(most_telling(known, allowed))
        if workers == 1:
            counts[pending.pop()] += 1
    for member in pending:
        counts[member] += 1
    return counts


RULES: dict[str, Rule] = {
    "equal": equal,
    "in use": in_use,
    "in use, four at a time": lambda one, total, most: in_use(one, total, most, workers=4),
}


def score(one: Front, counts: NDArray[np.int64]) -> tuple[float, float, float, float, float]:
    """The figures of one confirmation: see the top."""
    means = np.array([one.accuracies[member, :count].mean() for member, count in enumerate(counts)])
    found, true = chosen(means, one.log_costs), one.on_front
    known = [one.contender(member, int(count)) for member, count in enumerate(counts)]
    chances = FrontPosterior.of(known).chances()
    return (
        100 * float((found == true).mean()),
        100 * float(((chances > 0.5) == true).mean()),
        100 * (one.hypervolume(true) - one.hypervolume(found)),
        float(((chances - true) ** 2).mean()),
        float(counts.max()),
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2, help="mean number of trainings of a member")
    arguments = parser.parse_args()
    total, most = arguments.members * arguments.seeds, MOST_SEEDS * arguments.seeds
    heads = ("right", "more than equal", "by chance", "lack")
    print(f"{'':32}" + "".join(f"{head:>17}" for head in heads) + f"{'error':>8}{'most':>6}")
    for problem in PROBLEMS:
        drawn = [front(problem, repeat, arguments.members, most) for repeat in range(arguments.repeats)]
        plain = np.array([score(one, equal(one, total, most)) for one in drawn])
        for name, rule in RULES.items():
            scores = np.array([score(one, rule(one, total, most)) for one in drawn])
            columns = [scores[:, 0], scores[:, 0] - plain[:, 0], scores[:, 1], scores[:, 2]]
            cells = [f"{each.mean():.2f} ± {each.std() / len(drawn) ** 0.5:.2f}" for each in columns]
            print(f"{problem + ', ' + name:32}" + "".join(f"{cell:>17}" for cell in cells), end="")
            print(f"{scores[:, 3].mean():>8.4f}{scores[:, 4].mean():>6.1f}", flush=True)


if __name__ == "__main__":
    main()
