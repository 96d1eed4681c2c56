"""The assessment of a network's predictions: all metrics of the kind of labels, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy_train.evaluation import metrics
from proxy_train.evaluation.evaluation import Predictions
from proxy_train.evaluation.metrics import Estimate, Reliability, Weights
from proxy_train.metric_names import LOSS, MEAN_AP


@dataclass(frozen=True)
class Assessment:
    """The figures of one network on one split.

    Args:
        figures: figures by name: ``top1``, ``top5``, ``mean_class``, ``loss``, ``ece`` for one label a clip;
            ``mean_ap``, ``hit1``, ``loss``, ``ece`` for several; ``verb_``, ``noun_`` and ``action_`` with
            ``top1`` and ``top5``, ``loss`` and each group's ``_mean_class`` and ``_ece`` for verb and noun.
        confusion: numbers of clips of a class (row) taken for a class (column), by group of outputs
            (``class``, ``verb``, ``noun``).
        calibration: confidence against accuracy, by group of outputs.
        count: number of clips.
    """

    figures: Mapping[str, Estimate]
    confusion: Mapping[str, npt.NDArray[np.int64]]
    calibration: Mapping[str, Reliability]
    count: int

    def to_json(self) -> dict[str, Any]:
        """Return the assessment in JSON types."""
        return {
            "clips": self.count,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "confusion": {name: matrix.tolist() for name, matrix in self.confusion.items()},
            "calibration": {
                name: {key: np.round(values, 6).tolist() for key, values in asdict(curve).items()}
                for name, curve in self.calibration.items()
            },
        }

    def text(self) -> str:
        """Return a line for each figure: percent for fractions, with the ends of the interval."""
        lines = []
        for name, figure in self.figures.items():
            scale, unit = (1.0, "") if name == LOSS else (100.0, " %")
            low, value, high = (scale * end for end in (figure.low, figure.value, figure.high))
            lines.append(f"{name:>16} {value:8.3f}{unit}  ({low:.3f} to {high:.3f})")
        return "\n".join(lines)


def assess(predictions: Predictions, *, seed: int = 0) -> Assessment:
    """Compute every figure of predictions; ``seed`` seeds the bootstrap.

    Intervals hold their own figure, and the true one in at least about 95 of 100 cases, for rare classes too:
    see ``metrics.wilson``, ``class_mean``, ``average_precision`` and ``calibration_error``; the loss is
    bootstrapped over the clips.
    """
    losses = predictions.losses()
    figures = {LOSS: metrics.bootstrap(lambda w: float(w @ losses / w.sum()), len(losses), seed=seed)}
    if predictions.head.kind == "multi-label":
        return _assess_several(predictions, figures, seed)
    names: Sequence[str] = ("verb", "noun") if predictions.head.kind == "verb-noun" else ("class",)
    labels = predictions.labels.astype(np.int64).reshape(len(losses), -1)
    confusion: dict[str, npt.NDArray[np.int64]] = {}
    calibration: dict[str, Reliability] = {}
    estimates: dict[str, Estimate] = {}
    for name, scores, wanted in zip(names, predictions.probabilities, labels.T, strict=True):
        prefix = "" if name == "class" else f"{name}_"
        estimates |= {f"{prefix}top{k}": metrics.wilson(metrics.hits(scores, wanted, k)) for k in (1, 5)}
        estimates |= {
            f"{prefix}{key}": figure for key, figure in _group_figures(scores, wanted, seed).items()
        }
        confusion[name] = metrics.confusion(scores, wanted)
        calibration[name] = metrics.reliability(scores.max(1), metrics.hits(scores, wanted, 1))
    if len(names) == 2:
        verbs, nouns = predictions.probabilities
        for k in (1, 5):
            right = metrics.action_hits(verbs, nouns, labels, k)
            estimates[f"action_top{k}"] = metrics.wilson(right)
    return Assessment(estimates | figures, confusion, calibration, len(losses))


def _group_figures(scores: metrics.Scores, wanted: metrics.Labels, seed: int) -> dict[str, Estimate]:
    right, sure = metrics.hits(scores, wanted, 1), scores.max(1)

    def curve(weights: Weights) -> Reliability:
        return metrics.reliability(sure, right, weights)

    return {
        "mean_class": metrics.class_mean(right, wanted),
        "ece": metrics.calibration_error(curve, len(wanted), seed=seed),
    }


def _assess_several(predictions: Predictions, figures: dict[str, Estimate], seed: int) -> Assessment:
    """Assess predictions of several labels a clip: every class is a yes or a no."""
    scores, relevant = predictions.probabilities[0], predictions.labels > 0.5
    count, classes = scores.shape
    # A sure no is a sure decision as well.
    sure, right = np.maximum(scores, 1 - scores).ravel(), ((scores > 0.5) == relevant).ravel()

    def curve(weights: Weights) -> Reliability:
        return metrics.reliability(sure, right, np.repeat(weights, classes))

    estimates = {
        MEAN_AP: metrics.average_precision(scores, relevant, seed=seed),
        "hit1": metrics.wilson(metrics.any_hits(scores, relevant, 1)),
        "ece": metrics.calibration_error(curve, count, seed=seed),
    }
    assert not math.isnan(estimates[MEAN_AP].value) or not relevant.any()
    return Assessment(estimates | figures, {}, {"class": metrics.reliability(sure, right)}, count)
