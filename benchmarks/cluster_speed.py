"""What a trial costs the engine: seconds of a worker lost between trainings, and memory of the driver.

Trivial trials, each an epoch that does nothing but write its checkpoint, run on two Ray nodes on this
machine, through the same driver, record and adapters as real ones. The overhead of a trial is the workers'
time that was spent on none, divided by the trials; memory is the driver's resident set after so many trials.

    python -m benchmarks.cluster_speed [--trials 500] [--workers 2] [--long 2000] [--strategy random]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from searcher.plan.events import Event, Measured, Started
from searcher.plan.job import EpochResult, EvaluatorSpec, Job
from searcher.run.session import Session
from searcher.settings.settings import Settings

ROOT = str(Path(__file__).parent.parent)


class Trivial:
    """An evaluator whose epoch takes ``seconds`` and finds an accuracy in the network's digest."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, job: Job) -> Iterator[EpochResult]:
        """One epoch."""
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "state.json").write_text("1")
        time.sleep(self._seconds)
        top1 = int(job.architecture.digest[:6], 16) / 0xFFFFFF
        yield EpochResult(1, self._seconds, {"top1": top1, "top5": 1.0, "loss": 1 - top1})


class Clock:
    """When trials ended, and the driver's memory then."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.bytes: list[int] = []
        self.began = 0.0

    def __call__(self, event: Event) -> None:
        """Hears of the search."""
        if isinstance(event, Started) and not self.began:
            self.began = time.perf_counter()
        if isinstance(event, Measured):
            self.ended.append(time.perf_counter())
            self.bytes.append(resident())


def resident() -> int:
    """Bytes of memory that this process has (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(folder: Path, address: str, trials: int, workers: int, strategy: str, seconds: float) -> Clock:
    """A search of so many trivial trials."""
    settings = Settings.model_validate(
        {
            "name": f"trivial-{trials}",
            "output": folder,
            "search": {
                "strategy": strategy, "trials": trials, "startup": 16, "workers": workers, "rungs": [1],
            },
        }
    )  # fmt: skip
    clock = Clock()
    evaluator = EvaluatorSpec("benchmarks.cluster_speed:Trivial", {"seconds": seconds})
    with Session.open(settings, evaluator, classes=16, on_event=clock, address=address) as session:
        session.search()
    return clock


def overhead(clock: Clock, first: int, last: int, workers: int, seconds: float) -> float:
    """Milliseconds of a worker that a trial between two numbers cost beyond its own time."""
    return 1000 * ((clock.ended[last - 1] - clock.ended[first - 1]) * workers / (last - first) - seconds)


def main() -> None:
    """Prints overhead by hundreds of trials, and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--long", type=int, default=2000, help="trials of the long search; 0 leaves it out")
    parser.add_argument("--strategy", default="random")
    parser.add_argument("--seconds", type=float, default=0.0, help="that a training sleeps")
    given = parser.parse_args()
    # Of the nodes and their workers, which are started below.
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": ROOT}
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=(given.workers + 1) // 2)
        with tempfile.TemporaryDirectory() as folder:
            busy = time.process_time()
            clock = run(
                Path(folder), cluster.address, given.trials, given.workers, given.strategy, given.seconds
            )
            busy = time.process_time() - busy
            print(f"{given.trials} trials on 2 nodes, {given.workers} workers, strategy {given.strategy}")
            print(f"the first trial after {clock.ended[0] - clock.began:.1f} s")
            edges = [*range(100, given.trials + 1, 100)]
            for first, last in pairwise(edges):
                cost = overhead(clock, first, last, given.workers, given.seconds)
                print(f"trials {first} to {last}: {cost:.0f} ms of a worker each")
            gaps = 1000 * np.diff(clock.ended)[20:]
            high = np.percentile(gaps, 99)
            print(f"median between two ends {np.median(gaps):.0f} ms, 99 of 100 below {high:.0f} ms")
            print(f"the driver's own processor time {1000 * busy / given.trials:.0f} ms a trial", flush=True)
            if given.long:
                clock = run(
                    Path(folder), cluster.address, given.long, given.workers, given.strategy, given.seconds
                )
                last = overhead(clock, given.long - 200, given.long, given.workers, given.seconds)
                print(f"trials {given.long - 200} to {given.long}: {last:.0f} ms of a worker each")
                for at in (200, given.long // 2, given.long):
                    print(f"memory of the driver after {at} trials: {clock.bytes[at - 1] / 2**20:.0f} MiB")
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
