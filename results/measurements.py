"""What this room reads of a run's record: the shape of one measurement, and which of them count.

The record is written by the searcher; these protocols say what is used of it, so that plots, tables and
families can be made from any list of measurements, one run's or several merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol


class FidelityLike(Protocol):
    """How thoroughly a network was trained before it was measured."""

    @property
    def key(self) -> str:
        """One word that identifies the fidelity, such as ``e4-f16-s48-p100``."""

    @property
    def epochs(self) -> int:
        """Passes over the training data."""

    @property
    def frames(self) -> int:
        """Frames of a clip."""

    @property
    def size(self) -> int:
        """Height and width of a frame in pixels."""

    @property
    def share(self) -> float:
        """Share of the training data, in (0, 1]."""


class MeasurementLike(Protocol):
    """One entry of the record: an architecture at a fidelity with a seed, and what came out."""

    @property
    def digest(self) -> str:
        """Identity of the architecture."""

    @property
    def architecture(self) -> str:
        """The architecture's one-line text."""

    @property
    def fidelity(self) -> FidelityLike:
        """How thoroughly it was trained."""

    @property
    def seed(self) -> int:
        """Seed of the training."""

    @property
    def purpose(self) -> str:
        """``search``, ``confirmation`` or ``family``."""

    @property
    def status(self) -> str:
        """``complete``, ``pruned``, ``failed`` or ``cancelled``."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """top1 and top5 (fractions), loss, macs, parameters, state_bytes, activation_bytes."""

    @property
    def seconds(self) -> float:
        """What the measurement took."""

    @property
    def reason(self) -> str:
        """Why it failed or was stopped; empty if it was not."""


def is_measured(measurement: MeasurementLike) -> bool:
    """Whether it has an accuracy at its fidelity: finished, or stopped after being evaluated there."""
    metrics = measurement.metrics
    return measurement.status in {"complete", "pruned"} and "top1" in metrics and metrics.get("macs", 0) > 0


def fidelity_order(fidelity: FidelityLike) -> tuple[float, ...]:
    """Sorts fidelities from the cheapest to the most thorough."""
    return (fidelity.epochs * fidelity.share, fidelity.epochs)


def schedule(key: str) -> str:
    """What two fidelities must share to be compared: the epochs and the share of the data, ``e4-p100``.

    The clip is not part of it: every network is trained on the one that it is made for, whose cost is in its
    multiply-adds.
    """
    return "-".join(part for part in key.split("-") if part[0] in "ep")


def fidelities(measurements: Iterable[MeasurementLike]) -> list[FidelityLike]:
    """One fidelity for each schedule of measured candidates, from the cheapest to the most thorough."""
    distinct = {schedule(m.fidelity.key): m.fidelity for m in measurements if is_measured(m)}
    return sorted(distinct.values(), key=fidelity_order)


def of_purpose(measurements: Iterable[MeasurementLike], purpose: str) -> list[MeasurementLike]:
    """The measurements made for ``purpose``, in the record's order."""
    return [m for m in measurements if m.purpose == purpose]
