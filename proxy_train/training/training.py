"""One training of one network, epoch by epoch, that resumes exactly where it was after any interruption.

Everything random in an epoch comes from generators seeded by (seed, epoch), so that a checkpoint holds no
generator: a resumed training and an uninterrupted one compute the same bits on a CPU with the same number of
threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from proxy_train.clips.batches import Batch, Batches, Prefetcher
from proxy_train.clips.targets import head_for
from proxy_train.distributed import Group, share_norms
from proxy_train.evaluation.evaluation import Metrics, evaluate
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import Split
from proxy_train.training.checkpoint import (
    BEST,
    Checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from proxy_train.training.distillation import Teacher
from proxy_train.training.epoch_progress import (
    PARTIAL,
    Departure,
    EpochProgress,
    EpochReport,
    generators,
    read_progress,
    seeded_generators,
)
from proxy_train.training.initial_weights import WeightSource
from proxy_train.training.optimizers import make_optimizer
from proxy_train.training.out_of_memory import is_out_of_memory, out_of_memory_error
from proxy_train.training.schedule import rate_at
from proxy_train.training.updates import Diverged, Updater
from proxy_train.training.weight_average import WeightAverage
from proxy_train.training.widths import narrowed, widened
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError, SettingsError
from search_space.network.model import MoViNet, build
from search_space.progress import ProgressCallback, ignore_progress
from search_space.termination import LeftEarly

LOOK = 100
"""Number of updates between two looks at a GPU's losses."""


class Training:
    """A training of ``architecture`` on ``data`` for ``horizon.epochs`` epochs.

    With a folder, it resumes from the checkpoint there, and ``save`` writes one; ``train_epoch`` does not
    write by itself. Its parameters are the identity of the training, its place, and its processes: none of
    them follows from the others.

    Args:
        architecture: the network to train.
        data: the prepared data.
        recipe: the recipe of the training.
        horizon: fidelity of the whole training, with which the schedule ends. Its frames and size are those
            of ``data``; its width makes the architecture narrower.
        seed: seed of the weights, the order of clips, augmentation and dropout.
        folder: folder of the checkpoint; None keeps nothing.
        device: device of torch.
        group: the processes that train together, each with such an object; None is a single process.
        initial: initial weights; by default random ones.
        promoted_from: folder of a training at another fidelity, with fewer epochs, from whose checkpoint this
            one resumes as long as ``folder`` has none.
        teacher: network whose outputs are learned beside the labels.

    Raises:
        SettingsError: the horizon does not fit the data, or the recipe does not fit the device or weights.
        RecordError: a folder holds another training, or a damaged one.
        NetworkError: the initial weights do not fit.
    """

    def __init__(
        self,
        architecture: Architecture,
        data: PreparedData,
        recipe: Recipe,
        *,
        horizon: Fidelity,
        seed: int,
        folder: Path | None = None,
        device: str = "cpu",
        group: Group | None = None,
        initial: WeightSource | None = None,
        promoted_from: Path | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        if (horizon.frames, horizon.size) != (data.frames, data.size):
            raise SettingsError(
                f"fidelity {horizon.key}: the data is prepared for {data.frames} frames of {data.size} px",
                hint="prepare the data for this fidelity",
            )
        self.architecture, self.data, self.recipe = architecture, data, recipe
        self.horizon, self.seed, self.folder, self.device = horizon, seed, folder, device
        self.epoch = 0
        self.history: tuple[Fidelity, ...] = ()
        """Fidelities that were spent before this training, oldest first; empty unless it was promoted."""
        recipe.check_weights(given=initial is not None)
        self._group, self._initial, self._teacher = group or Group(), initial, teacher
        self._indices = share_of(data.split("train"), horizon.share)
        self._batches = Batches(data, recipe, self._indices, seed, group)
        self._live = self._build()
        self._optimizer = make_optimizer(self._live, recipe)
        self._updater = Updater(self._live, self._optimizer, recipe, device, self._group, teacher)
        self._average = WeightAverage(self._live, recipe.ema) if recipe.ema else None
        self._progress = EpochProgress()
        self._begin(promoted_from)

    def _build(self) -> MoViNet:
        recipe = self.recipe
        live = build(
            narrowed(self.architecture, self.horizon.width),
            head_for(self.data),
            dropout=recipe.dropout,
            stochastic_depth=recipe.stochastic_depth,
            seed=self.seed,
        ).to(self.device)
        for module in live.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.batch_norm_momentum
        if self._group.size > 1 and recipe.batch_norm == "batch":
            share_norms(live)
        return live

    @property
    def model(self) -> MoViNet:
        """The network to use, with averaged weights if the recipe averages them."""
        return self._live if self._average is None else self._average.model

    @property
    def leads(self) -> bool:
        """Whether this process writes what its group writes once."""
        return self._group.leads

    @property
    def fidelity(self) -> Fidelity:
        """The fidelity that has been spent so far."""
        return self.horizon.after(max(1, self.epoch))

    @property
    def steps_an_epoch(self) -> int:
        """The number of updates in an epoch; clips that fill no batch are left for another shuffle."""
        return len(self._batches)

    def train_epoch(self, on_batch: ProgressCallback = ignore_progress) -> EpochReport:
        """Train on every training clip once; on the rest of them after an interruption in between.

        Args:
            on_batch: callback that gets the number of updates of the epoch.

        Raises:
            Diverged: the loss became NaN or infinite; on a GPU, up to ``LOOK`` updates before.
            OutOfMemory: a batch does not fit; the hint says which micro-batch would.
            SettingsError: the horizon is reached.
            LeftEarly: the process was asked to leave; with a folder, the updates so far are kept there.
        """
        if self.epoch >= self.horizon.epochs:
            raise SettingsError(f"this training ends after {self.horizon.epochs} epochs")
        done, departure = self._progress, Departure(self.device, self._group)
        began, waited = time.perf_counter() - done.seconds, done.data_seconds
        total, rank = done.loss(self.device), self._group.rank
        first, rate = self.epoch * self.steps_an_epoch, 0.0
        self._train_mode()
        seed, batches = self.batches(self.epoch, done.updates)
        with (
            seeded_generators(self.device, seed + rank, done, rank),
            Prefetcher(batches) as prefetched,
        ):
            started = time.perf_counter()
            for number, batch in enumerate(prefetched, done.updates):
                waited += time.perf_counter() - started
                rate = self._rate(first + number)
                total += self._update(batch, rate)
                if self._average is not None:
                    self._average.follow(self._live, first + number)
                # A sum stays infinite or NaN. Reading it waits for a GPU, which then has nothing to do.
                if self.device == "cpu" or (number + 1) % LOOK == 0:
                    self._require_finite(total)
                on_batch(number + 1, self.steps_an_epoch)
                if departure.is_due() and number + 1 < self.steps_an_epoch:
                    self._require_finite(total)
                    self._leave(number + 1, total, time.perf_counter() - began, waited)
                started = time.perf_counter()
        mean = self._require_finite(total) / self.steps_an_epoch
        self.epoch, self._progress = self.epoch + 1, EpochProgress()
        return EpochReport(self.epoch, mean, rate, time.perf_counter() - began, waited)

    def agreed(self, answer: bool) -> bool:
        """Return the answer of the process that leads, in all processes; each of them has to ask."""
        own = torch.tensor(float(answer and self.leads), device=self.device)
        return bool(self._group.sum(own) > 0)

    def batches(self, epoch: int, first: int = 0) -> tuple[int, Iterator[Batch]]:
        """Return a seed for dropout in an epoch, and its batches from ``first`` on, on the device."""
        seed, batches = self._batches.epoch(epoch)
        return seed, (batch.to(self.device) for batch in islice(batches, first, None))

    def evaluate(self, split: str = "val", *, streaming: bool = False) -> Metrics:
        """Evaluate ``model`` as it is now.

        Raises:
            Diverged: the outputs are not numbers.
        """
        metrics = evaluate(
            self.model,
            self.data,
            split,
            streaming=streaming,
            batch_size=min(32, self.recipe.micro_batch or 32),
            device=self.device,
        )
        if not math.isfinite(metrics.loss):
            raise Diverged(f"the {split} loss is {metrics.loss} after epoch {self.epoch}")
        return metrics

    def save(self) -> None:
        """Replace the folder's checkpoint by the present state; do nothing without a folder."""
        if self.folder is None:
            return
        if self._group.leads:
            write_checkpoint(self.folder, Checkpoint(self._tensors(), self._facts()))
            (self.folder / PARTIAL).unlink(missing_ok=True)
        self._group.wait()

    def _leave(self, updates: int, total: Tensor, seconds: float, data_seconds: float) -> None:
        """Keep the part of an epoch that is done, and end; all processes of the group do so together."""
        tensors = {"loss": total, "generators": generators(self.device, self._group)}
        if self.folder is not None and self._group.leads:
            progress = EpochProgress(updates, seconds, data_seconds, tensors=tensors)
            progress.write(self.folder, self._tensors(), self._facts())
        self._group.wait()
        raise LeftEarly(f"after update {updates} of epoch {self.epoch + 1}")

    def _tensors(self) -> dict[str, Tensor]:
        """Return everything that changes from update to update."""
        tensors = {f"model.{name}": value for name, value in self._live.state_dict().items()}
        if self._average is not None:
            averaged = self._average.model.state_dict()
            tensors |= {f"average.{name}": value for name, value in averaged.items()}
        return tensors | optimizer_tensors(self._optimizer) | self._updater.tensors()

    def _facts(self) -> dict[str, Any]:
        return {**self._identity(), "epoch": self.epoch}

    def save_best(self, facts: Mapping[str, Any]) -> None:
        """Write the weights to use, beside the checkpoint, with facts about them."""
        assert self.folder is not None, "there is a place for them"
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        write_checkpoint(self.folder, Checkpoint(tensors, facts), BEST)

    def _begin(self, promoted_from: Path | None) -> None:
        """Resume from the folder's own checkpoint, else from that of the lower fidelity, else begin."""
        own = None if self.folder is None else read_checkpoint(self.folder)
        lower = None if promoted_from is None else read_checkpoint(promoted_from)
        if promoted_from is not None and lower is None:
            raise RecordError(
                f"{promoted_from}: no checkpoint to resume from", hint="train the lower fidelity first"
            )
        if lower is not None:
            self._inherit(lower, str(promoted_from), restore=own is None)
        elif self._initial is not None and own is None:
            self._initial.load_into(self._live)
            if self._average is not None:
                self._average.model.load_state_dict(self._live.state_dict())
        if own is not None:
            self._require_same(own, self._identity(), str(self.folder))
            self._restore(own)
        if (partial := read_progress(self.folder, self._facts())) is not None:
            self._progress, tensors = partial
            self._restore(Checkpoint(tensors, {"epoch": self.epoch}))

    def _inherit(self, lower: Checkpoint, source: str, *, restore: bool) -> None:
        """Take over a training at another fidelity, whose epochs then belong to this one."""
        shared = {
            key: value
            for key, value in self._identity().items()
            if key in ("recipe", "seed", "initial", "teacher")
        }
        self._require_same(lower, shared, source)
        spent = Fidelity(**lower.facts["horizon"]).after(int(lower.facts["epoch"]))
        theirs = Architecture.parse(lower.facts["architecture"]).with_input(self.architecture.input)
        if (
            theirs != self.architecture
            or spent.epochs >= self.horizon.epochs
            or spent.width > self.horizon.width
        ):
            raise RecordError(
                f"{source}: a training of {theirs.text} that spent {spent.key} cannot be resumed as one of "
                f"{self.architecture.text} to {self.horizon.key}",
                hint="promote the same network, to more epochs and no smaller width",
            )
        self.history = (*(Fidelity.parse(key) for key in lower.facts["history"]), spent)
        if restore:
            self._restore(lower, widen=spent.width != self.horizon.width)

    def _restore(self, checkpoint: Checkpoint, *, widen: bool = False) -> None:
        networks = {"model.": self._live}
        if self._average is not None:
            networks["average."] = self._average.model
        for prefix, network in networks.items():
            tensors = _part(checkpoint.tensors, prefix)
            # New channels of the average begin where those of the weights, loaded first, do.
            network.load_state_dict(widened(tensors, self._live) if widen else tensors)
        if not widen:
            restore_optimizer(self._optimizer, checkpoint.tensors)
        self._updater.restore(_part(checkpoint.tensors, "scaler."))
        self.epoch = int(checkpoint.facts["epoch"])

    def _require_same(self, checkpoint: Checkpoint, expected: Mapping[str, Any], source: str) -> None:
        for key, value in expected.items():
            if checkpoint.facts.get(key) != value:
                raise RecordError(
                    f"{source}: holds a training with {key} {checkpoint.facts.get(key)}, not {value}",
                    hint="use another folder, or delete this one",
                )

    def _identity(self) -> dict[str, Any]:
        """Return the facts that a checkpoint must share to be resumed from."""
        return {
            "architecture": self.architecture.text,
            "data": self.data.identity,
            "recipe": self.recipe.identity(),
            # Those of older versions have neither weights nor a teacher.
            "horizon": {key: value for key, value in asdict(self.horizon).items() if value != ""},
            "seed": self.seed,
            "initial": None if self._initial is None else self._initial.digest,
            "teacher": None if self._teacher is None else self._teacher.digest,
            "history": [fidelity.key for fidelity in self.history],
        }

    def _rate(self, step: int) -> float:
        steps = self.steps_an_epoch * self.horizon.epochs
        return rate_at(step, steps, round(self.steps_an_epoch * self.recipe.warmup_epochs), self.recipe)

    def _train_mode(self) -> None:
        """Switch to training; in the first epochs with a frozen trunk, of the classifier alone."""
        frozen = self.epoch < self.recipe.frozen_trunk_epochs
        self._live.train()
        for name, weight in self._live.named_parameters():
            weight.requires_grad_(not frozen or name.startswith("head.classifier."))
        if frozen:
            # The head itself stays in training for its dropout.
            for part in (self._live.stem, self._live.blocks, self._live.head.project):
                part.eval()
        elif self.recipe.batch_norm == "frozen":
            for module in self._live.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _update(self, batch: Batch, rate: float) -> Tensor:
        try:
            return self._updater.update(batch.clips, batch.labels, rate, batch.whole)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler, whose traceback would keep the batch's memory.
        size = min(self.recipe.micro_batch or len(batch.clips), len(batch.clips))
        raise out_of_memory_error(self._updater.attempt, batch.clips, batch.labels, size)

    def _require_finite(self, total: Tensor) -> float:
        """Return the sum of the losses so far."""
        value = float(total)
        if math.isfinite(value):
            return value
        raise Diverged(f"the loss is {value} in epoch {self.epoch + 1}", hint="lower recipe.learning_rate")


def share_of(split: Split, share: float) -> npt.NDArray[np.int64]:
    """Return the indices of the first ``share`` of every class's (or combination's) clips, at least one."""
    if share >= 1:
        return np.arange(len(split), dtype=np.int64)
    groups = np.unique(split.labels, axis=0, return_inverse=True)[1].reshape(-1)
    of_class = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    return np.sort(np.concatenate([part[: max(1, round(share * len(part)))] for part in of_class]))


def _part(tensors: Any, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
