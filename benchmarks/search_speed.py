"""How long a proposal takes in a long search, what a trial costs in memory, and whether 10,000 trials end.

A run of 5,000 finished and 100 pending trials of some 60 genes is made up; then proposals are asked for and
written to the run's journal, as the driver of a search does it. Times depend on the machine: compare them
within one call of this script.

    python -m benchmarks.search_speed [--trials 5000] [--pending 100] [--proposals 20] [--strategy NAME ...]
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from search_space.space.space import SearchSpace
from searcher.record.candidate import Candidate
from searcher.record.gene_params import distributions, params
from searcher.record.records import Records
from searcher.simulation.simulation import Simulation
from searcher.simulation.yardsticks import SyntheticYardstick
from searcher.strategies.domain import Design
from searcher.strategies.history import Observation
from searcher.strategies.registry import create_strategy
from searcher.strategies.space_domain import SpaceDomain

DEPTH = 5


def sixty_genes() -> SearchSpace:
    """Five stages of one to five layers that choose for themselves: about 60 genes."""
    stages = [
        {
            "width": [width, width + 8],
            "stride": 2 if place != 3 else 1,
            "depth": list(range(1, DEPTH + 1)),
            "kernel": ["1x3x3", "1x5x5", "3x3x3", "5x3x3", "5x1x1"],
            "expansion": {"also": [2 * width, 3 * width, 4 * width]},
        }
        for place, width in enumerate((16, 32, 48, 48, 64))
    ]
    space = {
        "name": "sixty",
        "options": "stream",
        "input": {"frames": 8, "size": 64, "fps": 8},
        "granularity": "layer",
        "stem": 16,
        "stages": stages,
        "head": 128,
        "hidden": 128,
    }
    return SearchSpace.from_dict(space, "sixty").with_classes(16)


def accuracy(design: Design) -> float:
    """Made up: grows with cost, and has tastes."""
    return 0.1 * math.log10(design.cost) - 0.4 + 0.004 * sum(design.genotype)


def measured(candidate: Candidate, value: float) -> Measurement:
    """A full training of a candidate."""
    return Measurement(
        digest=candidate.digest,
        architecture=candidate.architecture,
        fidelity=Fidelity(1, 8, 64),
        seed=0,
        purpose="search",
        status="complete",
        metrics={"top1": value, "macs": float(candidate.macs)},
        seconds=1.0,
        reason="",
    )


class Run:
    """A search's record and what strategies are told of it."""

    def __init__(self, folder: Path, domain: SpaceDomain, records: Records | None = None) -> None:
        self._held = ExitStack()
        self.records = records or self._held.enter_context(Records.writing(folder, {}))
        self.domain = domain
        self.history: list[Observation] = []
        self.taken: set[str] = set()
        self._distributions = distributions(domain.genes)

    def propose(self, design: Design) -> Candidate:
        """Writes a proposal down."""
        candidate = Candidate(
            len(self.history),
            design.genotype,
            design.digest,
            self.domain.design(design.genotype).architecture.text,
            int(design.cost),
        )
        self.records.propose(candidate, params(self.domain.genes, design.genotype), self._distributions)
        self.history.append(Observation(design.genotype, design.cost, None, pending=True))
        self.taken.add(design.digest)
        return candidate

    def finish(self, candidate: Candidate, design: Design) -> None:
        """Writes its measurement down."""
        value = accuracy(design)
        self.records.append(measured(candidate, value))
        self.records.close(candidate.number, "complete")
        values = 1 - value, float(np.log(design.cost))
        self.history[candidate.number] = Observation(design.genotype, design.cost, values)

    def close(self) -> None:
        """Lets go of the record."""
        self._held.close()


def resident() -> int:
    """Bytes of memory that this process has (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fill(run: Run, finished: int, pending: int) -> None:
    """Random trials."""
    rng = np.random.default_rng(len(run.history))
    while len(run.history) < finished + pending:
        design = run.domain.random(rng, *run.domain.window)
        if design.digest not in run.taken:
            candidate = run.propose(design)
            if candidate.number < finished:
                run.finish(candidate, design)


def main() -> None:
    """Prints times, memory and the end of a long search."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--pending", type=int, default=100)
    parser.add_argument("--proposals", type=int, default=20)
    parser.add_argument("--long", type=int, default=10_000, help="trials of the long search; 0 leaves it out")
    parser.add_argument("--strategy", nargs="*", default=["random", "mutation", "nsga2", "tpe", "predictor"])
    given = parser.parse_args()
    domain = SpaceDomain(sixty_genes())
    print(f"{len(domain.genes)} genes, {given.trials} finished and {given.pending} pending trials")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run", domain)
        fill(run, 100, 0)
        before = resident()
        fill(run, given.trials, given.pending)
        grown = (resident() - before) / (len(run.history) - 100)
        print(f"memory of a trial in the record and the history: {grown / 1000:.1f} kB", flush=True)
        for name in given.strategy:
            time_strategy(run, name, given.proposals)
        run.close()
    if given.long:
        yardstick = SyntheticYardstick()
        began = time.process_time()
        strategy = create_strategy("predictor", yardstick.domain, seed=0, startup=20)
        found = Simulation(yardstick, strategy, given.long, workers=64).run()
        seconds = time.process_time() - began
        print(f"{given.long} trials by 64 workers: {found.scores}, {seconds:.0f} s of processor time")


def time_strategy(run: Run, name: str, proposals: int) -> None:
    """Proposals one after the other, each written down, each with one more measurement known."""
    strategy = create_strategy(name, run.domain, seed=0, startup=16)
    wall, busy = [], []
    for _ in range(proposals + 1):
        clock, processor = time.perf_counter(), time.process_time()
        design = strategy.propose(run.history, run.taken)
        candidate = run.propose(design)
        wall.append(time.perf_counter() - clock)
        busy.append(time.process_time() - processor)
        run.finish(candidate, design)
    print(
        f"{name:<10} median of {proposals} proposals {1000 * np.median(wall[1:]):6.0f} ms,"
        f" processor time {1000 * np.median(busy[1:]):6.0f} ms; the first {1000 * wall[0]:.0f} ms"
    )


if __name__ == "__main__":
    main()
