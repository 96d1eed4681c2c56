"""The evaluation of a network on clips, on several views, frame by frame as a stream, or in an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_train.clips.targets import head_for, on_device
from proxy_train.clips.views import Views
from proxy_train.evaluation import metrics
from proxy_train.metric_names import LOSS, MEAN_AP, NOUN_TOP1, TOP1, TOP5, VERB_TOP1
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import Split
from search_space.errors import DataError
from search_space.network.ensemble import Ensemble, TemporalEnsemble
from search_space.network.heads import Head
from search_space.network.model import MoViNet
from search_space.termination import LeftEarly, is_leaving

CENTRE = Views()
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures by which a search compares networks: fractions, the mean loss, and the number of clips.

    Args:
        top1: fraction of clips whose best class is right; with several labels, is one of them; with verb and
            noun, whose verb and noun are right.
        top5: fraction of clips with the right class among the five best.
        loss: mean loss over the clips, without label smoothing.
        count: number of clips.
        more: figures of only some kinds of labels: ``mean_ap``; ``verb_top1``, ``noun_top1``.
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
        """The figure that a search maximises: mean average precision for several labels, else top-1."""
        return self.more.get(MEAN_AP, self.top1)


@dataclass(frozen=True)
class Predictions:
    """The outputs of a network for the clips of a split.

    Args:
        logits: float64 (clips, outputs); for several views, those of the mean probabilities.
        labels: labels of the clips, as ``Split.labels``.
        head: meaning of the outputs.
        ids: identities of the clips.
    """

    logits: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    head: Head
    ids: tuple[str, ...]

    @property
    def probabilities(self) -> tuple[npt.NDArray[np.float64], ...]:
        """The probabilities of each group of outputs: (clips, classes)."""
        return tuple(part.numpy() for part in self.head.probabilities(torch.from_numpy(self.logits)))

    def losses(self) -> npt.NDArray[np.float64]:
        """Return the loss of every clip, without label smoothing: (clips,)."""
        logits = torch.from_numpy(self.logits)
        if self.head.kind == "multi-label":
            labels = torch.from_numpy(self.labels).double()
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1).numpy()
        columns = torch.from_numpy(self.labels).reshape(len(logits), -1).unbind(1)
        parts = zip(self.head.split(logits), columns, strict=True)
        losses = [F.cross_entropy(part, label, reduction="none") for part, label in parts]
        return torch.stack(losses).sum(0).numpy()


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
    """Classify every clip of a split: its middle ``data.frames`` frames, its centre square.

    Args:
        model: a network that maps clips (batch, 3, frames, height, width) in 0..1 to logits.
        data: the prepared data.
        split: name of the split.
        streaming: use ``step`` and an explicit state instead, ``chunk`` frames at a time.
        batch_size: number of clips at a time.
        chunk: frames of a step.
        device: device of torch.

    Raises:
        DataError: the data set has no such split, or other classes than the network.
    """
    part, head = data.split(split), head_for(data)
    batches = _logits(
        model, data, part, CENTRE, streaming=streaming, batch_size=batch_size, chunk=chunk, device=device
    )
    if head.kind != "single-label":
        return _other_metrics(_collect(batches, part, head))
    losses, right, among_five = list[Tensor](), list[Tensor](), list[Tensor]()
    for indices, logits in batches:
        labels = on_device(torch.from_numpy(part.labels[indices]), device)
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        best = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
        right.append(best[:, 0].sum())
        among_five.append(best.any(1).sum())
    # Read at the end: a GPU would stand still between batches.
    top1, top5, loss = (sum(torch.stack(parts).tolist()) / len(part) for parts in (right, among_five, losses))
    return Metrics(top1, top5, loss, len(part))


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
    """Return a network's outputs for every clip of a split; see ``evaluate``.

    Args:
        model: a network that maps clips (batch, 3, frames, height, width) in 0..1 to logits.
        data: the prepared data.
        split: name of the split.
        views: views of each video, whose probabilities are averaged.
        streaming: use ``step`` and an explicit state instead, ``chunk`` frames at a time.
        batch_size: number of views at a time.
        chunk: frames of a step.
        device: device of torch.
    """
    part, head = data.split(split), head_for(data)
    size = max(1, batch_size // views.count)
    batches = _logits(
        model, data, part, views, streaming=streaming, batch_size=size, chunk=chunk, device=device
    )
    return _collect(batches, part, head, views.count)


def ensemble(members: Sequence[Predictions]) -> Predictions:
    """Average the members' logits (paper, section 3.3); members may have seen other frames and sizes.

    Raises:
        DataError: the members' predictions are of different clips.
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
    """Yield indices of some clips and the logits (clips * views, outputs) of their views, for all clips."""
    classify = _streaming(model, data.size, chunk) if streaming else model
    lengths = np.array([views.frames(part, index, data.frames) for index in range(len(part))])
    groups = [
        alike[first : first + batch_size]
        for alike in (np.flatnonzero(lengths == length) for length in np.unique(lengths))
        for first in range(0, len(alike), batch_size)
    ]
    clip = (data.frames, data.size)
    read = part.read_all(chain.from_iterable(views.frame_ranges(part, indices, *clip) for indices in groups))
    with evaluating(model), torch.inference_mode():
        for indices in groups:
            if is_leaving():
                raise LeftEarly("during an evaluation")
            logits = classify(views.batch(part, indices, *clip, read).to(device)).float()
            if logits.shape[1] != len(data.classes):
                raise DataError(
                    f"{data.name} has {len(data.classes)} classes, the network {logits.shape[1]}",
                    hint="build the network for the data set's classes",
                )
            yield indices, logits


def _collect(
    batches: Iterator[tuple[npt.NDArray[np.int64], Tensor]], part: Split, head: Head, views: int = 1
) -> Predictions:
    collected = np.empty((len(part), head.outputs))
    for indices, logits in batches:
        collected[indices] = _merge(logits.double().cpu(), views, head).numpy()
    return Predictions(collected, part.labels, head, part.ids)


def _merge(logits: Tensor, views: int, head: Head) -> Tensor:
    """Map logits (clips * views, outputs) to those (clips, outputs) of the mean probabilities."""
    if views == 1:
        return logits
    return _logits_of([p.reshape(-1, views, p.shape[1]).mean(1) for p in head.probabilities(logits)], head)


def merge_views(
    logits: npt.NDArray[np.float32], weights: Sequence[int], head: Head
) -> npt.NDArray[np.float32]:
    """Return the logits (outputs,) of the mean probabilities of a video's views.

    Args:
        logits: (views, outputs).
        weights: number of equal views that each stands for; a single view's logits stay what they are.
        head: meaning of the outputs.
    """
    if sum(weights) == 1:
        return logits.reshape(-1)
    weight = torch.tensor(weights, dtype=torch.float64)[:, None] / sum(weights)
    means = [(p * weight).sum(0, keepdim=True) for p in head.probabilities(torch.from_numpy(logits).double())]
    return np.asarray(_logits_of(means, head)[0].numpy(), np.float32)


def _logits_of(probabilities: Sequence[Tensor], head: Head) -> Tensor:
    """Return logits (clips, outputs) that give the probabilities of each group of outputs."""
    means = [part.clamp(min=_LEAST) for part in probabilities]
    if head.kind == "multi-label":
        return torch.logit(means[0], _LEAST)
    return torch.cat([mean.log() for mean in means], 1)


def _other_metrics(predictions: Predictions) -> Metrics:
    """Return the metrics of several labels a clip, or of verb and noun."""
    count, loss = len(predictions.ids), float(predictions.losses().mean())
    if predictions.head.kind == "multi-label":
        scores, relevant = predictions.probabilities[0], predictions.labels > 0.5
        top1, top5 = (float(metrics.any_hits(scores, relevant, k).mean()) for k in (1, 5))
        return Metrics(top1, top5, loss, count, {MEAN_AP: metrics.mean_average_precision(scores, relevant)})
    verbs, nouns = predictions.probabilities
    labels = predictions.labels.astype(np.int64)
    top1, top5 = (float(metrics.action_hits(verbs, nouns, labels, k).mean()) for k in (1, 5))
    more = {
        VERB_TOP1: float(metrics.hits(verbs, labels[:, 0], 1).mean()),
        NOUN_TOP1: float(metrics.hits(nouns, labels[:, 1], 1).mean()),
    }
    return Metrics(top1, top5, loss, count, more)


def _streaming(network: nn.Module, size: int, chunk: int) -> Callable[[Tensor], Tensor]:
    """Return a function of clips that goes through the network's step form."""
    assert isinstance(network, MoViNet | Ensemble | TemporalEnsemble), "only these have a step form"

    def classify(clips: Tensor) -> Tensor:
        state = network.initial_state(len(clips), size)
        logits = clips
        for frames in torch.split(clips, chunk, dim=2):
            logits, state = network.step(frames, state)
        return logits

    return classify


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set a network to evaluation mode for the block, and restore its mode after it."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()
