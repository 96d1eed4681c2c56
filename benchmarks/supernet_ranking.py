"""How a supernet ranks the networks of the table of trained video networks, beside short trainings.

    OMP_NUM_THREADS=1 python -m benchmarks.supernet_ranking [--seeds 0 1 2] [--epochs 60] [--rule growing]

A supernet of the table's space is trained on the table's clips, and every network that the table has with
three seeds is measured in it. Printed is Kendall's tau among networks of like cost (within a factor of 1.5)
with the mean accuracy of the three trainings and with the estimate of what the networks are worth, with the
CPU time; below it tau of one short training of each network, the seconds of all of them, and tau of the
multiply-adds. A short training is compared with the mean of the other two seeds: it must not meet itself.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray

from proxy_train.data.settings import DataSettings
from proxy_train.evaluation.rank_agreement import pair_tau
from proxy_train.recipe import Recipe
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.training import SupernetTraining
from search_space.files import DEFAULT_CACHE
from search_space.network.allocator import retain_freed_memory
from search_space.progress import ignore_progress
from search_space.space.space import SearchSpace
from searcher.evaluator.run_data import RunData
from searcher.simulation.video_table import EPOCHS, SPACE, read_video_table, video_table

Floats = NDArray[np.float64]
LIKE = 1.5


def main() -> None:
    """Train a supernet for each seed, and print how it ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--kernels", default="cropped")
    parser.add_argument("--rule", default="growing")
    parser.add_argument("--networks", type=int, help="by default the rule's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    settings = DataSettings.model_validate(
        {"kind": "moving-digits", "preset": "graded", "cache": DEFAULT_CACHE}
    )
    data = RunData.open(
        settings, SearchSpace.from_yaml(SPACE), workers=1, making=ignore_progress, preparing=ignore_progress
    )
    space = SearchSpace.from_yaml(SPACE).with_classes(len(data.classes))
    rows = read_video_table()
    final = rows[rows["epoch"] == EPOCHS].pivot_table(
        index="digest", columns="seed", values="top1", observed=True
    )
    final = final.dropna()
    networks = [each for each in space.enumerate() if each.digest in set(final.index.astype(str))]
    digests = [each.digest for each in networks]
    macs = np.log([float(space.macs(each)) for each in networks])
    near = np.abs(np.subtract.outer(macs, macs)) <= np.log(LIKE)
    accuracy = final.loc[digests].to_numpy(dtype=np.float64)
    table = video_table(1)
    assert table.worth is not None, "this table has one"
    worth = np.array([dict(zip(table.digests, table.worth, strict=True))[digest] for digest in digests])

    def like(one: Floats, two: Floats) -> float:
        return pair_tau(one, two, near)

    print(f"{len(networks)} networks; tau at like cost with three trainings each, and with their worth")
    settled = {name: getattr(options, name) for name in ("epochs", "kernels", "rule", "networks")}
    given = SupernetSettings.model_validate({n: value for n, value in settled.items() if value is not None})
    for seed in options.seeds:
        started = time.process_time()
        training = SupernetTraining(space, data.stores, Recipe.from_yaml("quickstart"), given, seed=seed)
        while training.epoch < given.epochs:
            training.train_epoch()
        trained = time.process_time()
        found = np.array([training.evaluate(each).top1 for each in networks])
        measured = time.process_time()
        print(
            f"supernet {seed}: {like(found, accuracy.mean(1)):.2f} {like(found, worth):.2f},"
            f" {trained - started:.0f} CPU s and {(measured - trained) / len(networks):.2f} a network,"
            f" mean accuracy {found.mean():.3f}",
            flush=True,
        )
    for epochs in range(1, EPOCHS + 1):
        part = rows[(rows["epoch"] == epochs) & rows["digest"].astype(str).isin(digests)]
        short = part.pivot_table(index="digest", columns="seed", values="top1", observed=True)
        values = short.loc[digests].to_numpy(dtype=np.float64)
        others = [like(values[:, seed], np.delete(accuracy, seed, 1).mean(1)) for seed in range(3)]
        told = [like(values[:, seed], worth) for seed in range(3)]
        # Those seconds are of a clock, while others computed too: the median says what most took.
        seconds = float(part["seconds"].median()) * len(networks)
        print(f"{epochs} epochs: {np.mean(others):.2f} {np.mean(told):.2f}, {seconds:.0f} s for all")
    print(f"multiply-adds: {like(macs, accuracy.mean(1)):.2f} {like(macs, worth):.2f}")


if __name__ == "__main__":
    main()
