"""Which measurements of a run's record count, and which can be compared.

Plots, tables and families are made from any list of measurements, one run's or several merged.
"""

from __future__ import annotations

from collections.abc import Iterable

from searcher.record import Fidelity, Measurement


def is_measured(measurement: Measurement) -> bool:
    """Return whether a measurement has an accuracy and a cost."""
    metrics = measurement.metrics
    return measurement.status == "complete" and "top1" in metrics and metrics.get("macs", 0) > 0


def thoroughness(fidelity: Fidelity) -> tuple[float, ...]:
    """Return a key that sorts fidelities from the cheapest to the most thorough."""
    return (fidelity.epochs * fidelity.share * fidelity.width, fidelity.epochs)


def schedule(key: str) -> str:
    """Return what two fidelities share if they can be compared: epochs, shares, weights: ``e4-p100``.

    The clip is not part of it: every network is trained on the one that it is made for, whose cost is in its
    multiply-adds.
    """
    return "-".join(part for part in key.split("-") if part[0] in "epwit")


def fidelities(measurements: Iterable[Measurement]) -> list[Fidelity]:
    """Return a fidelity of each schedule that was measured, from the cheapest to the most thorough."""
    distinct = {schedule(m.fidelity.key): m.fidelity for m in measurements if is_measured(m)}
    return sorted(distinct.values(), key=thoroughness)


def of_purpose(measurements: Iterable[Measurement], purpose: str) -> list[Measurement]:
    """Return the measurements made for ``purpose``, in the record's order."""
    return [m for m in measurements if m.purpose == purpose]
