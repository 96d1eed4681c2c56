"""Do labels follow from what clips show? A probe that answers in seconds, without training a network.

Fixed features of every clip, a coarse picture and coarse motion, and a linear classifier on top. Motion is
seen as insects see it: the product of a place and a later moment of its neighbour, less the same the other
way round (Hassenstein and Reichardt 1956). Where the probe is right more often than chance, labels follow
from the clips. Where it is not, they may still: it sees no detail and no long order of events.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_train.clips.augmentation import evaluation_batch
from proxy_train.evaluation.chance import Chance, least_significant
from proxy_train.evaluation.metrics import mean_average_precision
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import Split

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TRAIN_CLIPS, JUDGED_CLIPS = 1600, 800
_LEAST_CLIPS, _ON_DEMAND = 400, 4
_MOST_PIXELS, _PIXELS_AT_A_TIME = 10**9, 2**24
_SIDE, _PICTURE, _CELLS, _PARTS, _FRAMES = 16, 6, 3, 3, 64
_OFFSETS, _LAGS = (1, 2, 3), (1, 2, 3)
_STRENGTHS = np.geomspace(1.0, 1e5, 16)


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of a content probe.

    Args:
        accuracy: accuracy on the clips that it was judged on, a fraction (several labels: mean average
            precision).
        threshold: least accuracy that chance does not explain.
        among_own: accuracy on each clip that it learnt from, judged without that clip.
        trained: number of clips that it learnt from.
        judged: number of clips that it was judged on.
        mirrored: pairs of classes that it takes for each other when their clips are mirrored; none where it
            is known that mirrored clips change their labels.
    """

    accuracy: float
    threshold: float
    among_own: float
    trained: int
    judged: int
    mirrored: tuple[tuple[str, str], ...] = ()

    @property
    def finds_content(self) -> bool:
        """Whether labels follow from what the probe sees."""
        return self.accuracy >= self.threshold - 1e-9


def probe(data: PreparedData, chance: Chance) -> Probed:
    """Learn from the training split, and judge on the validation split.

    Args:
        data: prepared data of any kind of labels; at most ``TRAIN_CLIPS`` and ``JUDGED_CLIPS`` clips are
            read, spread over the splits, fewer if they are large or decoded on demand.
        chance: chance of the validation split.
    """
    train, judged = data.split("train"), data.split("val")
    affordable = max(_LEAST_CLIPS, _MOST_PIXELS // (min(data.frames, _FRAMES) * data.size**2))
    most = min(TRAIN_CLIPS, affordable) // (_ON_DEMAND if train.on_demand else 1)
    rows, others = _spread(len(train), most), _spread(len(judged), most * JUDGED_CLIPS // TRAIN_CLIPS)
    targets, names = _targets(train, rows, data)
    weights = _Ridge.fit(_features_of(train, rows, data), targets)
    seen = _features_of(judged, others, data)
    scores = weights.scores(seen)
    if data.labels_kind == "multi":
        accuracy = mean_average_precision(scores, judged.labels[others] > 0.5)
        own = mean_average_precision(weights.left_out, targets > 0.5)
        return Probed(accuracy, chance.threshold, own, len(rows), len(others))
    labels = _numbers(judged.labels[others], names)
    mirrored: tuple[tuple[str, str], ...] = ()
    if data.labels_kind == "single" and not data.flips_change_labels:
        seen = _features_of(judged, others, data, mirror=True)
        learnt = tuple(data.classes[label] for label in names.tolist())
        mirrored = _mirrored_pairs(labels, weights.scores(seen).argmax(1), learnt)
    return Probed(
        accuracy=float((scores.argmax(1) == labels).mean()),
        threshold=least_significant(chance.level, len(others)),
        among_own=float((weights.left_out.argmax(1) == targets.argmax(1)).mean()),
        trained=len(rows),
        judged=len(others),
        mirrored=mirrored,
    )


def features(clips: Tensor) -> Tensor:
    """Return the features of clips: a coarse picture, its change, and motion in a coarse grid.

    Args:
        clips: float (batch, 3, frames, size, size) in 0..1.

    Returns:
        float32 (batch, features).
    """
    grey = F.adaptive_avg_pool2d(clips.mean(1), min(_SIDE, clips.shape[-1]))
    picture = F.adaptive_avg_pool2d(clips.mean(2), _PICTURE).flatten(1)
    if clips.shape[2] < 2:
        return picture
    change = F.adaptive_avg_pool2d((grey[:, 1:] - grey[:, :-1]).abs().mean(1), _PICTURE).flatten(1)
    moving = grey - grey.mean(1, keepdim=True)
    energy = moving.square().mean((1, 2, 3), keepdim=True) + 1e-4
    found = [picture, change]
    for motion in _motions(moving):
        for part in (motion / energy).chunk(_PARTS, 1):
            cells = F.adaptive_avg_pool2d(part.mean(1), _CELLS).flatten(1)
            found.append(cells.sign() * cells.abs().sqrt())
    return torch.cat(found, 1)


def _motions(moving: Tensor) -> Iterator[Tensor]:
    """Yield opponent motion energies (batch, frames, height, width), to the right and downwards positive."""
    frames, side = moving.shape[1], moving.shape[2]
    for lag in (lag for lag in _LAGS if lag < frames):
        now, then = moving[:, :-lag], moving[:, lag:]
        for step in (step for step in _OFFSETS if step < side):
            yield now[..., :-step] * then[..., step:] - now[..., step:] * then[..., :-step]
            yield now[..., :-step, :] * then[..., step:, :] - now[..., step:, :] * then[..., :-step, :]


def _features_of(split: Split, rows: Integers, data: PreparedData, *, mirror: bool = False) -> Floats:
    """Return the features of some clips of a split, in parts that fit into memory."""
    frames = min(data.frames, _FRAMES)
    found: list[Tensor] = []
    at_a_time = max(1, min(32, _PIXELS_AT_A_TIME // (3 * frames * data.size**2)))
    for part in np.array_split(rows, math.ceil(len(rows) / at_a_time)):
        clips = evaluation_batch(split, part, frames, data.size)
        found.append(features(clips.flip(-1) if mirror else clips))
    return torch.cat(found).double().numpy()


def _spread(count: int, most: int) -> Integers:
    """Return the indices of at most ``most`` of ``count`` clips, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _targets(split: Split, rows: Integers, data: PreparedData) -> tuple[Floats, Integers]:
    """Return one column a class, or a pair of verb and noun, and the labels that columns stand for."""
    labels = split.labels[rows]
    if data.labels_kind == "multi":
        return labels.astype(np.float64), np.arange(labels.shape[1])
    names, numbers = np.unique(labels, axis=0, return_inverse=True)
    return np.eye(len(names))[numbers.reshape(-1)], names.astype(np.int64)


def _numbers(labels: NDArray[np.int64] | NDArray[np.float32], names: Integers) -> Integers:
    """Return the column of each label; -1 for one that was not learnt."""
    columns = {tuple(np.atleast_1d(name).tolist()): column for column, name in enumerate(names)}
    return np.array([columns.get(tuple(np.atleast_1d(label).astype(int).tolist()), -1) for label in labels])


def _mirrored_pairs(
    labels: Integers, mirrored: Integers, classes: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Return the pairs of classes that mirrored clips are taken for, each for the other."""
    known = labels >= 0
    taken = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(taken, (labels[known], mirrored[known]), 1)
    pairs = []
    # Of hundreds of classes few pairs are taken for each other at all.
    for one, other in np.argwhere(np.triu(np.minimum(taken, taken.T), 1)).tolist():
        swapped = int(taken[one, other] + taken[other, one])
        both = swapped + int(taken[one, one] + taken[other, other])
        # Were a mirrored clip of the same class, it would rather be taken for that one.
        if swapped / both >= least_significant(0.5, both):
            pairs.append((classes[one], classes[other]))
    return tuple(pairs)


@dataclass(frozen=True)
class _Ridge:
    """A linear classifier by least squares, with the strength of its penalty chosen by leaving one out.

    Args:
        mean: mean of each feature.
        scale: standard deviation of each feature.
        weights: shape (features, columns).
        bias: mean of each column.
        left_out: scores (clips, columns) of the clips that it was fitted to, each without that clip.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    bias: Floats
    left_out: Floats

    @classmethod
    def fit(cls, seen: Floats, targets: Floats) -> _Ridge:
        """Fit the targets (clips, columns) to features (clips, features)."""
        mean, scale, bias = seen.mean(0), seen.std(0) + 1e-6, targets.mean(0)
        centred = targets - bias
        left, singular, right = np.linalg.svd((seen - mean) / scale, full_matrices=False)
        projected = left.T @ centred

        def residual(strength: float) -> Floats:
            shrink = singular**2 / (singular**2 + strength)
            leverage = np.minimum((left**2 * shrink).sum(1) + 1 / len(seen), 0.999)
            difference: Floats = (centred - (left * shrink) @ projected) / (1 - leverage)[:, None]
            return difference

        best = min(_STRENGTHS.tolist(), key=lambda strength: float((residual(strength) ** 2).mean()))
        weights = right.T @ ((singular / (singular**2 + best))[:, None] * projected)
        return cls(mean, scale, weights, bias, targets - residual(best))

    def scores(self, seen: Floats) -> Floats:
        """Return the scores (clips, columns) of features (clips, features)."""
        scores: Floats = (seen - self.mean) / self.scale @ self.weights + self.bias
        return scores
