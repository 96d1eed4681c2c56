"""How a supernet ranks networks of like cost, beside short trainings of each.

    OMP_NUM_THREADS=1 python -m benchmarks.supernet_ranking [--seeds 0 1 2] [--epochs 60] [--rule growing]
    OMP_NUM_THREADS=1 python -m benchmarks.supernet_ranking --data medium --epochs 20

Without ``--data``, the networks are those that the table of trained video networks has with three seeds, and
their worth is the table's estimate. With a preset of MovingDigits-16, as many networks of the quickstart's
space as ``--networks-alone`` are drawn from ``--macs``, evenly over the logarithm of cost, and each is
trained on its own with ``--seeds-alone`` seeds.

A supernet is trained on the same clips for each of ``--seeds``, and every network is measured in it. Printed
is Kendall's tau among networks of like cost (within a factor of 1.5) with the mean accuracy of the trainings
of their own, and with the worth where it is known, for three readings: accuracy, loss, and what the logit of
the accuracy is above its trend over the logarithm of cost; and the CPU time. Below it stand tau of one short
training of each network with the CPU seconds of all of them, tau of the multiply-adds, how reliable one whole
training is, and the tau that a perfect ranking would have. A training is compared with the mean of the other
seeds: it must not meet itself. Trainings and supernets are kept below build/: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.reliability import Trainings, Way
from proxy_train.data.settings import DataSettings
from proxy_train.evaluation.rank_agreement import pair_tau
from proxy_train.recipe import Recipe
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.training import SupernetTraining
from search_space.architecture.architecture import Architecture
from search_space.files import DEFAULT_CACHE
from search_space.network.allocator import retain_freed_memory
from search_space.progress import ignore_progress
from search_space.space.space import SearchSpace
from searcher.evaluator.run_data import RunData
from searcher.reliability import TrainingResult, accuracy_logits, reliability
from searcher.simulation.video_table import EPOCHS, SPACE, read_video_table, video_table

Floats = NDArray[np.float64]
LIKE = 1.5
_DEGREE = 2


@dataclass(frozen=True)
class Truth:
    """Networks, and what trainings of their own say of them.

    Args:
        space: search space, with the data's number of classes.
        data: prepared data.
        networks: the networks.
        curves: accuracy after every epoch of each training, (epochs, networks, seeds).
        seconds: CPU seconds of one training of every network, to the end of each epoch.
        worth: estimate of the accuracy without luck, (networks,); None if there is none.
    """

    space: SearchSpace
    data: RunData
    networks: list[Architecture]
    curves: Floats
    seconds: list[float]
    worth: Floats | None = None

    @property
    def log_macs(self) -> Floats:
        """Logarithm of the multiply-adds, (networks,)."""
        return np.log([float(self.space.macs(each)) for each in self.networks])

    def like(self, one: Floats, two: Floats) -> float:
        """Return tau of two measures among networks of like cost."""
        near = np.abs(np.subtract.outer(self.log_macs, self.log_macs)) <= np.log(LIKE)
        return pair_tau(one, two, near)

    def told(self, values: Floats, seed: int | None = None) -> str:
        """Return tau of a measure with the final accuracies, but of one seed, and with the worth."""
        final = self.curves[-1] if seed is None else np.delete(self.curves[-1], seed, 1)
        worth = "" if self.worth is None else f" {self.like(values, self.worth):.2f}"
        return f"{self.like(values, final.mean(1)):.2f}{worth}"

    def above_trend(self, accuracy: Floats) -> Floats:
        """Return what the logits of accuracies are above their trend over the logarithm of cost."""
        logits = accuracy_logits(accuracy)
        trend = np.polyfit(self.log_macs, logits, _DEGREE)
        above: Floats = logits - np.polyval(trend, self.log_macs)
        return above


def opened(space: SearchSpace, preset: str) -> tuple[SearchSpace, RunData]:
    """Return a space with its classes, and its clips of a preset of MovingDigits-16."""
    given = {"kind": "moving-digits", "preset": preset, "cache": DEFAULT_CACHE}
    data = RunData.open(
        DataSettings.model_validate(given),
        space,
        workers=1,
        making=ignore_progress,
        preparing=ignore_progress,
    )
    return space.with_classes(len(data.classes)), data


def truth_of_table() -> Truth:
    """Return the networks of the table of which there are three trainings."""
    space, data = opened(SearchSpace.from_yaml(SPACE), "graded")
    rows = read_video_table()
    tables = [
        rows[rows["epoch"] == epoch].pivot_table(index="digest", columns="seed", values="top1", observed=True)
        for epoch in range(1, EPOCHS + 1)
    ]
    thrice = set(tables[-1].dropna().index.astype(str))
    networks = [each for each in space.enumerate() if each.digest in thrice]
    digests = [each.digest for each in networks]
    rows = rows[rows["digest"].astype(str).isin(digests)]
    # Those seconds are of a clock, while others computed too: the median says what most took.
    seconds = rows.groupby("epoch")["seconds"].median() * len(networks)
    table = video_table(1)
    assert table.worth is not None, "this table has one"
    worth = dict(zip(table.digests, table.worth, strict=True))
    return Truth(
        space,
        data,
        networks,
        np.array([each.loc[digests].to_numpy(dtype=np.float64) for each in tables]),
        seconds.tolist(),
        np.array([worth[digest] for digest in digests]),
    )


def truth_of_trainings(options: argparse.Namespace) -> Truth:
    """Train networks of the quickstart's space, each with several seeds."""
    space, data = opened(SearchSpace.from_yaml("quickstart"), options.data)
    rng = np.random.default_rng(options.draw)
    networks = space.sample_distinct(rng, options.networks_alone, *options.macs)
    stores = {str(clip): store for clip, store in data.stores.items()}
    trainings = Trainings(options.work / f"{options.data}.jsonl", stores)
    whole = Way("a training", {}, options.epochs_alone, options.epochs_alone)
    # Seeds in turn, so that those that are there can be compared at any time.
    rows = [
        [trainings.find(whole, network, seed) for network in networks] for seed in range(options.seeds_alone)
    ]
    top1, cpu = (
        np.array([[[row[name] for row in found] for found in seed] for seed in rows])
        for name in ("top1", "cpu")
    )
    return Truth(space, data, networks, top1.transpose(2, 1, 0), cpu.mean(0).sum(0).tolist())


def measured(truth: Truth, given: SupernetSettings, seed: int, file: Path) -> dict[str, list[float]]:
    """Return the accuracy and loss of every network in a supernet, and its CPU seconds: training, all."""
    key = json.dumps([given.model_dump(), seed, [each.digest for each in truth.networks]], sort_keys=True)
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    known: dict[str, dict[str, list[float]]] = dict(json.loads(line) for line in lines)
    if key in known:
        return known[key]
    started = time.process_time()
    recipe = Recipe.from_yaml("quickstart")
    training = SupernetTraining(truth.space, truth.data.stores, recipe, given, seed=seed)
    while training.epoch < given.epochs:
        training.train_epoch()
    seconds = [time.process_time() - started]
    metrics = [training.evaluate(each) for each in truth.networks]
    seconds.append(time.process_time() - started)
    found = {"top1": [each.top1 for each in metrics], "loss": [each.loss for each in metrics]}
    found["seconds"] = seconds
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as kept:
        kept.write(json.dumps([key, found]) + "\n")
    return found


def print_trainings(truth: Truth) -> None:
    """Print how short trainings and the costs rank, and how well anything could."""
    _, networks, seeds = truth.curves.shape
    for epoch, accuracy in enumerate(truth.curves, start=1):
        found = ", ".join(truth.told(accuracy[:, seed], seed) for seed in range(seeds))
        print(f"{epoch} epochs of each: {found}; {truth.seconds[epoch - 1]:.0f} s for all")
    print(f"multiply-adds: {truth.told(truth.log_macs)}")
    final = truth.curves[-1]
    results = [
        TrainingResult(network.digest, float(truth.space.macs(network)), float(final[place, seed]))
        for place, network in enumerate(truth.networks)
        for seed in range(seeds)
    ]
    if (one := reliability(results)) is not None:
        # Of two normal variables whose squared correlation is the reliability.
        most = 2 / math.pi * math.asin(math.sqrt(one.of_mean(seeds).value))
        print(f"reliability of one training: {one.text()}; a perfect ranking would have tau {most:.2f}")
    print(f"mean accuracy of {networks} networks: {final.mean():.3f}")


def main() -> None:
    """Train a supernet for each seed, and print how it ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--kernels", default="cropped")
    parser.add_argument("--rule", default="growing")
    parser.add_argument("--networks", type=int, help="by default the rule's")
    parser.add_argument("--data", default="table", help="the table, or a preset of MovingDigits-16")
    parser.add_argument("--networks-alone", type=int, default=24)
    parser.add_argument("--seeds-alone", type=int, default=3)
    parser.add_argument("--epochs-alone", type=int, default=10)
    parser.add_argument("--macs", type=float, nargs=2, default=(5e5, 1.2e6))
    parser.add_argument("--draw", type=int, default=1, help="seed of the choice of networks")
    parser.add_argument("--work", type=Path, default=Path("build/supernet-ranking"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    truth = truth_of_table() if options.data == "table" else truth_of_trainings(options)
    print_trainings(truth)
    settled = {name: getattr(options, name) for name in ("epochs", "kernels", "rule", "networks")}
    given = SupernetSettings.model_validate({n: value for n, value in settled.items() if value is not None})
    for seed in options.seeds:
        found = measured(truth, given, seed, options.work / f"{options.data}.supernets.jsonl")
        accuracy, loss = np.array(found["top1"]), np.array(found["loss"])
        trained, all_in_all = found["seconds"]
        print(
            f"supernet {seed}: {truth.told(accuracy)}; by loss {truth.told(-loss)}; above the trend"
            f" {truth.told(truth.above_trend(accuracy))}; {trained:.0f} CPU s and"
            f" {(all_in_all - trained) / len(accuracy):.2f} a network, mean accuracy {accuracy.mean():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
