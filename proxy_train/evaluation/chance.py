"""The accuracy of a network that has learnt nothing, and the least one that chance does not explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc

from proxy_train.data.labels import LabelsKind
from proxy_train.evaluation.metrics import mean_average_precision
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import Split

SIGNIFICANCE = 0.001
"""Probability at which chance alone is given up: a pilot makes a few dozen comparisons."""
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Chance:
    """The accuracy of always naming the most frequent class of a split.

    Args:
        level: that accuracy, a fraction; with several labels a clip the mean average precision of constant
            scores.
        threshold: least accuracy that chance reaches with a probability below ``SIGNIFICANCE``; above 1 if
            the split is too small for any.
        clips: number of clips of the split.
        classes: number of classes, or of pairs of verb and noun in the split.
        entropy: loss in nats of the best constant probabilities for the labels of the training split.
    """

    level: float
    threshold: float
    clips: int
    classes: int
    entropy: float

    @property
    def tells(self) -> bool:
        """Whether the split has enough clips: an accuracy half-way from chance to 1 is told from chance."""
        return self.threshold <= (1 + self.level) / 2

    def left_by(self, accuracy: float) -> bool:
        """Return whether an accuracy is significantly above chance."""
        return accuracy >= self.threshold - 1e-9


def chance_of(data: PreparedData, *, split: str = "val", smoothing: float = 0.0) -> Chance:
    """Return the chance of a split of a data set.

    For one label a clip, or a verb and a noun, the test is the binomial one against the share of the most
    frequent class, one-sided. For several labels it is that against random scores, by simulation.

    Args:
        data: prepared data.
        split: split that networks are judged on.
        smoothing: label smoothing of the training, for ``entropy``.

    Raises:
        DataError: the data set has no such split.
    """
    part = data.split(split)
    entropy = constant_loss(data.split("train"), data.labels_kind, len(data.classes), smoothing)
    if data.labels_kind == "multi":
        relevant = part.labels > 0.5
        level, threshold = _precision_of_chance(relevant)
        return Chance(level, threshold, len(part), len(data.classes), entropy)
    counts = np.unique(part.labels, axis=0, return_counts=True)[1]
    classes = len(data.classes) if data.labels_kind == "single" else len(counts)
    level = float(counts.max() / len(part))
    return Chance(level, least_significant(level, len(part)), len(part), classes, entropy)


def least_significant(level: float, clips: int) -> float:
    """Return the least accuracy that chance reaches with a probability below ``SIGNIFICANCE``.

    Args:
        level: probability of a right guess, a fraction.
        clips: number of clips.

    Returns:
        A fraction of the clips; above 1 if not even all of them right would do.
    """
    # By chance, more than n clips are right with the probability more[n]. scipy.stats has a quantile for it,
    # and takes most of a second to load, for which every command would wait.
    more = bdtrc(np.arange(clips + 1), clips, level)
    return float(np.argmax(more <= SIGNIFICANCE) + 1) / clips


def constant_loss(part: Split, kind: LabelsKind, outputs: int, smoothing: float = 0.0) -> float:
    """Return the mean loss in nats of the best constant outputs for the labels of a split.

    Args:
        part: split.
        kind: kind of its labels.
        outputs: number of the network's outputs.
        smoothing: label smoothing of the loss.
    """
    if kind == "multi":
        rates = np.clip(np.asarray(part.labels, dtype=np.float64).mean(0), 1e-12, 1 - 1e-12)
        rates = rates * (1 - smoothing) + 0.5 * smoothing
        return float(-(rates * np.log(rates) + (1 - rates) * np.log(1 - rates)).mean())
    columns = np.asarray(part.labels).reshape(len(part), -1).T
    total = 0.0
    for labels in columns:
        counts = np.bincount(labels.astype(np.int64), minlength=outputs if len(columns) == 1 else 0)
        rates = counts / counts.sum() * (1 - smoothing) + smoothing / len(counts)
        total -= float((rates[rates > 0] * np.log(rates[rates > 0])).sum())
    return total


def _precision_of_chance(relevant: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[float, float]:
    """Return the mean average precision of random scores: its mean, and its highest quantile."""
    rng = np.random.default_rng(0)
    drawn = [mean_average_precision(rng.random(relevant.shape), relevant) for _ in range(_DRAWS)]
    spread = float(np.std(drawn))
    # Beyond the quantiles that so few draws can show, a normal tail: 3.1 deviations.
    return float(np.mean(drawn)), float(np.mean(drawn)) + 3.1 * spread
