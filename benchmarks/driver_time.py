"""How long the driver of a search is busy: the real plan and record, trainings in simulated time.

As many trainings as there are workers run at a time, each 30 simulated seconds up to a rung, give or take a
third; the promotion decides which go on. What the driver does between is real, and timed: proposals by the
strategy, decisions, every write to the record, the progress that is shown. The time depends on how many
trials are known: it is measured over so many proposals from several numbers of known trials on, and the time
of the whole search is added up from those.

    python -m benchmarks.driver_time [--storage URL] [--workers 64] [--strategy predictor]
        [--known 0 1000 4000 9000] [--trials 10000]

``--profile`` says where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import heapq
import os
import pstats
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.search_speed import Run, accuracy, sixty_genes
from searcher.plan.job import EpochResult, Job
from searcher.plan.search_plan import CandidateTraining, SearchLimits, SearchPlan
from searcher.promotion.halving import ParetoHalving
from searcher.promotion.rung import Rung
from searcher.record.candidate import Decision
from searcher.record.records import Records
from searcher.strategies.registry import create_strategy
from searcher.strategies.space_domain import SpaceDomain

RUNGS, REDUCTION = (1, 3, 9), 3
SECONDS, JITTER = 30.0, 0.3
Running = list[tuple[float, int, Job, int]]


@dataclass(frozen=True)
class Busy:
    """Seconds of the driver for each proposal, wall-clock and processor time, and a digest of what it did."""

    wall: float
    processor: float
    digest: str


def filled(folder: Path, domain: SpaceDomain, known: int, storage: str | None, held: ExitStack) -> Records:
    """Return a record with so many finished trials, two in three of them stopped at a rung."""
    memory = storage == "memory"
    records = (
        Records.in_memory({})
        if memory
        else held.enter_context(Records.writing(folder / f"known{known}", {}, storage))
    )
    run, rng = Run(folder / "none", domain, records), np.random.default_rng(0)
    while len(run.history) < known:
        design = domain.random(rng, *domain.window)
        if design.digest not in run.taken:
            candidate = run.propose(design)
            records.decide(candidate.number, 1, Decision(False, "held"))
            run.finish(candidate, design)
    return records


class Driver:
    """A search's driver whose trainings take simulated time."""

    def __init__(self, plan: SearchPlan, domain: SpaceDomain, workers: int) -> None:
        self.plan, self._domain, self._workers = plan, domain, workers
        self._rng = np.random.default_rng(1)
        self._running: Running = []
        self._now, self._count = 0.0, 0
        self.did = hashlib.sha256()

    def run(self, proposals: int) -> None:
        """Go on until so many proposals were made."""
        records = self.plan.records
        end = len(records.candidates()) + proposals
        while len(records.candidates()) < end:
            while len(self._running) < self._workers:
                job = self.plan.next()
                if job is None:
                    break
                self.did.update(f"{job.architecture.digest} {job.measured}".encode())
                self._train(job, sum(rung in job.measured for rung in job.rungs))
            self._now, _, job, place = heapq.heappop(self._running)
            if self.plan.observe(job, self._measured(job, place)):
                self._train(job, place + 1)
            else:
                self.plan.on_job_end(job)
            # As the engine does after each result, for the display and the heartbeat.
            self.plan.progress()

    def _train(self, job: Job, place: int) -> None:
        length = SECONDS * (1 + JITTER * (2 * self._rng.random() - 1))
        self._count += 1
        heapq.heappush(self._running, (self._now + length, self._count, job, place))

    def _measured(self, job: Job, place: int) -> EpochResult:
        digest = job.architecture.digest
        candidate = next(each for each in self.plan.records.candidates()[::-1] if each.digest == digest)
        value = accuracy(self._domain.design(candidate.genotype)) * 0.9 ** (len(RUNGS) - 1 - place)
        value = min(0.999, value / 4 + 0.02 * float(self._rng.random()))
        return EpochResult(RUNGS[place], SECONDS, {"top1": value, "top5": value, "loss": 1 - value})


def busy(known: int, given: argparse.Namespace) -> Busy:
    """Return the driver's time for a proposal, with its training's rungs, after so many known trials."""
    space = sixty_genes()
    domain = SpaceDomain(space)
    with tempfile.TemporaryDirectory() as name, ExitStack() as held:
        folder = Path(name)
        records = filled(folder, domain, known, given.storage, held)
        low, high = domain.window
        plan = SearchPlan(
            records,
            create_strategy(given.strategy, domain, seed=0, startup=16),
            ParetoHalving(RUNGS, REDUCTION, low, high),
            space,
            CandidateTraining(folder, 0, [Rung(epochs=epochs) for epochs in RUNGS]),
            SearchLimits(known + 1_000_000),
            given.workers,
        )
        driver = Driver(plan, domain, given.workers)
        # As many trainings under way as there are workers, and the strategy's caches are warm.
        driver.run(given.workers + 20)
        profile = cProfile.Profile() if given.profile else None
        if profile is not None:
            profile.enable()
        began, processor = time.perf_counter(), time.process_time()
        driver.run(given.proposals)
        spent = time.perf_counter() - began, time.process_time() - processor
        if profile is not None:
            profile.disable()
            pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    return Busy(spent[0] / given.proposals, spent[1] / given.proposals, driver.did.hexdigest()[:12])


def main() -> None:
    """Print the time at each number of known trials, and of the whole search."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", help="database, or memory; by default a journal")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--strategy", default="predictor")
    parser.add_argument("--known", type=int, nargs="*", default=[0, 1000, 4000, 9000])
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    found = {}
    for known in given.known:
        found[known] = busy(known, given)
        each = found[known]
        times = f"{1000 * each.wall:.0f} ms a proposal, {1000 * each.processor:.0f} of processor"
        print(f"{known} known: {times}; it did {each.digest}", flush=True)
    places = np.arange(given.trials)
    for name in ("wall", "processor"):
        whole = np.interp(places, list(found), [getattr(each, name) for each in found.values()]).sum()
        print(f"{given.trials} trials: {whole:.0f} s of {name} time")


if __name__ == "__main__":
    main()
