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
    return _wilson(float(np.mean(right)), len(right), confidence)


def _wilson(value: float, n: float, confidence: float = 0.95) -> Estimate:
    """Return a mean of figures from 0 to 1 with Wilson's interval for ``n`` clips, or as many in effect."""
    z = float(ndtri(0.5 + confidence / 2))
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return Estimate(value, max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half)))


def class_mean(right: Flags, labels: Labels) -> Estimate:
    """Return the mean over classes of the fraction of right clips, with its interval.

    It is Wilson's for the number of clips that would vary as much. Clips that are resampled would leave out
    rare classes; here the fraction of a class is drawn to the mean for its variance, and to a half where
    there are few classes: a class of one clip varies, too.
    """
    counts = np.bincount(labels)
    present = counts > 0
    counts, rights = counts[present], np.bincount(labels, right)[present]
    classes, value = len(counts), float((rights / counts).mean())
    to_half = min(2.0, 8 / classes)
    shares = (rights + (2 - to_half) * value + to_half / 2) / (counts + 2)
    variance = float((shares * (1 - shares) / counts).sum()) / classes**2
    middle = float(shares.mean())
    return _wilson(value, middle * (1 - middle) / variance if variance > 0 else len(labels))


def average_precision(scores: Scores, relevant: Flags, *, seed: int = 0) -> Estimate:
    """Return the mean average precision with its interval; NaN if no clip has a label.

    Clips are weighted at random (the Bayesian bootstrap, Rubin 1981), so that no class is left out. What that
    misses of the variance of classes with few clips is added: of n clips, 2 / (n + 1) of their share.
    """
    value = mean_average_precision(scores, relevant)
    if math.isnan(value):
        return Estimate(value, value, value)
    rng = np.random.default_rng(seed)
    draws = rng.exponential(size=(RESAMPLES // 3, len(scores)))
    variance = float(np.var([mean_average_precision(scores, relevant, weights) for weights in draws]))
    counts, squares = _precision_spread(scores, relevant)
    own = (squares + 2 * value * (1 - value)) / (counts + 1)
    variance += float((2 * own / (counts * (counts + 1))).sum()) / len(counts) ** 2
    # No more in effect than there are labels.
    most = float(counts.sum())
    return _wilson(value, max(1.0, min(most, value * (1 - value) / variance)) if variance > 0 else most)


def _precision_spread(scores: Scores, relevant: Flags) -> tuple[Weights, Weights]:
    """Return for each class that has clips their number, and the squared deviations of the precisions at
    them."""
    order = np.argsort(-scores, axis=0, kind="stable")
    sorted_ = np.take_along_axis(relevant, order, 0).astype(np.float64)
    precision = sorted_.cumsum(0) / np.arange(1, len(scores) + 1)[:, None]
    counts = sorted_.sum(0)
    present = counts > 0
    mean = (precision * sorted_).sum(0)[present] / counts[present]
    squares = ((precision[:, present] - mean) ** 2 * sorted_[:, present]).sum(0)
    return counts[present], squares


def calibration_error(curve: Callable[[Weights], Reliability], count: int, *, seed: int = 0) -> Estimate:
    """Return the expected calibration error with an interval for the true one.

    Chance alone makes gaps between confidence and accuracy: the figure is too high by up to their mean size,
    which the lower end takes away.

    Args:
        curve: function of the weights of the clips, (count,), that returns the reliability.
        count: number of clips.
        seed: seed of the resamples, which keep the decisions about one clip together.
    """
    found = curve(np.ones(count))
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES // 3)
    resampled = [curve(draw.astype(np.float64)) for draw in draws]
    spread = np.std([each.confidence - each.accuracy for each in resampled], axis=0)
    share = (found.accuracy * found.count + 1) / (found.count + 2)
    errors = np.maximum(np.sqrt(share * (1 - share) / np.maximum(found.count, 1)), spread)
    parts = found.count / found.count.sum() * errors
    chance, half = math.sqrt(2 / math.pi) * float(parts.sum()), 1.96 * math.sqrt(float((parts**2).sum()))
    return Estimate(found.error, max(0.0, found.error - chance - half), min(1.0, found.error + half))


def bootstrap(
    figure: Callable[[Weights], float], count: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Return a mean over clips with its percentiles over clips that are resampled with replacement.

    Args:
        figure: function of the weights of the clips, (count,); a mean, since others are biased by resampling.
        count: number of clips.
        resamples: number of resamples.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    value = figure(np.ones(count))
    low, high = np.percentile([figure(draw.astype(np.float64)) for draw in draws], (2.5, 97.5)).tolist()
    return Estimate(value, min(low, value), max(high, value))
