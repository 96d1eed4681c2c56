"""Short trainings against a supernet: what the same search confirms, and the CPU time that it takes.

    OMP_NUM_THREADS=1 python -m benchmarks.one_shot --seeds 0 1 2 3 4

For each seed, the search is run with short trainings and with a supernet, in turn, each with its
confirmation. The CPU time is that of this process, everything counted. The hypervolume is that of the
confirmed means of accuracy, in one box for both: the space's range of multiply-adds on a logarithmic scale.
Beside them stands the CPU time of one candidate in the search, the median: of its measurement with shared
weights, or of a training up to the last rung.
Interrupted, the same command goes on; several processes may share the work by other seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.serial_cluster import Meter, SerialCluster
from search_space.files import write_json
from search_space.network.allocator import retain_freed_memory
from search_space.progress import ignore_progress
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.pareto import hypervolume
from searcher.plan.confirmation import Confirmed
from searcher.record.records import Records
from searcher.run.session import Session
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings
from searcher.supernet.supernet_job import supernet_spec


def confirmed_volume(confirmed: tuple[Confirmed, ...], low: float, high: float) -> float:
    """Return the share of the box below the confirmed accuracies."""
    points = [(1 - each.metrics["top1"], np.log(each.macs / low) / np.log(high / low)) for each in confirmed]
    return hypervolume(np.array(points), (1.0, 1.0))


def seconds_of_candidate(settings: Settings, meter: Meter) -> float:
    """Return the CPU seconds of a candidate measured as thoroughly as any; call it after a search."""
    if settings.supernet is not None:
        return float(np.median([seconds for seconds, epochs in meter.networks.values() if epochs == 1]))
    last = settings.search.rungs[-1].epochs
    return last * float(np.median([seconds / epochs for seconds, epochs in meter.networks.values()]))


def search(settings: Settings, work: Path) -> dict[str, Any]:
    """Search and confirm, and return what came out; what an earlier call has finished is only read."""
    result = work / f"{settings.name}.json"
    if result.is_file():
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found
    data = RunData.open(
        settings.data, settings.space, workers=1, making=ignore_progress, preparing=ignore_progress
    )
    space = settings.space.with_classes(len(data.classes))
    meter = Meter.of(work / f"{settings.name}.cpu.json")
    evaluator = video_evaluator(
        data.paths, settings.recipe, supernet=supernet_spec(settings, len(data.classes))
    )
    cluster = SerialCluster(settings, meter, float("inf"))
    with Records.writing(settings.run_dir, settings.identity()) as records:
        session = Session(settings, space, records, cluster, evaluator)
        session.search()
        shared = meter.total
        candidate = seconds_of_candidate(settings, meter)
        confirmed = session.confirm()
    shutil.rmtree(settings.run_dir / "checkpoints", ignore_errors=True)
    low, high = settings.window(space)
    written = {
        "hypervolume": confirmed_volume(confirmed, low, high),
        "search_seconds": shared,
        "cpu_seconds": meter.total,
        "candidate_seconds": candidate,
        "networks": [[each.macs, each.metrics["top1"]] for each in confirmed],
    }
    write_json(result, written)
    return written


def main() -> None:
    """Run both searches for each seed, and print a line for each and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", default="trainings", help="settings with short trainings")
    parser.add_argument("--shared", default="quickstart", help="settings with a supernet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--work", type=Path, default=Path("build/one-shot"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {"short": [], "shared": []}
    for seed in options.seeds:
        for way, found in rows.items():
            given = {"name": f"{way}-{seed}", "seed": seed, "output": str(work / "runs")}
            settings = load_settings(
                getattr(options, way), given | {"search.workers": 1, "search.elastic": False, "pilot": False}
            )
            last = search(settings, work)
            found.append(last)
            print(
                f"{way} {seed}: hypervolume {last['hypervolume']:.4f}, {last['cpu_seconds']:.0f} CPU s"
                f" ({last['search_seconds']:.0f} of them the search)",
                flush=True,
            )
    for name in ("hypervolume", "cpu_seconds", "candidate_seconds"):
        short, shared = (np.array([row[name] for row in rows[way]]) for way in ("short", "shared"))
        error = np.std(shared - short, ddof=1) / np.sqrt(len(short)) if len(short) > 1 else np.nan
        print(
            f"{name}: short {short.mean():.4g}, shared {shared.mean():.4g}, difference"
            f" {(shared - short).mean():.3g} +- {error:.2g}, ratio {(shared / short).mean():.2f}"
        )


if __name__ == "__main__":
    main()
