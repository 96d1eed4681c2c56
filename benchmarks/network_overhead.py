"""What a trial costs over a network, with the record in PostgreSQL and in a journal.

Trivial trials run on three hosts with a network of their own (tests/searcher/network), every packet delayed
by so many milliseconds; checkpoints go to an object store. The overhead of a trial is the workers' time that
was spent on none, divided by the trials; both records are measured in turn, so that their ratio means
something on a busy machine. It needs root.

    python -m benchmarks.network_overhead [--trials 500] [--milliseconds 1] [--rounds 2]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent.parent))

from benchmarks.cluster_speed import Clock, overhead
from searcher.plan.job import EvaluatorSpec
from searcher.run.session import Session
from searcher.settings.settings import Settings
from tests.searcher.network.services import RAY_PORT, Site, site

WORKERS, FIRST = 3, 50


def drive(name: str, address: str, checkpoints: str, storage: str | None, trials: int) -> None:
    """Run a search of so many trivial trials, and print the milliseconds of a worker that each cost."""
    settings = Settings.model_validate(
        {
            "name": name,
            "output": "/tmp/runs",
            "storage": storage,
            "checkpoints": checkpoints,
            "search": {
                "strategy": "random", "trials": trials, "startup": 16, "workers": WORKERS, "rungs": [1],
            },
        }
    )  # fmt: skip
    clock = Clock()
    evaluator = EvaluatorSpec("benchmarks.cluster_speed:Trivial", {"seconds": 0.0})
    with Session.open(settings, evaluator, classes=16, on_event=clock, address=address) as session:
        session.search()
    print(overhead(clock, FIRST, trials, WORKERS, 0.0))


def measured(hosts: Site, name: str, storage: str | None, trials: int) -> float:
    """Return the milliseconds of a worker that a trial cost in a search from the hosts' head."""
    given = [name, f"{hosts.head.address}:{RAY_PORT}", hosts.checkpoints, storage, trials]
    command = [sys.executable, "-m", "benchmarks.network_overhead", "--drive", json.dumps(given)]
    told = hosts.head.call(*command, env=hosts.variables, seconds=1200)
    return float(told.strip().splitlines()[-1])


def main() -> None:
    """Print the overhead of a trial with both records, round by round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--milliseconds", type=float, default=1.0, help="of delay, in each direction")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        drive(*json.loads(given.drive))
        return
    with site(workers=WORKERS) as hosts, ExitStack() as held:
        for host in (*hosts.workers, hosts.database, hosts.store):
            held.enter_context(host.relayed(given.milliseconds))
        print(f"{given.trials} trials on {WORKERS} hosts, {given.milliseconds:g} ms in each direction")
        for number in range(given.rounds):
            journal = measured(hosts, f"journal{number}", None, given.trials)
            database = measured(hosts, f"database{number}", hosts.url, given.trials)
            ratio = database / journal
            print(f"a trial: {journal:.0f} ms journal, {database:.0f} ms PostgreSQL: {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
