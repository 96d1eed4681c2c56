"""One network trained in this process, outside any run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy_train.dataset import DataSettings, load_dataset
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.training import EpochReport, Training
from search_space.architecture import Architecture
from search_space.network import MoViNet
from searcher.machine import cpus
from searcher.run_data import Report, final_split, finished_metrics, prepare_clip


@dataclass(frozen=True)
class Trained:
    """A trained network, what it can, and what it was trained on.

    Args:
        model: on the CPU, in evaluation mode.
        metrics: top-1 and top-5 (fractions), and frame by frame for a causal network.
        classes: names by label.
        data: name of the data set.
        split: that the metrics are of.
    """

    model: MoViNet
    metrics: dict[str, float]
    classes: tuple[str, ...]
    data: str
    split: str


def train_single(
    architecture: Architecture,
    settings: DataSettings,
    recipe: Recipe,
    folder: Path,
    *,
    epochs: int,
    seed: int,
    device: str,
    making: Report,
    preparing: Report,
    on_epoch: Callable[[EpochReport], None],
) -> Trained:
    """Train one network; goes on from the checkpoint in ``folder``, which is written after every epoch.

    Args:
        architecture: what to train; the videos are decoded for its input.
        settings: the videos.
        recipe: how.
        folder: of the checkpoint.
        epochs: of the whole schedule.
        seed: of the training.
        device: of torch.
        making: told of the clips of MovingDigits-16 that are made.
        preparing: told of the videos that are decoded.
        on_epoch: told of every finished epoch.

    Raises:
        DataError: no usable videos. RecordError: ``folder`` holds another training. Diverged: loss is NaN.
    """
    clip = architecture.input
    dataset = load_dataset(settings, workers=cpus(), progress=making)
    data = prepare_clip(dataset, settings, clip, cpus(), preparing)
    horizon = Fidelity(epochs, clip.frames, clip.size)
    training = Training(architecture, data, recipe, horizon=horizon, seed=seed, folder=folder, device=device)
    while training.epoch < epochs:
        report = training.train_epoch()
        training.save()
        on_epoch(report)
    split, causal = final_split(dataset), architecture.options.causal
    metrics = finished_metrics(training.model, data, split, streaming=causal, device=device)
    return Trained(training.model.cpu().eval(), metrics, dataset.classes, dataset.name, split)
