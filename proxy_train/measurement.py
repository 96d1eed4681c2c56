"""What is known about a candidate after it was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy_train.fidelity import Fidelity

Purpose = Literal["search", "confirmation", "family", "validity"]
Status = Literal["complete", "pruned", "failed", "cancelled"]
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One training of one network at one fidelity with one seed; a failure is a measurement too.

    Args:
        digest: of the architecture.
        architecture: its text form.
        fidelity: what was spent; for a pruned candidate, what it had reached.
        seed: of the training.
        purpose: which part of a run asked for it.
        status: ``failed`` has a ``reason``; ``pruned``, in older records, has valid metrics too.
        metrics: top1, top5 (fractions), loss, macs, parameters, state_bytes, activation_bytes; empty if it
            failed. With several labels a clip, top1 is the mean average precision, and mean_ap as well.
        seconds: of training and evaluation, wall clock.
        reason: why it failed or was cancelled, else empty.
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
        """What makes it the same experiment as another: architecture, fidelity, seed."""
        return self.digest, self.fidelity.key, self.seed
