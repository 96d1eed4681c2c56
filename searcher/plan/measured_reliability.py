"""The reliability of a record's measurements, for each kind of training that was repeated."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from proxy_train.measurement import Measurement, Purpose
from searcher.plan.job import REPEATS, TOP1_STD
from searcher.record.trials import succeeded
from searcher.reliability import LEAST_RELIABILITY, Reliability, TrainingResult, reliability

NOISE_REMEDY = (
    f"the frontier is mostly noise at like cost (a reliability below {LEAST_RELIABILITY}): train longer"
    " (search.rungs, confirmation.epochs), with more seeds (search.repeats, confirmation.seeds), or on"
    " more validation clips"
)
"""What a reliability below ``LEAST_RELIABILITY`` means, and what to do about it."""


@dataclass(frozen=True, slots=True)
class MeasuredReliability:
    """The reliability of the trainings of one kind.

    Args:
        purpose: part of the run that asked for the trainings.
        epochs: epochs of each training.
        share: share of the training clips.
        width: share of the networks' channels.
        reliability: reliability of one such training, or of the mean if every network has ``repeats``.
        repeats: number of trainings whose mean is a measurement.
    """

    purpose: Purpose
    epochs: int
    share: float
    width: float
    reliability: Reliability
    repeats: int = 1

    @property
    def kind(self) -> str:
        """Kind of training in words, such as ``confirmation, 12 epochs, 50 % of the clips``."""
        words = f"{self.purpose}, {self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        for part, name in ((self.share, "clips"), (self.width, "channels")):
            words += "" if part == 1 else f", {100 * part:g} % of the {name}"
        return words if self.repeats == 1 else f"{words}, means of {self.repeats}"

    def text(self) -> str:
        """Return a line for a terminal; it says so if the measurements are mostly noise."""
        return reliability_line(self.kind, self.reliability)


def reliability_line(kind: str, found: Reliability) -> str:
    """Return a reliability in one line for a terminal, with what to do if the measurements are mostly noise.

    Args:
        kind: kind of training in words.
        found: reliability of one such training.
    """
    words = (
        f"reliability ({kind}): {found.text()}, {100 * found.seed_deviation:.1f} points between seeds,"
        f" {found.networks} networks, {found.trainings} trainings"
    )
    return f"{words}; {NOISE_REMEDY}" if found.mostly_noise else words


def measured_reliabilities(measurements: Iterable[Measurement]) -> tuple[MeasuredReliability, ...]:
    """Return the reliability of each kind of training that was repeated, the most thorough last.

    A kind is a purpose with its epochs and its shares of clips and channels. Frames and size are not part of
    it: each network is trained on the clip that it is made for.

    Args:
        measurements: measurements of any purpose and status; only those with an accuracy and a cost count,
            and the last of those that differ in nothing.
    """
    kinds: dict[tuple[Purpose, int, float, float, int], dict[tuple[str, int], list[TrainingResult]]] = {}
    for measurement in measurements:
        top1, macs = (measurement.metrics.get(name, math.nan) for name in ("top1", "macs"))
        if not (succeeded(measurement) and 0 <= top1 <= 1 and 0 < macs < math.inf):
            continue
        at = measurement.fidelity
        # One network on two clips is two networks here: only the seed may differ between trainings of one.
        network = f"{measurement.digest}-f{at.frames}-s{at.size}"
        repeats = int(measurement.metrics.get(REPEATS, 1))
        kind = kinds.setdefault((measurement.purpose, at.epochs, at.share, at.width, repeats), {})
        kind[network, measurement.seed] = [
            TrainingResult(network, macs, accuracy)
            for accuracy in _accuracies(top1, measurement.metrics.get(TOP1_STD, 0.0), repeats)
        ]
    found = [
        MeasuredReliability(purpose, epochs, share, width, estimate.of_mean(repeats), repeats)
        for (purpose, epochs, share, width, repeats), trainings in kinds.items()
        if (estimate := reliability([each for alike in trainings.values() for each in alike])) is not None
    ]
    return tuple(sorted(found, key=lambda each: (each.epochs * each.share * each.width, each.epochs)))


def _accuracies(mean: float, deviation: float, count: int) -> list[float]:
    """Return accuracies of that mean and sample deviation, evenly spread: what a mean of repeats tells."""
    if count == 1:
        return [mean]
    places = np.linspace(-1, 1, count)
    spread: list[float] = (mean + deviation * places / places.std(ddof=1)).clip(0, 1).tolist()
    return spread
