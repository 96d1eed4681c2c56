"""Whether a search pays: the networks that several methods choose in equal CPU time, all trained alike.

    OMP_NUM_THREADS=1 python -m benchmarks.search_pays --data trainings --minutes 30 --searches 5

``search`` is the search as the settings say, with its confirmation. ``random`` is the same pipeline with
stratified random proposals and no seeds. ``plain`` is what Optuna and Ray give without this project: multi-
objective TPE over the space's genes, and ASHA on the accuracy. ``scaled`` is the released family, compound-
scaled to the same costs; it needs no search. Each method names as many networks, its frontier spread over
the cost. These are trained alike, with fresh seeds, and judged on the test split: the hypervolume of accuracy
against log multiply-adds, in one box for all. Methods are compared search by search, since their final
trainings share seeds.

All trainings run one at a time in this process, on one thread, and are charged by the CPU time of the
process, proposals included; those of ``plain`` run in a Ray worker, whose trainings alone are charged. Time
for the confirmation is set aside as the frontier grows. Interrupted, the same command resumes: searches and
final trainings go on, only an unfinished ``plain`` search begins again. All is kept in the folder ``--work``:
records of the searches in ``runs/``, chosen networks in ``chosen/``, final trainings in ``final.jsonl``, and
the result in ``search_pays.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.plain_search import plain_search
from benchmarks.serial_cluster import Meter, SerialCluster
from proxy_train.data.settings import DataSettings
from search_space.architecture.architecture import Architecture
from search_space.errors import SettingsError
from search_space.files import write_json
from search_space.network.allocator import retain_freed_memory
from search_space.progress import ignore_progress
from search_space.space.scaled_networks import scaled_published
from search_space.space.space import SearchSpace
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.hypervolume_box import in_box
from searcher.pareto import hypervolume
from searcher.plan.confirmation import choose_members
from searcher.plan.job import EvaluatorSpec
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.run.session import Session
from searcher.settings.checks import check_settings
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings
from searcher.standalone.single_training import SingleTraining, train_single
from searcher.strategies.space_domain import SpaceDomain

METHODS = ("search", "random", "plain", "scaled")
_NO_LIMIT = 1_000_000
_FINAL_SEEDS = 100_000


@dataclass(frozen=True)
class Chosen:
    """The networks that a method has chosen.

    Args:
        method: name of ``METHODS``.
        search: number of the search.
        networks: architectures as text.
        cpu_seconds: CPU seconds spent until they were chosen.
        trained: number of networks that were trained on the way.
    """

    method: str
    search: int
    networks: tuple[str, ...]
    cpu_seconds: float
    trained: int


@dataclass(frozen=True)
class Benchmark:
    """The searches and trainings of a comparison.

    Args:
        source: settings file or preset.
        work: folder of all results.
        minutes: CPU minutes of a search.
        networks: number of networks that each method names.
        final_epochs: epochs of the final trainings.
        final_seeds: number of final trainings of each network.
    """

    source: str
    work: Path
    minutes: float
    networks: int
    final_epochs: int
    final_seeds: int

    def settings(self, name: str = "any", seed: int = 0, **search: object) -> Settings:
        """Return the settings of a run: without a limit of candidates, one at a time."""
        search = {"trials": _NO_LIMIT, "workers": 1, "elastic": False, **search}
        given = {f"search.{key}": value for key, value in search.items()}
        return load_settings(
            self.source, {"name": name, "seed": seed, "output": str(self.work / "runs"), **given}
        )

    def choose(self, method: str, search: int, data: RunData, space: SearchSpace) -> Chosen:
        """Return what a method chooses, from an earlier call or by a search now."""
        path = self.work / "chosen" / f"{method}-{search}.json"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            if method == "scaled":
                chosen = self._scaled(search, space)
            elif method == "plain":
                chosen = self._plain(search, data, space)
            else:
                chosen = self._searched(method, search, data, space)
            write_json(path, asdict(chosen))
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Chosen(**{**kept, "networks": tuple(kept["networks"])})

    def _evaluator(self, settings: Settings, data: RunData) -> EvaluatorSpec:
        return video_evaluator(data.paths, settings.recipe, "cpu")

    def _scaled(self, search: int, space: SearchSpace) -> Chosen:
        settings = self.settings()
        domain = SpaceDomain(space, settings.windows(space))
        found = scaled_published(
            space, self.networks, domain.window, lambda architecture: not domain.refusal(architecture)
        )
        return Chosen("scaled", search, tuple(each.architecture.text for each in found), 0.0, 0)

    def _searched(self, method: str, search: int, data: RunData, space: SearchSpace) -> Chosen:
        changes: dict[str, object] = {"strategy": "random", "seeds": []} if method == "random" else {}
        settings = self.settings(f"{method}-{search}", search, **changes)
        meter = Meter.of(self.work / "runs" / f"{settings.name}.cpu.json")
        meter.path.parent.mkdir(parents=True, exist_ok=True)
        cluster = SerialCluster(settings, meter, 60 * self.minutes)
        with Records.writing(settings.run_dir, settings.identity()) as records:
            session = Session(settings, space, records, cluster, self._evaluator(settings, data))
            session.search()
            confirmed = session.confirm()
            trained = sum(bool(candidate.metrics) for candidate in records.candidates())
        candidates = [
            Candidate(number, (), each.digest, each.architecture, each.macs, metrics={1: each.metrics})
            for number, each in enumerate(confirmed)
        ]
        members = choose_members(candidates, self.networks)
        shutil.rmtree(settings.run_dir / "checkpoints", ignore_errors=True)
        return Chosen(method, search, tuple(each.architecture for each in members), meter.total, trained)

    def _plain(self, search: int, data: RunData, space: SearchSpace) -> Chosen:
        settings = self.settings()
        evaluator = self._evaluator(settings, data).to_json()
        candidates, seconds = plain_search(settings, space, evaluator, 60 * self.minutes, search)
        members = choose_members(candidates, self.networks)
        return Chosen("plain", search, tuple(each.architecture for each in members), seconds, len(candidates))


class FinalTrainings:
    """The final trainings of all methods; each is kept in a file of JSON lines.

    Args:
        benchmark: epochs, seeds and folder.
        settings: settings with data and recipe.
    """

    def __init__(self, benchmark: Benchmark, settings: Settings) -> None:
        self._benchmark, self._recipe = benchmark, settings.recipe
        self._data: DataSettings = settings.data
        self._path = benchmark.work / "final.jsonl"
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        kept = [json.loads(line) for line in lines]
        self._done = {(each["architecture"], each["seed"]): float(each["top1"]) for each in kept}

    def accuracy(self, text: str, search: int) -> float:
        """Return the mean accuracy of a network on the test split, over seeds that are a search's own."""
        first = _FINAL_SEEDS + 100 * search
        seeds = range(first, first + self._benchmark.final_seeds)
        return float(np.mean([self._trained(text, seed) for seed in seeds]))

    def _trained(self, text: str, seed: int) -> float:
        if (text, seed) not in self._done:
            architecture, started = Architecture.parse(text), time.process_time()
            folder = self._benchmark.work / "final" / f"{architecture.digest}-s{seed}"
            trained = train_single(
                SingleTraining(
                    architecture, self._data, self._recipe, folder, self._benchmark.final_epochs, seed
                )
            )
            top1, seconds = trained.metrics["top1"], time.process_time() - started
            line = {"architecture": text, "seed": seed, "top1": top1, "cpu_seconds": seconds}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line | {"split": trained.split}) + "\n")
            shutil.rmtree(folder)
            self._done[text, seed] = top1
            print(f"  {architecture.digest}, seed {seed}: {top1:.3f} after {seconds:.0f} CPU s", flush=True)
        return self._done[text, seed]


def mean_and_error(values: Sequence[float]) -> dict[str, float | None]:
    """Return the mean and its standard error; a single value has no error."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "error": error}


def _words(figure: Mapping[str, float | None], sign: str = "") -> str:
    error = "-" if figure["error"] is None else f"{figure['error']:.4f}"
    return f"{figure['mean']:{sign}.4f} ({error})"


def summary(
    chosen: Mapping[tuple[str, int], Chosen], points: Mapping[tuple[str, int], Sequence[tuple[float, float]]]
) -> dict[str, Any]:
    """Return volumes, their means, and how much those of the search exceed each other method's.

    Args:
        chosen: networks by method and search.
        points: error and log multiply-adds of each network, after the final trainings.
    """
    names = ("accuracy", "macs")
    everything = np.array([point for each in points.values() for point in each])
    volumes = {
        key: hypervolume(in_box(np.array(each), names, everything), (1.0, 1.0)) if len(each) else 0.0
        for key, each in points.items()
    }
    searches = sorted({search for _, search in volumes})
    methods = [method for method in METHODS if any(key[0] == method for key in volumes)]
    rows = {}
    for method in methods:
        own = [volumes[method, search] for search in searches]
        row: dict[str, Any] = {"hypervolumes": own, "hypervolume": mean_and_error(own)}
        row["cpu_seconds"] = float(np.mean([chosen[method, search].cpu_seconds for search in searches]))
        row["trained"] = float(np.mean([chosen[method, search].trained for search in searches]))
        row["networks"] = [len(chosen[method, search].networks) for search in searches]
        if method != "search" and "search" in methods:
            more = [volumes["search", search] - volumes[method, search] for search in searches]
            row["search_minus_this"] = mean_and_error(more)
        rows[method] = row
    return {"searches": len(searches), "methods": rows}


def table(result: Mapping[str, Any]) -> str:
    """Return the summary as text."""
    lines = [
        f"{result['searches']} searches; mean (standard error)",
        f"{'method':8}{'hypervolume':>18}{'search minus this':>22}{'CPU s':>10}{'trained':>9}{'chosen':>8}",
    ]
    for method, row in result["methods"].items():
        volume = _words(row["hypervolume"])
        more = _words(row["search_minus_this"], "+") if "search_minus_this" in row else ""
        chosen = np.mean(row["networks"])
        lines.append(
            f"{method:8}{volume:>18}{more:>22}{row['cpu_seconds']:>10.0f}{row['trained']:>9.0f}{chosen:>8.1f}"
        )
    return "\n".join(lines)


def _refuse_other_arguments(benchmark: Benchmark, settings: Settings) -> None:
    """Refuse a folder that holds results of other arguments or settings."""
    path = benchmark.work / "benchmark.json"
    own = {key: value for key, value in asdict(benchmark).items() if key not in ("work", "source")}
    own = json.loads(json.dumps(own | {"settings": settings.identity(), "seeds": settings.search.seeds}))
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != own:
        raise SettingsError(
            f"{benchmark.work} has results of other arguments or settings", hint="give another --work"
        )
    benchmark.work.mkdir(parents=True, exist_ok=True)
    write_json(path, own)


def run(benchmark: Benchmark, searches: int, methods: Sequence[str]) -> dict[str, Any]:
    """Run what is left of a comparison; print and keep the result after every search."""
    settings = benchmark.settings()
    _refuse_other_arguments(benchmark, settings)
    check_settings(settings)
    data = RunData.open(
        settings.data,
        settings.space,
        workers=1,
        making=ignore_progress,
        preparing=ignore_progress,
        rungs=settings.search.rungs,
    )
    space = settings.space.with_classes(len(data.classes))
    finals = FinalTrainings(benchmark, settings)
    chosen: dict[tuple[str, int], Chosen] = {}
    points: dict[tuple[str, int], list[tuple[float, float]]] = {}
    result: dict[str, Any] = {}
    for search in range(searches):
        for method in methods:
            picked = chosen[method, search] = benchmark.choose(method, search, data, space)
            print(
                f"search {search}, {method}: {len(picked.networks)} networks of {picked.trained} trained,"
                f" {picked.cpu_seconds:.0f} CPU s",
                flush=True,
            )
        for method in methods:
            points[method, search] = [
                (1 - finals.accuracy(text, search), math.log(space.macs(Architecture.parse(text))))
                for text in chosen[method, search].networks
            ]
        result = summary(chosen, points)
        details = {
            f"{method}-{search}": {"networks": chosen[method, search].networks, "points": each}
            for (method, search), each in points.items()
        }
        write_json(benchmark.work / "search_pays.json", result | {"details": details})
        print(table(result), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="trainings", help="settings file or preset, of any kind of data")
    parser.add_argument("--work", type=Path, default=Path("runs/search_pays"), help="folder of all results")
    parser.add_argument("--minutes", type=float, default=30.0, help="CPU minutes of a search")
    parser.add_argument("--searches", type=int, default=5, help="searches of each method")
    parser.add_argument("--networks", type=int, default=6, help="networks that each method names")
    parser.add_argument("--final-epochs", type=int, help="by default, those of the family's training")
    parser.add_argument("--final-seeds", type=int, default=2, help="final trainings of each network")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    epochs = given.final_epochs or load_settings(given.data).family.epochs
    benchmark = Benchmark(
        given.data, given.work.absolute(), given.minutes, given.networks, epochs, given.final_seeds
    )
    run(benchmark, given.searches, given.methods)


if __name__ == "__main__":
    main()
