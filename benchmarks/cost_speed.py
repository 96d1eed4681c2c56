"""How many architectures a second are costed and drawn on one core, with fvcore's time for one beside it.

    python -m benchmarks.cost_speed [PRESET ...]

CPU seconds of this process, so other work on the machine disturbs the figures little.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

import numpy as np

from search_space.architecture.published import PUBLISHED
from search_space.cost.closed_form import compute_cost, macs
from search_space.space.space import SearchSpace

ARCHITECTURES = 5_000
REPEATS = 3


def rate(work: Callable[[], object], count: int) -> float:
    """Items a CPU second, the best of some repeats."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return count / min(seconds)


def measure(space: SearchSpace) -> dict[str, float]:
    """Architectures a second: costed in full, in macs alone, drawn at a cost, encoded and decoded."""
    rng = np.random.default_rng(0)
    drawn = [space.sample_at(rng) for _ in range(ARCHITECTURES)]
    fresh = [space.sample_at(rng) for _ in range(ARCHITECTURES)]
    return {
        "cost": rate(lambda: [compute_cost(a, space.classes) for a in drawn], len(drawn)),
        "macs": rate(lambda: [macs(a, space.classes) for a in fresh], len(fresh)),
        "sample_at": rate(lambda: [space.sample_at(rng) for _ in range(1_000)], 1_000),
        "encode + decode": rate(lambda: [space.decode(space.encode(a)) for a in drawn[:1_000]], 1_000),
    }


def fvcore_seconds(name: str) -> float:
    """CPU seconds that fvcore takes to count a published network at its own clip."""
    import torch

    from search_space.cost.fvcore_reference import compare_with_fvcore

    torch.set_num_threads(1)
    start = time.process_time()
    comparison = compare_with_fvcore(PUBLISHED[name])
    assert comparison.agrees
    return time.process_time() - start


def main(names: list[str]) -> None:
    """Measure the presets and print a line for each figure."""
    logging.basicConfig(level=logging.WARNING)
    for name in names:
        print(f"{name}:")
        for what, found in measure(SearchSpace.preset(name)).items():
            print(f"  {what:16} {found:10,.0f} a second")
    for name in ("A0-base", "A2-base"):
        print(f"fvcore, {name}: {fvcore_seconds(name):.1f} s for one architecture")


if __name__ == "__main__":
    main(sys.argv[1:] or ["quickstart", "a0", "a2", "a2-stream"])
