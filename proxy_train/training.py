"""One training of one network, epoch by epoch, that goes on exactly where it was after any interruption.

Everything random in an epoch comes from generators seeded by (seed, epoch), so that a checkpoint holds no
generator: a resumed training and an uninterrupted one compute the same bits on a CPU with the same number of
threads.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from proxy_train import checkpoint, evaluation
from proxy_train.augmentation import Augmentation
from proxy_train.checkpoint import Checkpoint
from proxy_train.evaluation import Metrics
from proxy_train.fidelity import Fidelity
from proxy_train.optimizers import clip_each, make_optimizer, set_rate
from proxy_train.recipe import Recipe
from proxy_train.schedule import rate_at
from proxy_train.store import PreparedData, Split
from search_space.architecture import Architecture
from search_space.errors import MovinasError, RecordError, SettingsError
from search_space.network import MoViNet, build


class Diverged(MovinasError):  # noqa: N818 - it names what happened, as KeyboardInterrupt does
    """The loss is not a number any more; ``message`` says where."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch.

    Args:
        epoch: how many are finished now.
        loss: mean over its clips, with label smoothing.
        learning_rate: of its last step.
        seconds: wall clock.
        data_seconds: the part of them spent on reading and augmenting.
    """

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    data_seconds: float


class Training:
    """Trains ``architecture`` on ``data`` for ``horizon.epochs`` epochs.

    With a folder, it goes on from the checkpoint there, and ``save`` writes one; ``train_epoch`` does not
    write by itself.

    Args:
        horizon: the whole training: the schedule ends with it. Its frames and size are those of ``data``.
        seed: of the weights, the order of clips, augmentation and dropout.
        folder: of the checkpoint; None keeps nothing.
        device: of torch.

    Raises:
        SettingsError: the horizon does not fit the data.
        RecordError: the folder holds another training, or a damaged one.
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
    ) -> None:
        if (horizon.frames, horizon.size) != (data.frames, data.size):
            raise SettingsError(
                f"fidelity {horizon.key}: the data is prepared for {data.frames} frames of {data.size} px",
                hint="prepare the data for this fidelity",
            )
        self.architecture, self.data, self.recipe = architecture, data, recipe
        self.horizon, self.seed, self.folder, self.device = horizon, seed, folder, device
        self.epoch = 0
        self._split = data.split("train")
        self._indices = share_of(self._split, horizon.share)
        self._augmentation = Augmentation.of(recipe, data)
        self._live = build(
            architecture,
            len(data.classes),
            dropout=recipe.dropout,
            stochastic_depth=recipe.stochastic_depth,
            seed=seed,
        ).to(device)
        for module in self._live.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.batch_norm_momentum
        self._average = copy.deepcopy(self._live).eval() if recipe.ema else None
        self._optimizer = make_optimizer(self._live, recipe)
        self._resume()

    @property
    def model(self) -> MoViNet:
        """The network to use: with averaged weights if the recipe averages."""
        return self._live if self._average is None else self._average

    @property
    def fidelity(self) -> Fidelity:
        """What has been spent so far."""
        return Fidelity(max(1, self.epoch), self.horizon.frames, self.horizon.size, self.horizon.share)

    @property
    def steps_an_epoch(self) -> int:
        """Updates in an epoch; clips that fill no batch are left for another shuffle."""
        return max(1, len(self._indices) // self.recipe.batch_size)

    def train_epoch(self) -> EpochReport:
        """Goes once through the training clips.

        Raises:
            Diverged: the loss became NaN or infinite.
            SettingsError: the horizon is reached.
        """
        if self.epoch >= self.horizon.epochs:
            raise SettingsError(f"this training ends after {self.horizon.epochs} epochs")
        began, data_seconds = time.perf_counter(), 0.0
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self._indices)
        total = torch.zeros((), device=self.device)
        steps, size = self.steps_an_epoch, self.recipe.batch_size
        rate = 0.0
        self._live.train()
        with _seeded_torch(self.device, int(rng.integers(2**62))):
            for number in range(steps):
                started = time.perf_counter()
                chosen = np.sort(order[number * size : (number + 1) * size])
                clips = self._augmentation.training_batch(self._split, chosen, rng).to(self.device)
                labels = torch.from_numpy(self._split.labels[chosen]).to(self.device)
                data_seconds += time.perf_counter() - started
                rate = self._rate(self.epoch * steps + number)
                total += self._step(clips, labels, rate)
        loss = float(total) / steps
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} in epoch {self.epoch + 1}", hint="lower recipe.learning_rate")
        self.epoch += 1
        return EpochReport(self.epoch, loss, rate, time.perf_counter() - began, data_seconds)

    def evaluate(self, split: str = "val", *, streaming: bool = False) -> Metrics:
        """How well ``model`` does now.

        Raises:
            Diverged: its outputs are not numbers.
        """
        metrics = evaluation.evaluate(self.model, self.data, split, streaming=streaming, device=self.device)
        if not math.isfinite(metrics.loss):
            raise Diverged(f"the {split} loss is {metrics.loss} after epoch {self.epoch}")
        return metrics

    def save(self) -> None:
        """Replaces the folder's checkpoint by what is now; nothing without a folder."""
        if self.folder is None:
            return
        tensors = {f"model.{name}": value for name, value in self._live.state_dict().items()}
        if self._average is not None:
            tensors |= {f"average.{name}": value for name, value in self._average.state_dict().items()}
        tensors |= checkpoint.optimizer_tensors(self._optimizer)
        checkpoint.write(self.folder, Checkpoint(tensors, {**self._identity(), "epoch": self.epoch}))

    def _resume(self) -> None:
        found = None if self.folder is None else checkpoint.read(self.folder)
        if found is None:
            return
        for key, value in self._identity().items():
            if found.facts.get(key) != value:
                raise RecordError(
                    f"{self.folder}: holds a training with {key} {found.facts.get(key)}, not {value}",
                    hint="use another folder, or delete this one",
                )
        self._live.load_state_dict(_part(found.tensors, "model."))
        if self._average is not None:
            self._average.load_state_dict(_part(found.tensors, "average."))
        checkpoint.restore_optimizer(self._optimizer, found.tensors)
        self.epoch = int(found.facts["epoch"])

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to go on."""
        return {
            "architecture": self.architecture.text,
            "data": self.data.path.name,
            "recipe": self.recipe.model_dump(),
            "horizon": asdict(self.horizon),
            "seed": self.seed,
        }

    def _rate(self, step: int) -> float:
        steps = self.steps_an_epoch * self.horizon.epochs
        return rate_at(step, steps, round(self.steps_an_epoch * self.recipe.warmup_epochs), self.recipe)

    def _step(self, clips: Tensor, labels: Tensor, rate: float) -> Tensor:
        recipe = self.recipe
        with torch.autocast(
            self.device.split(":")[0], torch.bfloat16, enabled=recipe.precision == "bfloat16"
        ):
            logits = self._live(clips)
            loss = self._live.head_type.loss(logits, labels, recipe.label_smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip_norm is not None:
            clip_each(self._live.parameters(), recipe.clip_norm)
        set_rate(self._optimizer, rate)
        self._optimizer.step()
        if self._average is not None:
            _follow(self._average, self._live, recipe.ema)
        return loss.detach()


def share_of(split: Split, share: float) -> npt.NDArray[np.int64]:
    """Indices of the first ``share`` of each class's clips, at least one of each."""
    if share >= 1:
        return np.arange(len(split), dtype=np.int64)
    of_class = [np.flatnonzero(split.labels == label) for label in np.unique(split.labels)]
    return np.sort(np.concatenate([part[: max(1, round(share * len(part)))] for part in of_class]))


@torch.no_grad()
def _follow(average: nn.Module, live: nn.Module, decay: float) -> None:
    """Moves averaged weights towards the live ones; running statistics, averages already, are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), 1 - decay)
    for ours, theirs in zip(average.buffers(), live.buffers(), strict=True):
        ours.copy_(theirs)


@contextmanager
def _seeded_torch(device: str, seed: int) -> Iterator[None]:
    """Torch's generators seeded for the block (dropout draws from them), and put back after it."""
    devices = [] if device == "cpu" else [torch.device(device)]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _part(tensors: Any, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
