"""Which measurements of a run's record count, and which can be compared.

Plots, tables and families are made from any list of measurements, one run's or several merged.
"""

from __future__ import annotations

from collections.abc import Iterable

from searcher.record.frame import FidelityLike, MeasurementLike

__all__ = [
    "FidelityLike",
    "MeasurementLike",
    "fidelities",
    "fidelity_order",
    "is_measured",
    "of_purpose",
    "schedule",
]


def is_measured(measurement: MeasurementLike) -> bool:
    """Whether it has an accuracy at its fidelity: finished, or stopped after being evaluated there."""
    metrics = measurement.metrics
    return measurement.status in {"complete", "pruned"} and "top1" in metrics and metrics.get("macs", 0) > 0


def fidelity_order(fidelity: FidelityLike) -> tuple[float, ...]:
    """Sorts fidelities from the cheapest to the most thorough."""
    width = getattr(fidelity, "width", 1.0)
    return (fidelity.epochs * fidelity.share * width, fidelity.epochs)


def schedule(key: str) -> str:
    """What two fidelities must share to be compared: epochs, share of the data and of the width, ``e4-p100``.

    The clip is not part of it: every network is trained on the one that it is made for, whose cost is in its
    multiply-adds.
    """
    return "-".join(part for part in key.split("-") if part[0] in "epw")


def fidelities(measurements: Iterable[MeasurementLike]) -> list[FidelityLike]:
    """One fidelity for each schedule of measured candidates, from the cheapest to the most thorough."""
    distinct = {schedule(m.fidelity.key): m.fidelity for m in measurements if is_measured(m)}
    return sorted(distinct.values(), key=fidelity_order)


def of_purpose(measurements: Iterable[MeasurementLike], purpose: str) -> list[MeasurementLike]:
    """The measurements made for ``purpose``, in the record's order."""
    return [m for m in measurements if m.purpose == purpose]
