"""The training of a space's shared weights, epoch by epoch, that resumes exactly after any interruption.

Weights that many networks share while none of them has learnt anything do not leave chance: at first one
network learns alone, on the largest clips. By the growing rule it is the smallest, which learns soonest and
costs least; then every update trains it and others, drawn evenly over the logarithm of costs that reach
further up with every update, to the largest at the end. What grows begins with what has learnt: a network's
further layers add nothing at first. By the sandwich rule (Yu and Huang 2019) the first is the largest, and
every update then trains the largest on the labels; the smallest, and some of any cost, on the labels and on
what the largest answered (in-place distillation). One network at a time is in memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxy_train.clips.batches import Batch, Batches, Prefetcher
from proxy_train.clips.targets import head_for
from proxy_train.distributed import Group
from proxy_train.evaluation.evaluation import Metrics, evaluate
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.supernet.norms import estimate_norms
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.training.checkpoint import (
    Checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from proxy_train.training.distillation import distillation_loss
from proxy_train.training.epoch_progress import (
    PARTIAL,
    Departure,
    EpochProgress,
    EpochReport,
    read_progress,
)
from proxy_train.training.initial_weights import WeightSource
from proxy_train.training.optimizers import clip_gradients, make_optimizer, set_rate
from proxy_train.training.schedule import rate_at
from proxy_train.training.updates import Diverged
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.errors import RecordError, SettingsError
from search_space.network.heads import Head
from search_space.network.model import MoViNet
from search_space.progress import ProgressCallback, ignore_progress
from search_space.space.space import SearchSpace
from search_space.supernet.supernet import Supernet
from search_space.termination import LeftEarly

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_NORM_BATCHES = 4
_NORM_SEED = 2**31
_DRAWN_FOR_MIDDLE = 32
_LEAST_GROWN = 1.15
"""Least ratio of the most to the least cost that is drawn from, so that there are networks in between."""


class SupernetTraining:
    """A training of the weights that the networks of ``space`` share; ``save`` writes its checkpoint.

    Its parameters are the identity of the training, its place, and its processes.

    Args:
        space: the search space, with the data's number of classes.
        stores: prepared data of each clip shape of the space.
        recipe: recipe of the training; its length is that of ``settings``.
        settings: what is particular to a supernet.
        seed: seed of the weights, the order of clips, augmentation, and the networks that are drawn.
        folder: folder of the checkpoint; None keeps nothing.
        device: device of torch.
        group: processes that train together; None is a single process.
        initial: weights that the largest network of the space begins with; by default random ones.

    Raises:
        SettingsError: data is missing for a clip shape, or the recipe does not fit a supernet.
        RecordError: the folder holds another training, or a damaged one.
    """

    def __init__(
        self,
        space: SearchSpace,
        stores: Mapping[ClipShape, PreparedData],
        recipe: Recipe,
        settings: SupernetSettings,
        *,
        seed: int,
        folder: Path | None = None,
        device: str = "cpu",
        group: Group | None = None,
        initial: WeightSource | None = None,
    ) -> None:
        _check_recipe(recipe)
        missing = [clip for clip in space.clips if clip not in stores]
        if missing:
            raise SettingsError(
                f"no data is prepared for clips of {missing[0]}", hint="prepare the data for the whole space"
            )
        self.space, self.recipe, self.settings, self.seed, self.folder = space, recipe, settings, seed, folder
        self.device, self.epoch = device, 0
        self._group, self._stores = group or Group(), {clip: stores[clip] for clip in space.clips}
        self.supernet = Supernet(space, self.head, kernels=settings.kernels, seed=seed).to(device)
        self._spaces = {clip: space.with_clip(clip) for clip in space.clips}
        self._ends = {clip: (part.largest(), part.smallest()) for clip, part in self._spaces.items()}
        self._batches = {
            # Clips of each shape in an order of their own.
            clip: Batches(data, recipe, self._clips(data), seed + number, group)
            for number, (clip, data) in enumerate(self._stores.items())
        }
        self._optimizer = make_optimizer(self.supernet, recipe)
        self._progress = EpochProgress()
        self._set_up()
        own = None if folder is None else read_checkpoint(folder)
        self._initial = initial
        if own is not None:
            self._restore(own)
        elif initial is not None:
            largest = self.supernet.extract(space.largest())
            initial.load_into(largest)
            self.supernet.store(largest)
        if (partial := read_progress(folder, self._facts())) is not None:
            self._progress, tensors = partial
            self._load(tensors)

    def _set_up(self) -> None:
        """Make what a kind of training has beside the weights, before a checkpoint is read."""

    @property
    def model(self) -> Supernet:
        """The shared weights."""
        return self.supernet

    @property
    def head(self) -> Head:
        """Meaning of the networks' outputs."""
        return head_for(next(iter(self._stores.values())))

    @property
    def steps_an_epoch(self) -> int:
        """The number of updates in an epoch: as many as one network's training has."""
        return min(len(batches) for batches in self._batches.values())

    def train_epoch(self, on_batch: ProgressCallback = ignore_progress) -> EpochReport:
        """Make the updates of one epoch, or after an interruption the rest of them.

        Args:
            on_batch: callback that gets the number of updates of the epoch.

        Returns:
            A report whose loss is that of the first network of each update.

        Raises:
            Diverged: a loss became NaN or infinite.
            SettingsError: the last epoch is reached.
            LeftEarly: the process was asked to leave; with a folder, the updates so far are kept there.
        """
        self._require_unfinished()
        done, departure = self._progress, Departure(self.device, self._group)
        began, waited = time.perf_counter() - done.seconds, done.data_seconds
        total, first, rate = done.loss(self.device), self.epoch * self.steps_an_epoch, 0.0
        with Prefetcher(islice(self._epoch_batches(), done.updates, None)) as prefetched:
            started = time.perf_counter()
            for number, (clip, batch) in enumerate(prefetched, done.updates):
                waited += time.perf_counter() - started
                rate = self._rate(first + number)
                total += self._update(self._drawn(clip, first + number), batch, rate)
                on_batch(number + 1, self.steps_an_epoch)
                if departure.is_due() and number + 1 < self.steps_an_epoch:
                    seconds = time.perf_counter() - began
                    self._leave(EpochProgress(number + 1, seconds, waited, tensors={"loss": total}))
                started = time.perf_counter()
        return self._finish_epoch(total, rate, began, waited)

    def _require_unfinished(self) -> None:
        if self.epoch >= self.settings.epochs:
            raise SettingsError(f"this training ends after {self.settings.epochs} epochs")

    def _finish_epoch(self, total: Tensor, rate: float, began: float, waited: float) -> EpochReport:
        """Count an epoch; report it by the sum of its updates' losses, and the times."""
        mean = float(total) / self.steps_an_epoch
        if not math.isfinite(mean):
            raise Diverged(f"the loss is {mean} in epoch {self.epoch + 1}", hint="lower recipe.learning_rate")
        self.epoch, self._progress = self.epoch + 1, EpochProgress()
        return EpochReport(self.epoch, mean, rate, time.perf_counter() - began, waited)

    def network(self, architecture: Architecture) -> MoViNet:
        """Return a stand-alone network with the present weights, and statistics estimated for it.

        Raises:
            SpaceError: the architecture is not in the space.
        """
        return inherited(self.supernet, architecture, self._stores[architecture.input], self.recipe)

    @cached_property
    def watched(self) -> dict[str, Architecture]:
        """The networks beside that of ``evaluate`` whose accuracy tells how the training goes, by name."""
        low, high = self.space.macs_range()
        rng = np.random.default_rng(0)
        drawn = [self.space.sample_at(rng) for _ in range(_DRAWN_FOR_MIDDLE)]
        middle = min(drawn, key=lambda each: abs(math.log(self.space.macs(each) ** 2 / (low * high))))
        return {"smallest": self.space.smallest(), "middle": middle}

    def evaluate(self, architecture: Architecture | None = None, split: str = "val") -> Metrics:
        """Evaluate a network of the space with the present weights, by default the largest one."""
        architecture = architecture or self.space.largest()
        data = self._stores[architecture.input]
        size = min(32, self.recipe.micro_batch or 32)
        return evaluate(self.network(architecture), data, split, batch_size=size, device=self.device)

    def save(self) -> None:
        """Replace the folder's checkpoint by the present state; do nothing without a folder."""
        if self.folder is None:
            return
        if self._group.leads:
            write_checkpoint(self.folder, Checkpoint(self._tensors(), self._facts()))
            (self.folder / PARTIAL).unlink(missing_ok=True)
        self._group.wait()

    def _leave(self, progress: EpochProgress) -> None:
        """Keep the part of an epoch that is done, and end."""
        if self.folder is not None and self._group.leads:
            progress.write(self.folder, self._tensors(), self._facts())
        self._group.wait()
        raise LeftEarly(
            f"after {progress.updates} of {self.steps_an_epoch} updates of epoch {self.epoch + 1}"
        )

    def _clips(self, data: PreparedData) -> npt.NDArray[np.int64]:
        """Return the indices of the training clips that the weights are trained on."""
        return np.arange(len(data.split("train")), dtype=np.int64)

    def _tensors(self) -> dict[str, Tensor]:
        """Return everything that changes from update to update."""
        tensors = {f"model.{name}": value for name, value in self.supernet.state_dict().items()}
        return tensors | optimizer_tensors(self._optimizer)

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``_tensors`` returned."""
        prefix = "model."
        weights = {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }
        self.supernet.load_state_dict(weights)
        restore_optimizer(self._optimizer, tensors)

    def _epoch_batches(self) -> Iterator[tuple[ClipShape, Batch]]:
        """Yield the batches of an epoch, of every clip shape in turn."""
        clips = list(self._batches)
        if self.epoch < max(
            self._epochs_of(share) for share in (self.settings.alone, self.settings.largest_clips)
        ):
            clips = [max(clips, key=lambda clip: (clip.size, clip.frames))]
        of_clip = {clip: batches.epoch(self.epoch)[1] for clip, batches in self._batches.items()}
        for number in range(self.steps_an_epoch):
            clip = clips[(self.epoch * self.steps_an_epoch + number) % len(clips)]
            yield clip, next(of_clip[clip]).to(self.device)

    def _drawn(self, clip: ClipShape, step: int) -> list[Architecture]:
        """Return the networks of an update; by the sandwich rule, the largest comes first."""
        rng = np.random.default_rng([self.seed, step])
        (largest, smallest), space, settings = self._ends[clip], self._spaces[clip], self.settings
        if settings.rule == "sandwich":
            if self._is_alone:
                return [largest]
            return [largest, *(space.sample_at(rng) for _ in range(settings.networks)), smallest]
        if self._is_alone:
            return [smallest]
        low, high = space.macs_range()
        began = self._epochs_of(settings.alone) * self.steps_an_epoch
        grown = (step - began) / max(settings.epochs * self.steps_an_epoch - began, 1)
        most = low * max((high / low) ** grown, _LEAST_GROWN)
        return [smallest, *(space.sample_at(rng, low, most) for _ in range(settings.networks))]

    def _update(self, networks: list[Architecture], batch: Batch, rate: float) -> Tensor:
        """Update the shared weights by the sum of the networks' losses; return the first one's loss."""
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        size = self.recipe.micro_batch or len(batch.clips)
        for first in range(0, len(batch.clips), size):
            rows = slice(first, min(first + size, len(batch.clips)))
            share = (rows.stop - rows.start) / batch.whole
            part, answers = Batch(batch.clips[rows], batch.labels.part(rows), batch.whole), None
            for architecture in networks:
                network = self.supernet.network(architecture).train()
                self.supernet.load_into(network)
                with self._autocast():
                    logits = network(part.clips)
                    loss = self._loss(logits, part, answers)
                (loss * share).backward()  # type: ignore[no-untyped-call]
                self.supernet.add_gradients(network)
                if answers is None:
                    answers = logits.detach()
                    total += loss.detach() * share
        self._group.sum_gradients(self.supernet.parameters())
        if self.recipe.clip_norm is not None:
            clip_gradients(self._optimizer, self.recipe.clip_norm)
        set_rate(self._optimizer, rate)
        self._optimizer.step()
        return self._group.sum(total) if self._group.size > 1 else total

    def _loss(self, logits: Tensor, batch: Batch, answers: Tensor | None) -> Tensor:
        labelled = batch.labels.loss(self.supernet.head_type, logits, self.recipe.label_smoothing)
        weight = self.settings.distillation
        if answers is None or weight == 0:
            return labelled
        return (1 - weight) * labelled + weight * distillation_loss(
            self.supernet.head_type, logits, answers, 1.0
        )

    def _autocast(self) -> torch.autocast:
        precision = self.recipe.precision
        kind = torch.device(self.device).type
        return torch.autocast(kind, _DTYPES[precision], enabled=precision != "float32")

    @property
    def _is_alone(self) -> bool:
        """Whether one network learns alone in this epoch."""
        return self.epoch < self._epochs_of(self.settings.alone)

    def _epochs_of(self, share: float) -> int:
        return round(share * self.settings.epochs)

    def _rate(self, step: int) -> float:
        steps = self.steps_an_epoch * self.settings.epochs
        warmup = round(self.steps_an_epoch * self.recipe.warmup_epochs)
        return self.settings.rate * rate_at(step, steps, warmup, self.recipe)

    def _restore(self, checkpoint: Checkpoint) -> None:
        for key, value in self._identity().items():
            if checkpoint.facts.get(key) != value:
                raise RecordError(
                    f"{self.folder}: holds a training with {key} {checkpoint.facts.get(key)}, not {value}",
                    hint="use another folder, or delete this one",
                )
        self._load(checkpoint.tensors)
        self.epoch = int(checkpoint.facts["epoch"])

    def _facts(self) -> dict[str, Any]:
        return {**self._identity(), "epoch": self.epoch}

    def _identity(self) -> dict[str, Any]:
        return {
            "space": self.space.digest,
            "data": [data.identity for data in self._stores.values()],
            "recipe": self.recipe.model_dump(),
            "settings": self.settings.model_dump(),
            "seed": self.seed,
            "initial": None if self._initial is None else self._initial.digest,
        }


def inherited(supernet: Supernet, architecture: Architecture, data: PreparedData, recipe: Recipe) -> MoViNet:
    """Return a stand-alone network with a supernet's weights, its statistics estimated on training clips.

    Args:
        supernet: the shared weights.
        architecture: the network.
        data: prepared data of the network's clip shape.
        recipe: recipe whose augmentation and batch size the clips have.

    Raises:
        SpaceError: the architecture is not in the space.
    """
    network = supernet.extract(architecture)
    device = str(supernet.stem.weight.device)
    batches = Batches(data, recipe, np.arange(len(data.split("train"))), _NORM_SEED, None).epoch(0)[1]
    estimate_norms(network, (batch.to(device).clips for batch in islice(batches, _NORM_BATCHES)))
    return network


def _check_recipe(recipe: Recipe) -> None:
    unfit = {
        "ema": recipe.ema > 0,
        "stream_frames": recipe.stream_frames is not None,
        "batch_norm": recipe.batch_norm == "frozen",
        "precision": recipe.precision == "float16",
    }
    for name, wrong in unfit.items():
        if wrong:
            raise SettingsError(
                f"recipe.{name} is {getattr(recipe, name)!r}, which a supernet's training does not know",
                hint="leave it out" if name != "precision" else "use bfloat16 or float32",
            )
