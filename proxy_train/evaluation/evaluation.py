"""How well a network classifies: whole clips, several views, frame by frame as a stream, or an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_train.clips.targets import head_for
from proxy_train.clips.views import Views
from proxy_train.evaluation import metrics
from proxy_train.metric_names import LOSS, MEAN_AP, NOUN_TOP1, TOP1, TOP5, VERB_TOP1
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import Split
from search_space.errors import DataError
from search_space.network.heads import Head

CENTRE = Views()
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a search compares networks by: fractions, the mean loss, and the clips that they come from.

    Args:
        top1: clips whose best class is right; with several labels, is one of them; with verb and noun, clips
            of which both are right.
        top5: the same for the five best.
        loss: mean over the clips, without label smoothing.
        count: clips.
        more: figures that only some kinds of labels have: ``mean_ap``; ``verb_top1``, ``noun_top1``.
    """

    top1: float
    top5: float
    loss: float
    count: int
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, float]:
        """Every figure under its name: ``top1``, ``top5``, ``loss`` and those of ``more``."""
        return {TOP1: self.top1, TOP5: self.top5, LOSS: self.loss, **self.more}

    @property
    def score(self) -> float:
        """What a search maximises: the mean average precision where clips have several labels, else top-1."""
        return self.more.get(MEAN_AP, self.top1)


@dataclass(frozen=True)
class Predictions:
    """What a network said about the clips of a split.

    Args:
        logits: float64 (clips, outputs); of several views, those of the mean probabilities.
        labels: as ``Split.labels``.
        head: what the outputs mean.
        ids: of the clips.
    """

    logits: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    head: Head
    ids: tuple[str, ...]

    @property
    def probabilities(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Of each group of outputs: (clips, classes)."""
        return tuple(part.numpy() for part in self.head.probabilities(torch.from_numpy(self.logits)))

    def losses(self) -> npt.NDArray[np.float64]:
        """The loss of every clip, without label smoothing: (clips,)."""
        logits = torch.from_numpy(self.logits)
        if self.head.kind == "multi-label":
            labels = torch.from_numpy(self.labels).double()
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1).numpy()
        columns = torch.from_numpy(self.labels).reshape(len(logits), -1).unbind(1)
        parts = zip(self.head.split(logits), columns, strict=True)
        found = [F.cross_entropy(part, label, reduction="none") for part, label in parts]
        return torch.stack(found).sum(0).numpy()


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
    part, head = data.split(split), head_for(data)
    batches = _logits(
        model, data, part, CENTRE, streaming=streaming, batch_size=batch_size, chunk=chunk, device=device
    )
    if head.kind != "single-label":
        return _other_metrics(_collected(batches, part, head))
    loss, right, among_five = 0.0, 0, 0
    for indices, logits in batches:
        labels = torch.from_numpy(part.labels[indices]).to(device)
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        best = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
        right += int(best[:, 0].sum())
        among_five += int(best.any(1).sum())
    return Metrics(right / len(part), among_five / len(part), loss / len(part), len(part))


def predict(
    model: nn.Module,
    data: PreparedData,
    split: str = "val",
    *,
    views: Views = CENTRE,
    streaming: bool = False,
    batch_size: int = 32,
    chunk: int = 1,
    device: str = "cpu",
) -> Predictions:
    """What a network says about every clip of a split; see ``evaluate``.

    Args:
        views: which parts of each video; their probabilities are averaged.
        batch_size: views at a time.
    """
    part, head = data.split(split), head_for(data)
    size = max(1, batch_size // views.count)
    batches = _logits(
        model, data, part, views, streaming=streaming, batch_size=size, chunk=chunk, device=device
    )
    return _collected(batches, part, head, views.count)


def ensemble(members: Sequence[Predictions]) -> Predictions:
    """The mean of the members' logits (paper, section 3.3), which may have seen other frames and sizes.

    Raises:
        DataError: they are of different clips.
    """
    first = members[0]
    if any(member.ids != first.ids for member in members):
        raise DataError("an ensemble's members were evaluated on different clips", hint="use one split")
    mean = np.mean([member.logits for member in members], axis=0)
    return Predictions(mean, first.labels, first.head, first.ids)


def _logits(
    model: nn.Module,
    data: PreparedData,
    part: Split,
    views: Views,
    *,
    streaming: bool,
    batch_size: int,
    chunk: int,
    device: str,
) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
    """Indices of some clips and the logits (clips * views, outputs) of all their views, until all had a
    turn."""
    classify = _stream_with(model, data.size, chunk) if streaming else model
    lengths = np.array([views.frames(part, index, data.frames) for index in range(len(part))])
    groups = [
        alike[first : first + batch_size]
        for alike in (np.flatnonzero(lengths == length) for length in np.unique(lengths))
        for first in range(0, len(alike), batch_size)
    ]
    clip = (data.frames, data.size)
    read = part.read_all(chain.from_iterable(views.stretches(part, indices, *clip) for indices in groups))
    with evaluating(model), torch.inference_mode():
        for indices in groups:
            logits = classify(views.batch(part, indices, *clip, read).to(device)).float()
            if logits.shape[1] != len(data.classes):
                raise DataError(
                    f"{data.name} has {len(data.classes)} classes, the network {logits.shape[1]}",
                    hint="build the network for the data set's classes",
                )
            yield indices, logits


def _collected(
    batches: Iterator[tuple[npt.NDArray[np.int64], Tensor]], part: Split, head: Head, views: int = 1
) -> Predictions:
    found = np.empty((len(part), head.outputs))
    for indices, logits in batches:
        found[indices] = _merged(logits.double().cpu(), views, head).numpy()
    return Predictions(found, part.labels, head, part.ids)


def _merged(logits: Tensor, views: int, head: Head) -> Tensor:
    """Logits (clips * views, outputs) to those (clips, outputs) of the mean probabilities."""
    if views == 1:
        return logits
    means = [p.reshape(-1, views, p.shape[1]).mean(1).clamp(min=_LEAST) for p in head.probabilities(logits)]
    if head.kind == "multi-label":
        return torch.logit(means[0], _LEAST)
    return torch.cat([mean.log() for mean in means], 1)


def _other_metrics(found: Predictions) -> Metrics:
    """Of several labels a clip, or of verb and noun."""
    count, loss = len(found.ids), float(found.losses().mean())
    if found.head.kind == "multi-label":
        scores, relevant = found.probabilities[0], found.labels > 0.5
        top1, top5 = (float(metrics.any_hits(scores, relevant, k).mean()) for k in (1, 5))
        return Metrics(top1, top5, loss, count, {MEAN_AP: metrics.mean_average_precision(scores, relevant)})
    verbs, nouns = found.probabilities
    labels = found.labels.astype(np.int64)
    top1, top5 = (float(metrics.action_hits(verbs, nouns, labels, k).mean()) for k in (1, 5))
    more = {
        VERB_TOP1: float(metrics.hits(verbs, labels[:, 0], 1).mean()),
        NOUN_TOP1: float(metrics.hits(nouns, labels[:, 1], 1).mean()),
    }
    return Metrics(top1, top5, loss, count, more)


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
