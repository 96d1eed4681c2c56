"""The table of objectives, and the objectives and soft constraints of a search."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy_train.metric_names import MEAN_AP, VERB_TOP1

LEAST_COST = 1e-9
"""Value that a cost of zero counts as, such as the state of a network without one: it needs a logarithm."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective that a search can have.

    Args:
        name: name in settings, tables and plots.
        metric: name of the record's metric that holds it.
        unit: unit of the metric, empty for plain numbers.
        words: the objective in words, with its unit, as axes and sentences show it.
        known_before_training: whether it follows from the architecture alone.
    """

    name: str
    metric: str
    unit: str
    words: str
    known_before_training: bool

    def to_minimise(self, measured: float) -> float:
        """Return a measured value as strategies see it: 1 - accuracy, or the logarithm of a cost."""
        return 1 - measured if self.name == "accuracy" else math.log(max(measured, LEAST_COST))


OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("accuracy", "top1", "", "top-1 accuracy", False),
        Objective("macs", "macs", "", "multiply-adds of a clip", True),
        Objective("parameters", "parameters", "", "parameters", True),
        Objective("latency", "latency_ms", "ms", "latency of a frame, ms", False),
        Objective("state_bytes", "state_bytes", "bytes", "bytes of stream state", True),
        Objective(
            "activation_bytes",
            "activation_bytes",
            "bytes",
            "bytes of activations",
            True,
        ),
    )
}
"""All objectives by name; accuracy is among those of every search, and a search has at least two."""

DEFAULT_OBJECTIVES = ("accuracy", "macs")
KNOWN_COSTS = tuple(name for name, objective in OBJECTIVES.items() if objective.known_before_training)
"""Names of the costs that are known before a network is trained; multiply-adds come first."""
CONSTRAINABLE = tuple(
    objective.metric
    for name, objective in OBJECTIVES.items()
    if name != "accuracy" and not objective.known_before_training
)
"""Metrics that a soft constraint can limit: costs that only a measurement tells."""


@dataclass(frozen=True, slots=True)
class Score:
    """The figure that a search maximises, as people read it; records call it ``top1``, whatever it is.

    Args:
        name: name in tables and sentences, such as ``top-1``.
        axis: name along an axis.
        five: name of the figure that counts the five best.
    """

    name: str
    axis: str
    five: str = "top-5"


TOP1_SCORE = Score("top-1", "top-1 accuracy")
"""One label a clip: the share of clips whose best class is right."""
MEAN_AP_SCORE = Score("mAP", "mean average precision (mAP)")
"""Several labels a clip."""
ACTION_SCORE = Score("action top-1", "action top-1 accuracy", "action top-5")
"""A verb and a noun: the share of clips of which both are right."""


def score_of(measured: Iterable[Mapping[str, float]]) -> Score:
    """Return what the ``top1`` of measurements of one data set is: that follows from the figures beside it.

    Args:
        measured: metrics of measurements; the first that are not empty decide.
    """
    metrics: Mapping[str, float] = next(filter(None, measured), {})
    if MEAN_AP in metrics:
        return MEAN_AP_SCORE
    return ACTION_SCORE if VERB_TOP1 in metrics else TOP1_SCORE


def log_cost(value: float) -> float:
    """Return the natural logarithm of a cost, finite for a cost of zero too."""
    return math.log(max(value, LEAST_COST))


@dataclass(frozen=True)
class Objectives:
    """The objectives of a search and its soft constraints.

    Args:
        names: names of ``OBJECTIVES``, accuracy first.
        constraints: upper limits of measured metrics, by the metric's name.
    """

    names: tuple[str, ...] = DEFAULT_OBJECTIVES
    constraints: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> Objectives:
        """Return the objectives of a run, from the identity that its record keeps."""
        search = identity.get("search", {})
        return cls(tuple(search.get("objectives", DEFAULT_OBJECTIVES)), dict(search.get("constraints", {})))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric of each objective."""
        return tuple(OBJECTIVES[name].metric for name in self.names)

    @property
    def need_latency(self) -> bool:
        """Whether workers have to measure latency."""
        return "latency" in self.names or "latency_ms" in self.constraints

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Return every objective of a measurement, to minimise; NaN where it was not measured.

        Args:
            metrics: metrics of the measurement by their names in the record.
        """
        measured = [(OBJECTIVES[name], metrics.get(OBJECTIVES[name].metric, math.nan)) for name in self.names]
        return tuple(
            objective.to_minimise(value) if math.isfinite(value) else math.nan
            for objective, value in measured
        )

    def excess(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return, by constraint, the share of its limit by which a metric exceeds it; feasible at 0 or less.

        A metric that was not measured, or is no number, counts as twice its limit.
        """
        shares = {name: metrics.get(name, math.nan) / limit - 1 for name, limit in self.constraints.items()}
        return {name: share if math.isfinite(share) else 1.0 for name, share in shares.items()}

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Return the sum of the shares above limits; 0 if all constraints are met."""
        return sum(max(0.0, share) for share in self.excess(metrics).values())


ACCURACY_AND_MACS = Objectives()
"""Accuracy against multiply-adds, without constraints."""
