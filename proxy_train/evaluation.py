"""How well a network classifies: whole clips, or frame by frame as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_train.augmentation import evaluation_batch
from proxy_train.store import PreparedData
from search_space.errors import DataError


@dataclass(frozen=True, slots=True)
class Metrics:
    """Accuracies as fractions, the mean cross-entropy, and the number of clips they come from."""

    top1: float
    top5: float
    loss: float
    count: int


class Streaming(Protocol):
    """A network's step form."""

    def initial_state(self, batch: int, size: int | None) -> dict[str, Tensor]: ...

    def step(self, frames: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]: ...


def evaluate(
    model: nn.Module,
    data: PreparedData,
    split: str = "val",
    *,
    streaming: bool = False,
    batch_size: int = 32,
    chunk: int = 1,
    device: str = "cpu",
) -> Metrics:
    """Classifies every clip of a split: its middle ``data.frames`` frames, its centre square.

    Args:
        model: maps clips (batch, 3, frames, height, width) in 0..1 to logits.
        streaming: go through ``step`` and an explicit state instead, ``chunk`` frames at a time.

    Raises:
        DataError: the data set has no such split, or other classes than the network.
    """
    part = data.split(split)
    classify = _stream_with(model, data.size, chunk) if streaming else model
    loss, right, among_five = 0.0, 0, 0
    with evaluating(model), torch.inference_mode():
        for first in range(0, len(part), batch_size):
            indices = range(first, min(first + batch_size, len(part)))
            clips = evaluation_batch(part, indices, data.frames, data.size).to(device)
            labels = torch.from_numpy(part.labels[first : first + len(indices)]).to(device)
            logits = classify(clips).float()
            if logits.shape[1] != len(data.classes):
                raise DataError(
                    f"{data.name} has {len(data.classes)} classes, the network {logits.shape[1]}",
                    hint="build the network for the data set's classes",
                )
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            best = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
            right += int(best[:, 0].sum())
            among_five += int(best.any(1).sum())
    return Metrics(right / len(part), among_five / len(part), loss / len(part), len(part))


def _stream_with(model: nn.Module, size: int, chunk: int) -> Callable[[Tensor], Tensor]:
    network = cast(Streaming, model)

    def classify(clips: Tensor) -> Tensor:
        state = network.initial_state(len(clips), size)
        logits = clips
        for frames in torch.split(clips, chunk, dim=2):
            logits, state = network.step(frames, state)
        return logits

    return classify


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the block, and then what it was before."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()
