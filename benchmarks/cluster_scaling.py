"""How many workers one driver keeps busy: a simulation with the real costs of proposals and storage.

One driver serves all workers, one after the other. What it spends on a trial is measured here, with the code
that real searches use: a proposal by the strategy, after so many trials and with so many under way; a
decision of the promotion; the writes to a journal, or with --storage to a PostgreSQL database; what Ray costs
is given (``benchmarks.cluster_speed`` measures it). Then 10,000 trials run in simulated time: a worker that
ends waits until the driver has come to it.

    python -m benchmarks.cluster_scaling [--workers 1 8 64 512 1000] [--minutes 30] [--storage URL]
"""

from __future__ import annotations

import argparse
import heapq
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.search_speed import Run, accuracy, sixty_genes
from searcher.promotion.features import genotype_features
from searcher.promotion.halving import ParetoHalving, RungResult
from searcher.record.candidate import Decision
from searcher.record.records import Records
from searcher.strategies.history import Observation
from searcher.strategies.registry import create_strategy
from searcher.strategies.space_domain import SpaceDomain

HISTORIES = (100, 1000, 4000, 10_000)
PENDING = (1, 64, 1000)
RUNGS, SHARE = 3, 1 / 3
JITTER = 0.3


@dataclass(frozen=True)
class Costs:
    """Seconds of the driver: of a proposal after so many trials with so many pending, of a rung, of Ray."""

    proposal: Callable[[int, int], float]
    rung: Callable[[int], float]
    writes_proposal: float
    writes_rung: float
    engine: float


@dataclass(frozen=True)
class Outcome:
    """What came of a simulated run: hours, share of workers' and of the driver's time that was used."""

    hours: float
    workers_busy: float
    driver_busy: float
    longest_wait: float


def simulate(workers: int, trials: int, minutes: float, costs: Costs, seed: int = 0) -> Outcome:
    """So many trials by so many workers; a third of them goes on at each of two rungs.

    Args:
        minutes: that a training takes up to each rung.
    """
    rng = np.random.default_rng(seed)
    ready = [(0.0, number, 0) for number in range(min(workers, trials))]
    heapq.heapify(ready)
    driver = busy = used = longest = end = 0.0
    started = running = 0
    while ready:
        at, worker, rung = heapq.heappop(ready)
        begin = max(at, driver)
        longest = max(longest, begin - at)
        spent = 0.0
        goes_on = False
        if rung:
            spent += costs.rung(started) + costs.writes_rung
            goes_on = rung < RUNGS and rng.random() < SHARE
            running -= not goes_on
        if not goes_on and started < trials:
            spent += costs.proposal(started, running) + costs.writes_proposal + costs.engine
            started += 1
            running += 1
            rung = 0
        elif not goes_on:
            rung = RUNGS
        driver, busy = begin + spent, busy + spent
        end = max(end, driver)
        if rung < RUNGS:
            length = 60 * minutes * (1 + JITTER * (2 * rng.random() - 1))
            used += length
            heapq.heappush(ready, (driver + length, worker, rung + 1))
    return Outcome(end / 3600, used / (end * workers), busy / end, longest)


def proposal_costs(
    run: Run, strategy: str, histories: Sequence[int], repeats: int
) -> dict[tuple[int, int], float]:
    """Seconds of real proposals, by finished and pending trials; the median, without the first one."""
    found = {}
    for known in histories:
        for pending in PENDING:
            history = [*run.history[:known]]
            waiting = [
                Observation(each.genotype, each.macs, None, pending=True) for each in run.history[:pending]
            ]
            made = create_strategy(strategy, run.domain, seed=0, startup=16)
            spent = []
            for number in range(repeats):
                began = time.process_time()
                made.propose([*history[number:], *waiting], run.taken)
                spent.append(time.process_time() - began)
            found[known, pending] = float(np.median(spent[1:]))
    return found


def interpolated(known: dict[tuple[int, int], float]) -> Callable[[int, int], float]:
    """Between the measured points; beyond them the last value."""
    histories = sorted({history for history, _ in known})
    grid = np.array([[known[history, pending] for pending in PENDING] for history in histories])

    def cost(history: int, pending: int) -> float:
        by_pending = [np.interp(history, histories, column) for column in grid.T]
        return float(np.interp(pending, PENDING, by_pending))

    return cost


def rung_costs(run: Run, histories: Sequence[int]) -> Callable[[int], float]:
    """Seconds of a decision when so many are known at a rung."""
    low, high = run.domain.window
    halving = ParetoHalving([1, 2, 3], 3, low, high)
    spent = []
    for known in histories:
        results = [
            RungResult(number, each.values, each.macs, genotype_features(run.domain.genes, each.genotype))
            for number, each in enumerate(run.history[:known])
            if each.values is not None
        ]
        halving.decide(0, [results[:-1]], set())
        began = time.process_time()
        halving.decide(1, [results], set())
        spent.append(time.process_time() - began)
    return lambda known: float(np.interp(known, histories, spent))


def write_costs(
    folder: Path, domain: SpaceDomain, storage: str | None, count: int = 60
) -> tuple[float, float]:
    """Wall-clock seconds of writing a proposal, and of a measurement with its decision and its end."""
    rng = np.random.default_rng(1)
    propose: list[float] = []
    finish: list[float] = []
    with Records.writing(folder / "storage", {}, storage) as records:
        run = Run(folder / "none", domain, records)
        while len(propose) < count:
            design = domain.random(rng, *domain.window)
            if design.digest in run.taken:
                continue
            began = time.perf_counter()
            candidate = run.propose(design)
            propose.append(time.perf_counter() - began)
            began = time.perf_counter()
            records.decide(candidate.number, 1, Decision(False, "held"))
            run.finish(candidate, design)
            finish.append(time.perf_counter() - began)
    # The quick half: the machine may have other things to do.
    return float(np.percentile(propose, 25)), float(np.percentile(finish, 25))


def main() -> None:
    """Prints what was measured, then a table for each strategy and storage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 8, 64, 512, 1000])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument(
        "--minutes", type=float, nargs="*", default=[30.0, 1.0], help="of training up to a rung"
    )
    parser.add_argument("--strategy", nargs="*", default=["random", "predictor"])
    parser.add_argument("--histories", type=int, nargs="*", default=list(HISTORIES))
    parser.add_argument(
        "--repeats", type=int, default=4, help="proposals at each point; the first is left out"
    )
    parser.add_argument(
        "--engine", type=float, default=0.03, help="seconds that Ray takes of the driver, a trial"
    )
    parser.add_argument("--storage", help="of a PostgreSQL database to measure, too")
    given = parser.parse_args()
    domain = SpaceDomain(sixty_genes())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        storages = {"journal": write_costs(folder / "journal", domain, None)}
        if given.storage:
            storages["PostgreSQL"] = write_costs(folder / "postgresql", domain, given.storage)
        for storage, (propose, finish) in storages.items():
            print(f"{storage}: {1000 * propose:.0f} ms to write a proposal, {1000 * finish:.0f} ms a rung")
        run = made_up(folder, domain, max(given.histories))
        rung = rung_costs(run, given.histories)
        print(
            "decision: " + ", ".join(f"{1000 * rung(n):.0f} ms at {n}" for n in given.histories), flush=True
        )
        for strategy in given.strategy:
            points = proposal_costs(run, strategy, given.histories, given.repeats)
            told = ", ".join(f"{key}: {1000 * value:.0f}" for key, value in points.items())
            print(f"{strategy}, ms a proposal by (trials, pending): {told}", flush=True)
            for storage, (propose, finish) in storages.items():
                costs = Costs(interpolated(points), rung, propose, finish, given.engine)
                for minutes in given.minutes:
                    print(f"\n{strategy}, {storage}, {minutes:g} minutes to each rung, {given.trials} trials")
                    for workers in given.workers:
                        found = simulate(workers, given.trials, minutes, costs)
                        print(
                            f"| {workers} | {found.hours:.1f} h | {100 * found.workers_busy:.1f} % |"
                            f" {100 * found.driver_busy:.1f} % | {found.longest_wait:.0f} s |"
                        )
        run.close()


def made_up(folder: Path, domain: SpaceDomain, trials: int) -> Run:
    """So many finished random trials, in memory."""
    run, rng = Run(folder / "run", domain, Records.in_memory({})), np.random.default_rng(0)
    while len(run.history) < trials:
        design = domain.random(rng, *domain.window)
        if design.digest not in run.taken:
            values = 1 - accuracy(design), float(np.log(design.cost))
            run.history.append(Observation(design.genotype, design.cost, values))
            run.taken.add(design.digest)
    return run


if __name__ == "__main__":
    main()
