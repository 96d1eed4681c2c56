"""The trainings of a pilot and their results, read from the record alone.

A seed says what a training was for: whole trainings of growing length have the run's seed and those after it,
the others stand far from these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proxy_train.measurement import Measurement

LONG = 1000
"""Offset of the seed of the long training, which is measured on its way."""
RATES: Mapping[float, int] = {0.1: 2000, 0.01: 2001, 0.001: 2002, 10.0: 2003, 100.0: 2004}
"""Offsets of the seeds of trainings at other learning rates, by the factor of the rate."""
_DIVERGED = re.compile(r"\bloss is (nan|-?inf)")
_FAR_ABOVE = 1.5
"""An epoch's training loss of so many times that of constant outputs counts as diverged. The last epochs of a
schedule, whose rate goes to 0, may be calm all the same."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A training of the pilot.

    Args:
        network: number of the network, the cheapest first.
        epochs: length of its schedule.
        offset: seed less the run's.
        rate: factor of the recipe's learning rate.
        rungs: epochs at which it is measured, the last one its length; by default only that.
    """

    network: int
    epochs: int
    offset: int = 0
    rate: float = 1.0
    rungs: tuple[int, ...] = ()

    @property
    def measured_at(self) -> tuple[int, ...]:
        """Epochs at which it is measured."""
        return self.rungs or (self.epochs,)


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement of the pilot.

    Args:
        epochs: epochs of training.
        accuracy: accuracy on the validation split, a fraction; None if the training failed.
        loss: loss on the validation split.
        train_loss: mean loss of the last epoch, with label smoothing; None if it is not known.
        peak_loss: mean loss of the worst epoch, with label smoothing; None if it is not known.
        seconds: seconds of training and evaluation.
        epoch_seconds: seconds of an epoch, with its part of the evaluation.
        diverged: whether the loss was no number, or far above that of constant outputs.
        reason: reason of a failure.
    """

    epochs: int
    accuracy: float | None
    loss: float | None
    train_loss: float | None
    peak_loss: float | None
    seconds: float
    epoch_seconds: float
    diverged: bool
    reason: str = ""

    @classmethod
    def of(cls, measurement: Measurement, entropy: float) -> Result:
        """Return the result that a measurement holds.

        Args:
            measurement: measurement of purpose ``pilot``.
            entropy: loss of the best constant outputs.
        """
        metrics = measurement.metrics
        peak = metrics.get("peak_loss")
        return cls(
            measurement.fidelity.epochs,
            metrics.get("top1"),
            metrics.get("loss"),
            metrics.get("train_loss"),
            peak,
            measurement.seconds,
            metrics.get("epoch_seconds", measurement.seconds / measurement.fidelity.epochs),
            bool(_DIVERGED.search(measurement.reason)) or (peak is not None and peak > _FAR_ABOVE * entropy),
            measurement.reason,
        )


@dataclass(frozen=True)
class Results:
    """The results of a pilot, by network, offset of the seed, and epochs.

    Args:
        by_training: results by epochs, of each network and offset.
    """

    by_training: Mapping[tuple[int, int], Mapping[int, Result]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, measurements: Sequence[Measurement], networks: Sequence[str], seed: int, entropy: float
    ) -> Results:
        """Read the results of a record.

        Args:
            measurements: measurements of any purpose and status; failures that are no divergence do not
                count, so that they are tried again.
            networks: digests of the pilot's networks.
            seed: seed of the run.
            entropy: loss of the best constant outputs.
        """
        number = {digest: place for place, digest in enumerate(networks)}
        found: dict[tuple[int, int], dict[int, Result]] = {}
        for measurement in measurements:
            if measurement.purpose != "pilot" or measurement.digest not in number:
                continue
            result = Result.of(measurement, entropy)
            if measurement.status == "complete" or result.diverged:
                key = number[measurement.digest], measurement.seed - seed
                found.setdefault(key, {})[measurement.fidelity.epochs] = result
        return cls(found)

    def of_trial(self, trial: Trial) -> Sequence[Result]:
        """Return the results of a training so far, the shortest first."""
        results = self.by_training.get((trial.network, trial.offset), {})
        # A long training that diverged did so on the way to the next of its measurements.
        return [results[epochs] for epochs in trial.measured_at if epochs in results]

    def whole(self, epochs: int | None = None) -> Iterator[tuple[int, int, Result]]:
        """Yield network, offset and result of the whole trainings, of one length or of all."""
        for (network, offset), results in sorted(self.by_training.items()):
            for result in (results[length] for length in sorted(results)):
                if offset < LONG and epochs in (None, result.epochs):
                    yield network, offset, result

    def spent(self, networks_costs: Sequence[float], without: int | None = None) -> float:
        """Return the epochs that were spent, each weighted by its network's relative cost.

        Args:
            networks_costs: relative cost of each network.
            without: offset of trainings that do not count.
        """
        total = 0.0
        for (network, offset), results in self.by_training.items():
            # A long training is measured on its way; the others are whole trainings, each with its own.
            lengths = [max(results)] if offset >= LONG else list(results)
            if offset != without:
                total += sum(lengths) * networks_costs[network]
        return total

    @property
    def seconds(self) -> float:
        """Seconds of all trainings."""
        return sum(
            max(result.seconds for result in results.values())
            if offset >= LONG
            else sum(result.seconds for result in results.values())
            for (_, offset), results in self.by_training.items()
        )
