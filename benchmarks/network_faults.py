"""What faults of the network cost a search: its time beside that of an undisturbed one.

Two searches of short trainings on three hosts with a network of their own (tests/searcher/network): one
undisturbed, one with random faults one after the other, hosts cut off, slowed, moved and switched off. Faults
that overlap nothing cost at least their own time. It needs root.

    python -m benchmarks.network_faults [--trials 200] [--faults 20] [--seconds 1.5]
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent.parent))

from tests.searcher.network.faults import fault
from tests.searcher.network.services import Driver, site
from tests.searcher.processes import until


def main() -> None:
    """Print both times, what the faults took, and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.5, help="of an epoch; a training has two")
    given = parser.parse_args()
    rng, options = random.Random(0), dict[str, Any](trials=given.trials, rungs=[2], strategy="random")
    with site() as hosts:
        began = time.monotonic()
        with Driver(hosts, given.seconds, "calm", **options) as driver:
            driver.finish(3600)
        calm, began, faulty = time.monotonic() - began, time.monotonic(), 0.0
        with Driver(hosts, given.seconds, "faulty", **options) as driver:
            for _ in range(given.faults):
                known = len(driver.epochs)
                until(lambda known=known: len(driver.epochs) > known)  # type: ignore[misc]
                at = time.monotonic()
                kind = fault(hosts, rng)
                faulty += time.monotonic() - at
                print(f"{kind}: {time.monotonic() - at:.0f} s, after {known} epochs", flush=True)
            driver.finish(3600)
            disturbed = time.monotonic() - began
            driver.check(given.trials, redone=3 * given.faults)
        again = len(driver.epochs) - len(set(driver.epochs))
        print(f"undisturbed {calm:.0f} s, disturbed {disturbed:.0f} s, of these faults {faulty:.0f} s")
        print(f"without the faults' own time {(disturbed - faulty) / calm:.2f} times, {again} epochs again")


if __name__ == "__main__":
    main()
