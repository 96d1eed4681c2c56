"""TuNAS on videos: how near its target it comes, how decided it is, and what its network is worth.

    OMP_NUM_THREADS=1 python -m benchmarks.tunas [--target 1e6] [--seeds 0 1 2 3 4] [--epochs 30]

On the quickstart's space and clips, for each seed: the cost of the most probable network, its accuracy when
trained alone with two seeds, and the mean over genes of the policy's entropy (1: all choices alike). Beside
it, trained alike: what the default one-shot search has best in its supernet, at 1.1 of the target or less;
and random networks within 1.1 of the target: their mean, and the best of five, chosen by one training and
judged by the other. All is kept below build/, trainings beside those of ``benchmarks.supernet_ranking --data
medium``, among whose networks the random ones are at the default target. The same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.reliability import Trainings, Way
from benchmarks.serial_cluster import Meter, SerialCluster
from benchmarks.supernet_ranking import opened
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.tunas import TunasTraining
from search_space.architecture.architecture import Architecture
from search_space.files import write_json
from search_space.network.allocator import retain_freed_memory
from search_space.space.space import SearchSpace
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.record.records import Records
from searcher.run.session import Session
from searcher.settings.reading import load_settings
from searcher.supernet.supernet_job import supernet_spec

Found = list[str | float]
LIKE = 1.1


def learnt(space: SearchSpace, data: RunData, given: SupernetSettings, seed: int, folder: Path) -> Found:
    """Return the most probable network of a controller, the policy's mean entropy, and CPU seconds."""
    recipe, started = load_settings("quickstart").recipe, time.process_time()
    training = TunasTraining(space, data.stores, recipe, given, seed=seed, folder=folder)
    while training.epoch < given.epochs:
        training.train_epoch()
        training.save()
    policy = [np.maximum(row, 1e-12) for row in training.controller.probabilities]
    entropy = float(np.mean([-(row @ np.log(row)) / np.log(len(row)) for row in policy]))
    return [training.controller.best().text, entropy, time.process_time() - started]


def searched(space: SearchSpace, data: RunData, most: float, seed: int, work: Path) -> Found:
    """Return what a default search has best in its supernet, its accuracy there, and CPU seconds."""
    given = {"name": f"search-{seed}", "seed": seed, "output": str(work), "pilot": False}
    settings = load_settings("quickstart", given | {"search.workers": 1, "search.elastic": False})
    cluster = SerialCluster(settings, meter := Meter.of(work / f"search-{seed}.cpu.json"), float("inf"))
    shared = supernet_spec(settings, len(data.classes))
    evaluator = video_evaluator(data.paths, settings.recipe, supernet=shared)
    with Records.writing(settings.run_dir, settings.identity()) as records:
        Session(settings, space, records, cluster, evaluator).search()
        found = [each for each in records.measurements("search") if each.status == "complete"]
    allowed = [each for each in found if space.macs(Architecture.parse(each.architecture)) <= most]
    best = max(allowed, key=lambda each: each.metrics["top1"])
    return [best.architecture, best.metrics["top1"], meter.total]


def main() -> None:
    """Learn, search, train, and print, with the entropy of a policy or the accuracy in a supernet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--target", type=float, default=1e6)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--searches", type=int, nargs="*", default=[0, 1, 2], help="seeds of them")
    parser.add_argument("--alone", type=int, default=10, help="epochs of a training alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    target, work = options.target, Path("build/tunas").absolute()
    space, data = opened(SearchSpace.from_yaml("quickstart"), "medium")
    kept = Path("build/supernet-ranking/medium.jsonl")
    trainings = Trainings(kept, {str(clip): store for clip, store in data.stores.items()})
    way = Way("alone", {}, options.alone, options.alone)
    given = SupernetSettings.model_validate({"epochs": options.epochs, "target": target})
    accuracies: dict[str, list[list[float]]] = {"tunas": [], "search": [], "random": []}

    def train(name: str, architecture: Architecture, told: str = "") -> None:
        rows = [trainings.find(way, architecture, seed)[-1]["top1"] for seed in (0, 1)]
        accuracies[name].append(rows)
        cost = space.macs(architecture) / target
        print(f"{name}: {cost:.2f} of the target, alone {rows[0]:.3f} {rows[1]:.3f}{told}", flush=True)

    for name, seeds in (("tunas", options.seeds), ("search", options.searches)):
        for seed in seeds:
            file = work / f"{name}-{target:g}-{options.epochs if name == 'tunas' else 'default'}-{seed}.json"
            if not file.is_file() and name == "tunas":
                write_json(file, learnt(space, data, given, seed, file.with_suffix("")))
            elif not file.is_file():
                write_json(file, searched(space, data, LIKE * target, seed, work))
            text, value, seconds = json.loads(file.read_text(encoding="utf-8"))
            train(name, Architecture.parse(text), f", {value:.2f}, {seconds:.0f} CPU s, {text}")
    for network in space.sample_distinct(np.random.default_rng(1), 24, target / 2, 1.2 * target):
        if target / LIKE <= space.macs(network) <= target * LIKE:
            train("random", network)
    for name, rows in filter(lambda item: len(item[1]) > 1, accuracies.items()):
        print(f"{name}: mean {np.mean(rows):.3f}, deviation {np.std(np.mean(rows, 1), ddof=1):.3f}")
    pairs = [(five, by) for five in combinations(accuracies["random"], 5) for by in (0, 1)]
    best = [max(five, key=lambda row: row[by])[1 - by] for five, by in pairs]
    print(f"best of five random ones: {np.mean(best):.3f}")


if __name__ == "__main__":
    main()
