"""Fine-tuning against training from scratch: 8 classes with 10 clips each, at equal numbers of updates.

    OMP_NUM_THREADS=1 python -m benchmarks.fine_tuning [--seeds 5] [--epochs 40] [--clips 10]

A network is trained on 8 of the 16 classes of ``medium`` MovingDigits-16. It is then trained on ``--clips``
clips of each of the other 8 classes, from those weights by the recipe ``fine-tune`` and from scratch by the
recipes ``quickstart`` and ``fine-tune``, on the same clips and for as many updates. A seed decides the first
training, the choice of clips, and the second training. Accuracies are those of the last weights on the test
split's clips of these 8 classes (25 each). The difference to the better training from scratch has to be 20
points.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import torch

from proxy_train.data import moving_digits
from proxy_train.data.digit_scenes import CLASSES
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
from search_space.files import DEFAULT_CACHE
from search_space.network.allocator import retain_freed_memory
from search_space.network.weights import save_weights

NETWORK = "stream_16x32x8_s8_w16s2-33e32-a_w24s2-33e72-aa_w48s2-33e144-aa_h128x128"
BAR = 20.0
BATCH = 16


def classes_of(half: int) -> list[str]:
    """Return every second pair of twins, from the first or the second on: 8 of the 16 classes."""
    return [name for index, name in enumerate(CLASSES) if index // 2 % 2 == half]


def link(digits: Path, folder: Path, classes: Sequence[str], clips: int | None, seed: int) -> DataSettings:
    """Make a data set of some classes as a user's: a folder a split and a class, of links to the videos.

    Args:
        digits: folder of MovingDigits-16.
        folder: folder to make.
        classes: names of the classes.
        clips: number of training clips of each class; None for all.
        seed: seed of their choice.
    """
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(seed)
    for split in moving_digits.SPLITS:
        for name in classes:
            files = sorted((digits / split / name).glob("*.mp4"))
            if split == "train" and clips is not None:
                files = [files[index] for index in rng.permutation(len(files))[:clips]]
            place = folder / split / name
            place.mkdir(parents=True)
            for file in files:
                (place / file.name).symlink_to(file)
    return DataSettings(kind="folder", root=folder, cache=folder.parent / "cache", flips=False)


def prepared(settings: DataSettings, architecture: Architecture) -> PreparedData:
    """Return the prepared clips of a data set."""
    clip = architecture.input
    return prepare(
        load_dataset(settings), frames=clip.frames, size=clip.size, fps=clip.fps, cache=settings.cache_folder
    )


def train(
    architecture: Architecture,
    data: PreparedData,
    recipe: Recipe,
    epochs: int,
    seed: int,
    initial: InitialWeights | None = None,
) -> Training:
    """Return a finished training."""
    clip = architecture.input
    horizon = Fidelity(epochs, clip.frames, clip.size)
    training = Training(architecture, data, recipe, horizon=horizon, seed=seed, initial=initial)
    while training.epoch < epochs:
        training.train_epoch()
    return training


def measure(options: argparse.Namespace, seed: int, digits: Path) -> dict[str, float]:
    """Return the accuracies of one seed, in percent, by the name of the training."""
    architecture = Architecture.parse(options.network)
    work = options.work / f"seed{seed}"
    weights = work / f"source-e{options.source_epochs}.safetensors"
    found: dict[str, float] = {}
    if not weights.is_file():
        data = prepared(link(digits, work / "source", classes_of(0), None, seed), architecture)
        source = train(architecture, data, Recipe.from_yaml("quickstart"), options.source_epochs, seed)
        found["first training"] = 100 * source.evaluate("test").top1
        save_weights(source.model, weights)
    data = prepared(link(digits, work / "target", classes_of(1), options.clips, seed), architecture)
    # Equal updates: nothing stops early.
    fit = {"batch_size": BATCH, "patience": None}
    tuned = Recipe.from_yaml(options.recipe).model_copy(update=fit)
    trainings = {
        "fine-tune": (tuned, InitialWeights(weights)),
        "from scratch, quickstart": (Recipe.from_yaml("quickstart").model_copy(update=fit), None),
        "from scratch, fine-tune": (
            tuned.model_copy(update={"frozen_trunk_epochs": 0, "layer_decay": 1.0, "batch_norm": "batch"}),
            None,
        ),
    }
    for name, (recipe, initial) in trainings.items():
        if options.only is None or name in options.only:
            began = process_time()
            training = train(architecture, data, recipe, options.epochs, seed, initial)
            found[name] = 100 * training.evaluate("test").top1
            found[f"{name}: s"] = process_time() - began
    return found


def main() -> None:
    """Measure, print, and end with status 1 if the bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default=NETWORK)
    parser.add_argument("--recipe", default="fine-tune")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--clips", type=int, default=10, help="training clips of each of the 8 classes")
    parser.add_argument("--source-epochs", type=int, default=30)
    parser.add_argument("--only", action="append", help="name of a training; may be repeated")
    parser.add_argument("--work", type=Path, default=Path("build/fine_tuning"))
    options = parser.parse_args()
    options.work = options.work.absolute()
    torch.set_num_threads(1)
    retain_freed_memory()
    preset = moving_digits.load("medium", DEFAULT_CACHE.expanduser())
    digits = preset.items["train"][0].path.parents[2]
    results = []
    for seed in range(options.seeds):
        results.append(measure(options, seed, digits))
        print(json.dumps({"seed": seed, **results[-1]}), flush=True)
    updates = options.epochs * (8 * options.clips // BATCH)
    print(f"{options.clips} clips a class, {options.epochs} epochs, {updates} updates of {BATCH} clips")
    figures = {name: [result[name] for result in results if name in result] for name in results[-1]}
    for name, values in figures.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:28} {statistics.mean(values):6.1f} +- {spread:.1f} (of {len(values)} seeds)")
    if options.only is None:
        gains = [
            result["fine-tune"] - max(value for name, value in result.items() if name in SCRATCH)
            for result in results
        ]
        mean = statistics.mean(gains)
        print(f"gain {mean:.1f} points, {min(gains):.1f} to {max(gains):.1f}; it has to be {BAR:g}")
        if mean < BAR:
            raise SystemExit(1)


SCRATCH = ("from scratch, quickstart", "from scratch, fine-tune")


if __name__ == "__main__":
    main()
