"""Fine-tuning against training from scratch: 8 classes with few clips each, at equal numbers of updates.

    OMP_NUM_THREADS=1 python -m benchmarks.fine_tuning [--clips 5 10 20 40] [--updates 100] [--seeds 5]

A network is trained on 8 of the 16 classes of ``medium`` MovingDigits-16. It is then trained on ``--clips``
clips of each of the other 8 classes, on the same clips and for as many updates in several ways: from those
weights by the recipe ``fine-tune``, from scratch by the recipe ``quickstart``, and from scratch with the
fine-tuned network as a teacher. A seed decides the first training, the choice of clips, and the others.
Accuracies are those of the last weights on the test split's clips of these 8 classes (25 each). With 10 clips
a class, fine-tuning has to gain 20 points.
"""

from __future__ import annotations

import argparse
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
from proxy_train.training.distillation import Teacher
from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.pretrained import Pretrained
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
from search_space.files import DEFAULT_CACHE
from search_space.network.allocator import retain_freed_memory
from search_space.network.weights import save_weights

NETWORK = "stream_16x32x8_s8_w16s2-33e32-a_w24s2-33e72-aa_w48s2-33e144-aa_h128x128"
BAR = 20.0
BATCH = 16
TUNED, SCRATCH, TAUGHT = "fine-tuned", "from scratch", "from scratch, with a teacher"


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
    *,
    initial: InitialWeights | None = None,
    teacher: Teacher | None = None,
) -> Training:
    """Return a finished training."""
    clip = architecture.input
    horizon = Fidelity(epochs, clip.frames, clip.size)
    training = Training(
        architecture, data, recipe, horizon=horizon, seed=seed, initial=initial, teacher=teacher
    )
    while training.epoch < epochs:
        training.train_epoch()
    return training


def source_of(options: argparse.Namespace, seed: int, digits: Path) -> Path:
    """Return the weights of the network that has seen the first 8 classes; train it unless that is done."""
    architecture, work = Architecture.parse(options.network), options.work / f"seed{seed}"
    weights: Path = work / f"source-e{options.source_epochs}.safetensors"
    if not weights.is_file():
        data = prepared(link(digits, work / "source", classes_of(0), None, seed), architecture)
        recipe = Recipe.from_yaml("quickstart")
        save_weights(train(architecture, data, recipe, options.source_epochs, seed).model, weights)
    return weights


def measure(options: argparse.Namespace, clips: int, seed: int, digits: Path) -> dict[str, float]:
    """Return the accuracies of one seed, in percent, by the way of training."""
    architecture, weights = Architecture.parse(options.network), source_of(options, seed, digits)
    settings = link(digits, weights.parent / "target", classes_of(1), clips, seed)
    data, epochs = prepared(settings, architecture), max(1, options.updates // (8 * clips // BATCH))
    # Equal updates: nothing stops early.
    same = {"batch_size": BATCH, "patience": None}
    tune = Recipe.from_yaml(options.recipe).model_copy(update=same)
    scratch = Recipe.from_yaml("quickstart").model_copy(update=same)
    tuned = train(architecture, data, tune, epochs, seed, initial=InitialWeights(weights))
    found = {TUNED: 100 * tuned.evaluate("test").top1}
    if not options.only_tune:
        plain = train(architecture, data, scratch, epochs, seed)
        found[SCRATCH] = 100 * plain.evaluate("test").top1
        place = weights.with_name("tuned.safetensors")
        save_weights(tuned.model, place)
        teacher = Teacher(Pretrained.parse(f"{architecture.text}={place}"), data.classes)
        taught = train(architecture, data, scratch, epochs, seed, teacher=teacher)
        found[TAUGHT] = 100 * taught.evaluate("test").top1
    return found


def main() -> None:
    """Measure, print, and end with status 1 if the bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default=NETWORK)
    parser.add_argument("--recipe", default="fine-tune", help="that of fine-tuning")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, nargs="+", default=[10], help="training clips of each class")
    parser.add_argument("--updates", type=int, default=100, help=f"updates of {BATCH} clips")
    parser.add_argument("--source-epochs", type=int, default=30)
    parser.add_argument("--only-tune", action="store_true", help="leave out training from scratch")
    parser.add_argument("--work", type=Path, default=Path("build/fine_tuning"))
    options = parser.parse_args()
    options.work = options.work.absolute()
    torch.set_num_threads(1)
    retain_freed_memory()
    preset = moving_digits.load("medium", DEFAULT_CACHE.expanduser())
    digits = preset.items["train"][0].path.parents[2]
    missed = False
    for clips in options.clips:
        began = process_time()
        results = [measure(options, clips, seed, digits) for seed in range(options.seeds)]
        print(f"{clips} clips a class, {process_time() - began:.0f} s of CPU")
        for name in results[0]:
            values = [result[name] for result in results]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            every = " ".join(f"{value:.1f}" for value in values)
            print(f"  {name:32} {statistics.mean(values):5.1f} +- {spread:.1f}  ({every})", flush=True)
        if not options.only_tune:
            gains = [result[TUNED] - result[SCRATCH] for result in results]
            print(f"  gain {statistics.mean(gains):.1f}, {min(gains):.1f} to {max(gains):.1f}", flush=True)
            missed |= clips == 10 and statistics.mean(gains) < BAR
    if missed:
        raise SystemExit(f"with 10 clips a class, the gain has to be {BAR:g}")


if __name__ == "__main__":
    main()
