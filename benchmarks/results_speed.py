"""How long frontier, plot and page of a long search take: ``python benchmarks/results_speed.py [COUNT]``.

Times are the best of three, in seconds of this machine; beside each stands its ratio to a plain pass over all
measurements, which does not depend on the machine as much.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from results.analysis.frontier import frontier
from results.analysis.hypervolume import hypervolume_history
from results.plots.frontier_view import frontier_view
from results.plots.interactive import frontier_figure
from results.plots.pictures import write_frontier
from results.plots.style import write_html
from results.report.report import report
from results.report.run_view import Run
from search_space.space.space import SearchSpace


def long_search(count: int) -> list[Measurement]:
    """Measurements of ``count`` architectures at three rungs, with texts of real networks."""
    rng = np.random.default_rng(0)
    space = SearchSpace.from_yaml("quickstart")
    texts = [space.sample(rng).text for _ in range(1000)]
    macs = 10 ** rng.uniform(6, 9, count)
    tops = np.clip(0.1 * np.log10(macs) - 0.3 + rng.normal(0, 0.1, count), 0, 1)
    return [
        Measurement(
            f"{number:016x}",
            texts[number % len(texts)],
            Fidelity((2, 4, 8)[number % 3], 8, 24),
            0,
            "search",
            "complete",
            {
                "top1": top,
                "macs": cost,
                "parameters": cost / 50,
                "state_bytes": cost / 1000,
                "latency_ms": cost / 1e6,
            },
            3.0,
        )
        for number, (top, cost) in enumerate(zip(tops.tolist(), macs.tolist(), strict=True))
    ]


def best_of_three(work: Callable[[], object]) -> tuple[float, float]:
    """The least wall-clock and CPU seconds."""
    found = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def main() -> None:
    """Print a table."""
    rows = long_search(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    with tempfile.TemporaryDirectory() as folder:
        view = frontier_view(rows)
        steps: dict[str, Callable[[], object]] = {
            "a pass over all": lambda: sum(row.metrics["macs"] for row in rows),
            "frontier": lambda: frontier(rows),
            "frontier, three objectives": lambda: frontier(rows, objectives=("accuracy", "macs", "latency")),
            "hypervolume after each": lambda: hypervolume_history(rows),
            "view of the plot": lambda: frontier_view(rows),
            "plot as PNG": lambda: write_frontier(view, Path(folder) / "frontier.png"),
            "plot as HTML": lambda: write_html(frontier_figure(view), Path(folder) / "frontier.html"),
            "frontier, view and HTML": lambda: write_html(
                frontier_figure(frontier_view(rows)), Path(folder) / "frontier.html"
            ),
            "page": lambda: report(Run("long", rows)),
        }
        plain = 0.0
        for name, work in steps.items():
            wall, cpu = best_of_three(work)
            plain = plain or cpu
            print(f"{name:28} {wall:8.3f} s wall {cpu:8.3f} s CPU {cpu / plain:8.0f} x")


if __name__ == "__main__":
    main()
