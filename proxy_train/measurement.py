"""The result of trying a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from proxy_train.fidelity import Fidelity

Purpose = Literal["search", "confirmation", "family", "validity", "pilot", "supernet"]
Status = Literal["complete", "failed", "cancelled"]
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One training of one network at one fidelity with one seed; a failure is a measurement too.

    Args:
        digest: digest of the architecture.
        architecture: text form of the architecture.
        fidelity: the fidelity that was spent.
        seed: seed of the training.
        purpose: the part of a run that asked for it.
        status: ``complete`` has metrics, ``failed`` and ``cancelled`` have a ``reason``.
        metrics: top1, top5 (fractions), loss, macs, parameters, state_bytes, activation_bytes; empty if it
            failed. With several labels a clip, top1 is the mean average precision, and mean_ap as well. In a
            pilot also train_loss and peak_loss, the mean training losses of the last and of the worst epoch,
            and epoch_seconds.
        seconds: wall-clock time of training and evaluation.
        reason: reason of a failure or cancellation, else empty.
    """

    digest: str
    architecture: str
    fidelity: Fidelity
    seed: int
    purpose: Purpose
    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""

    @property
    def key(self) -> Key:
        """The identity of the experiment: architecture, fidelity, seed."""
        return self.digest, self.fidelity.key, self.seed


def mean_metrics(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every metric that all of some trainings have.

    Args:
        measured: metrics of each training, at least one.
    """
    names = [name for name in measured[0] if all(name in metrics for metrics in measured)]
    return {name: float(np.mean([metrics[name] for metrics in measured])) for name in names}
