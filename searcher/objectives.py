"""What a search is for: its objectives and soft constraints, as the record's metrics tell them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from searcher.record.candidate import Candidate
from searcher.strategies.domain import KNOWN_COSTS, objective_value

DEFAULT = ("accuracy", "macs")
METRICS: Mapping[str, str] = {"accuracy": "top1", "latency": "latency_ms"} | {
    name: name for name in KNOWN_COSTS
}
"""The metric in which the record has an objective."""
MEASURED = ("latency_ms",)
"""Metrics that a soft constraint can limit: those that are not known before a measurement."""


@dataclass(frozen=True)
class Objectives:
    """The objectives of a search and its soft constraints.

    Args:
        names: of ``searcher.strategies.domain.OBJECTIVES``, accuracy first.
        constraints: the most that a measured metric may be, by the metric's name.
    """

    names: tuple[str, ...] = DEFAULT
    constraints: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> Objectives:
        """Those of a run, from the identity that its record keeps."""
        search = identity.get("search", {})
        return cls(tuple(search.get("objectives", DEFAULT)), dict(search.get("constraints", {})))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric of each objective."""
        return tuple(METRICS[name] for name in self.names)

    @property
    def need_latency(self) -> bool:
        """Whether workers have to measure it."""
        return "latency" in self.names or "latency_ms" in self.constraints

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Every objective as ``objective_value`` gives it, to minimise; NaN if missing."""
        found = (metrics.get(METRICS[name], math.nan) for name in self.names)
        return tuple(
            objective_value(name, value) if math.isfinite(value) else math.nan
            for name, value in zip(self.names, found, strict=True)
        )

    def excess(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """By constraint, the share of its limit by which a metric is above it; 0 or less is feasible.

        A metric that was not measured, or is no number, counts as twice its limit.
        """
        found = {name: metrics.get(name, math.nan) / limit - 1 for name, limit in self.constraints.items()}
        return {name: value if math.isfinite(value) else 1.0 for name, value in found.items()}

    def violation(self, metrics: Mapping[str, float]) -> float:
        """The sum of what is above limits; 0 if all constraints are met."""
        return sum(max(0.0, value) for value in self.excess(metrics).values())

    def latest(self, candidate: Candidate) -> tuple[float, ...] | None:
        """A candidate's values at the highest rung that it was measured at; None before the first."""
        return self.values(candidate.latest) if candidate.metrics else None


TWO = Objectives()
"""Accuracy against multiply-adds, without constraints."""
