"""The agreement of scores with labels, and its uncertainty: intervals, calibration, confusion."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float64]

RESAMPLES = 300
BINS = 15


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the ends of its 95 % confidence interval, over the choice of evaluation clips."""

    value: float
    low: float
    high: float


def hits(scores: Scores, labels: Labels, k: int) -> Flags:
    """Tell which clips have their label among their ``k`` best scores.

    Args:
        scores: (clips, classes).
        labels: (clips,).

    Returns:
        (clips,). Equal scores count against the label, so that a constant network is not right.
    """
    own = np.take_along_axis(scores, labels[:, None], 1)
    better = (scores >= own).sum(1) - 1
    return np.asarray(better < k)


def action_hits(verbs: Scores, nouns: Scores, labels: Labels, k: int) -> Flags:
    """Tell which clips have their verb and noun among the ``k`` best pairs, scored by the product of both.

    Args:
        verbs: probabilities (clips, verbs).
        nouns: probabilities (clips, nouns).
        labels: (clips, 2).
    """
    right = np.empty(len(labels), bool)
    # Only the k best of either can be in one of the k best pairs.
    for row, (verb, noun) in enumerate(labels):
        own = verbs[row, verb] * nouns[row, noun]
        best_verbs = np.sort(verbs[row])[::-1][: k + 1]
        best_nouns = np.sort(nouns[row])[::-1][: k + 1]
        right[row] = (np.multiply.outer(best_verbs, best_nouns) >= own).sum() - 1 < k
    return right


def any_hits(scores: Scores, relevant: Flags, k: int) -> Flags:
    """Tell which clips have one of their ``relevant`` labels (clips, classes) among the ``k`` best scores."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(relevant, best, 1).any(1))


def mean_per_class(right: Flags, labels: Labels, weights: Weights | None = None) -> float:
    """Return the mean over classes of the fraction of right clips; absent classes do not count."""
    weights = np.ones(len(labels)) if weights is None else weights
    totals = np.bincount(labels, weights)
    rights = np.bincount(labels, weights * right)
    present = totals > 0
    return float((rights[present] / totals[present]).mean())


def mean_average_precision(scores: Scores, relevant: Flags, weights: Weights | None = None) -> float:
    """Return the mean over classes of the average precision (as in Charades' evaluation: no interpolation).

    Args:
        scores: (clips, classes).
        relevant: (clips, classes); classes without a clip do not count.
        weights: weight of each clip.

    Returns:
        NaN if no clip has a label.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    weighted = np.ones(len(scores)) if weights is None else weights
    seen = weighted[order]
    relevant_weights = np.take_along_axis(relevant, order, 0) * seen
    precision = relevant_weights.cumsum(0) / np.maximum(seen.cumsum(0), 1e-12)
    totals = relevant_weights.sum(0)
    present = totals > 0
    if not present.any():
        return math.nan
    return float(((precision * relevant_weights).sum(0)[present] / totals[present]).mean())


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy, in equal bins of confidence from 0 to 1; each (bins,)."""

    count: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error (Guo et al., 2017): the mean gap, weighted by the clips of a bin."""
        return float((self.count * np.abs(self.confidence - self.accuracy)).sum() / self.count.sum())


def reliability(confidence: Scores, right: Flags, weights: Weights | None = None) -> Reliability:
    """Return the accuracy of decisions by their confidence; both (decisions,)."""
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    weights = np.ones(len(bins)) if weights is None else weights
    count: npt.NDArray[np.float64] = np.bincount(bins, weights, BINS).astype(np.float64)
    divisor = np.maximum(count, 1e-12)
    return Reliability(
        count,
        np.bincount(bins, weights * confidence, BINS) / divisor,
        np.bincount(bins, weights * right, BINS) / divisor,
    )


def confusion(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """Count the clips of a class (row) that were taken for a class (column): (classes, classes)."""
    classes = scores.shape[1]
    pairs = labels * classes + scores.argmax(1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def wilson(right: Flags, confidence: float = 0.95) -> Estimate:
    """Return a fraction with Wilson's interval, which holds for few clips and for fractions near 0 and 1."""
    n, value = len(right), float(np.mean(right))
    z = float(ndtri(0.5 + confidence / 2))
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return Estimate(value, max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half)))


def bootstrap(
    figure: Callable[[Weights], float], count: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Return a figure with its percentiles over clips that are resampled with replacement.

    Args:
        figure: function of the weights of the clips, (count,).
        count: number of clips.
        resamples: number of resamples.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    values = np.array([figure(draw.astype(np.float64)) for draw in draws])
    low, high = np.nanpercentile(values, (2.5, 97.5)) if not np.isnan(values).all() else (math.nan, math.nan)
    return Estimate(figure(np.ones(count)), float(low), float(high))
