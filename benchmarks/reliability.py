"""How reliable a measurement is at equal CPU time, for several ways to spend it.

Networks of like cost (within a factor of 1.5) are trained several times in each way. Printed is, for each,
the CPU time of a measurement, the mean accuracy, the reliability with its 95 % interval
(``searcher.reliability``), and the deviation between two measurements of one network; as JSON too. Ways whose
measurement is a mean of several trainings take as many more. Where trainings begin with the weights of a
supernet, each of a network's measurements has a supernet of its own, or all have the same one, as in one
search; a hundredth of the supernet's CPU time counts as the measurement's, as in a search of 100 candidates.
Every training is kept in the work folder: interrupted, the same command goes on.

    python -m benchmarks.reliability [--data medium | FOLDER] [--networks 20] [--seeds 3] [--macs 9e5 1.35e6]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from proxy_train.data.moving_digits import PRESETS
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.evaluation import Metrics
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.training import SupernetTraining
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import macs
from search_space.files import DEFAULT_CACHE, write_json
from search_space.space.space import SearchSpace
from searcher.evaluator.shared_weights import InitialSharedWeights
from searcher.reliability import TrainingResult, accuracy_logits, reliability


@dataclass(frozen=True)
class Way:
    """A way to spend CPU time on a measurement.

    Args:
        name: name in the table.
        recipe: fields that differ from the quickstart's recipe.
        horizon: epochs of the schedule.
        epochs: epochs after which it is measured.
        repeats: number of trainings whose mean is the measurement.
        supernet: epochs of the supernet whose weights it begins with; 0 for random ones.
        one: whether all measurements have the same supernet.
    """

    name: str
    recipe: dict[str, Any]
    horizon: int
    epochs: int
    repeats: int = 1
    supernet: int = 0
    one: bool = False


CANDIDATES = 100
"""Number of measurements among which the time of a supernet is shared."""
PLAIN: dict[str, Any] = {"ema": 0.0}
# The longest first: shorter ones are parts of them.
WAYS = (
    Way("one training of 6 epochs, last weights", PLAIN, 6, 6),
    Way("the same, averaged weights", {"ema": 0.95}, 6, 6),
    Way("3 of 6 epochs, averaged weights", {"ema": 0.95}, 6, 3),
    Way("2 of 6 epochs, averaged weights", {"ema": 0.95}, 6, 2),
    Way("mean of 2 trainings, 3 of 6 epochs, averaged weights", {"ema": 0.95}, 6, 3, 2),
    Way("mean of 3 trainings, 2 of 6 epochs, averaged weights", {"ema": 0.95}, 6, 2, 3),
    *(
        Way(f"{epochs or 'no'} epochs after {each} supernet", {}, epochs, epochs, supernet=20, one=one)
        for each, one in (("an own", False), ("the same", True))
        for epochs in (4, 2, 0)
    ),
)
Rows = list[dict[str, float]]


class Trainings:
    """Trainings by recipe, horizon, network and seed, kept in a file of JSON lines; ways share them.

    Args:
        file: file that keeps them.
        stores: prepared data by the clip's text; of all clips of the space, where ways have supernets.
        space: search space of supernets.
    """

    def __init__(self, file: Path, stores: dict[str, PreparedData], space: SearchSpace | None = None) -> None:
        self._file, self._stores, self._space = file, stores, space
        self._supernets: dict[tuple[int, int], tuple[SupernetTraining, float]] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = file.read_text().splitlines() if file.exists() else []
        self._rows: dict[str, Rows] = {key: rows for line in lines for key, rows in [json.loads(line)]}

    def find(self, way: Way, architecture: Architecture, seed: int) -> Rows:
        """Return accuracy and CPU seconds after every epoch of a training; train if it is not known."""
        identity = [way.recipe, way.horizon, architecture.digest, seed]
        if way.supernet:
            identity += [way.supernet, way.one]
        key = json.dumps(identity, sort_keys=True)
        rows = self._rows.get(key, [])
        if len(rows) < max(way.epochs, 1):
            rows = self._rows[key] = self._train(way, architecture, seed)
            with self._file.open("a") as opened:
                opened.write(json.dumps([key, rows]) + "\n")
        return rows

    def _train(self, way: Way, architecture: Architecture, seed: int) -> Rows:
        recipe = Recipe.from_yaml("quickstart").model_copy(update=way.recipe)
        clip = architecture.input
        initial, spent, rows = None, 0.0, Rows()
        if way.supernet:
            shared, seconds = self._supernet(way.supernet, 0 if way.one else seed)
            spent = seconds / CANDIDATES
            initial = InitialSharedWeights("benchmark", shared.supernet)
            if way.epochs == 0:
                return [_measured(lambda: shared.evaluate(architecture), spent)]
        training = Training(
            architecture,
            self._stores[str(clip)],
            recipe,
            horizon=Fidelity(way.horizon, clip.frames, clip.size),
            seed=seed,
            initial=initial,
        )
        for _ in range(way.epochs):
            started = time.process_time()
            training.train_epoch()
            spent += time.process_time() - started
            # Only the evaluation of the epoch that counts belongs to a measurement.
            rows.append(_measured(training.evaluate, spent))
        return rows

    def _supernet(self, epochs: int, seed: int) -> tuple[SupernetTraining, float]:
        """Return a trained supernet and its CPU seconds."""
        if (epochs, seed) not in self._supernets:
            assert self._space is not None, "supernets have a space"
            folder = self._file.parent / f"{self._file.stem}-supernet-e{epochs}-s{seed}"
            training = SupernetTraining(
                self._space,
                {clip: self._stores[str(clip)] for clip in self._space.clips},
                Recipe.from_yaml("quickstart"),
                SupernetSettings(epochs=epochs),
                seed=seed,
                folder=folder,
            )
            spent = folder / "cpu_seconds.json"
            seconds = float(json.loads(spent.read_text())) if spent.is_file() else 0.0
            while training.epoch < epochs:
                started = time.process_time()
                training.train_epoch()
                training.save()
                seconds += time.process_time() - started
                write_json(spent, seconds)
            self._supernets[epochs, seed] = training, seconds
        return self._supernets[epochs, seed]


def _measured(evaluate: Callable[[], Metrics], spent: float) -> dict[str, float]:
    started = time.process_time()
    metrics = evaluate()
    return {"top1": metrics.score, "loss": metrics.loss, "cpu": spent + time.process_time() - started}


def measure(way: Way, trainings: Trainings, networks: Sequence[Architecture], seeds: int) -> dict[str, Any]:
    """Return the figures of a way."""
    results, costs = [], []
    for architecture in networks:
        for seed in range(seeds):
            rows = [
                trainings.find(way, architecture, seed * way.repeats + repeat)[max(way.epochs, 1) - 1]
                for repeat in range(way.repeats)
            ]
            costs.append(sum(row["cpu"] for row in rows))
            accuracy = float(np.mean([row["top1"] for row in rows]))
            results.append(TrainingResult(architecture.digest, macs(architecture, 16), accuracy))
    found = reliability(results)
    assert found is not None
    return {
        "way": way.name,
        "cpu_seconds": float(np.mean(costs)),
        "top1": float(np.mean([each.accuracy for each in results])),
        "reliability": found.value,
        "low": found.low,
        "high": found.high,
        "seed_points": 100 * found.seed_deviation,
        "seed_logits": found.seed_logits,
        "deviation_in_all_logits": float(np.std(accuracy_logits([each.accuracy for each in results]))),
    }


def table(figures: Iterable[dict[str, Any]]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'a measurement is':54}{'CPU s':>7}{'top-1':>7}{'reliability':>22}{'between seeds':>22}"]
    for each in figures:
        interval = f"{each['reliability']:.2f} ({each['low']:.2f} to {each['high']:.2f})"
        spread = f"{each['seed_points']:.1f} pts, {each['seed_logits']:.2f} logits"
        lines.append(
            f"{each['way']:54}{each['cpu_seconds']:7.1f}{100 * each['top1']:6.1f}%{interval:>22}{spread:>22}"
        )
    return "\n".join(lines)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="medium", help="preset of MovingDigits-16, or a folder of videos")
    parser.add_argument("--space", default="quickstart")
    parser.add_argument("--macs", type=float, nargs=2, default=(9e5, 1.35e6))
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice of networks")
    parser.add_argument("--only", nargs="+", default=[""], help="ways with one of these words in their names")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--work", type=Path, default=Path("build/reliability"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    own: dict[str, Any] = (
        {"kind": "moving-digits", "preset": options.data}
        if options.data in PRESETS
        else {"kind": "auto", "root": options.data}
    )
    dataset = load_dataset(DataSettings.model_validate(own | {"cache": options.cache}))
    space = SearchSpace.from_yaml(options.space).with_classes(len(dataset.classes))
    networks = space.sample_distinct(np.random.default_rng(options.seed), options.networks, *options.macs)
    stores = {
        str(clip): prepare(dataset, frames=clip.frames, size=clip.size, fps=clip.fps, cache=options.cache)
        for clip in space.clips
    }
    trainings = Trainings(options.work / f"{dataset.name}-{dataset.digest[:8]}.jsonl", stores, space)
    figures = []
    for way in (each for each in WAYS if any(words in each.name for words in options.only)):
        figures.append(measure(way, trainings, networks, options.seeds))
        print(table(figures).splitlines()[-1], flush=True)
    print(table(figures))
    write_json(options.work / f"{dataset.name}.json", figures)


if __name__ == "__main__":
    main()
