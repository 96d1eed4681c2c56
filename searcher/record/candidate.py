"""One proposal of the search: its state, its measurements, the decisions about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CandidateState = Literal["open", "complete", "pruned", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about a candidate at a rung.

    Args:
        promoted: whether it is trained up to the next rung; else it is held.
        reason: reason in words.
        was_held: whether it had been held before it was promoted.
        measured_before: number of measurements in the record when it was decided.
    """

    promoted: bool
    reason: str
    was_held: bool = False
    measured_before: int = 0


@dataclass(slots=True)
class Candidate:
    """One proposal of the search and its results so far.

    Args:
        number: number of the proposal, from 0 in the order in which they were made.
        genotype: choice of every gene; of a seed that the space has not, that of the nearest network.
        digest: digest of the architecture; no two candidates of a run share one.
        architecture: text form of the architecture.
        macs: multiply-adds of one clip.
        state: ``open`` until it failed, reached the last rung (``complete``), was still held below it when
            the search ended (``pruned``), or was stopped before it could be judged (``cancelled``).
        metrics: metrics of its measurements, by the epochs of each rung that was measured.
        decisions: decisions by the epochs of each rung that was decided.
        reason: reason why it failed or was cancelled, else empty.
        measured_before: number of measurements in the record when it was proposed.
        origin: where a seed of the search comes from; empty for what a strategy proposed.
        exact: whether the genotype is that of this very network.
    """

    number: int
    genotype: tuple[int, ...]
    digest: str
    architecture: str
    macs: int
    state: CandidateState = "open"
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    reason: str = ""
    measured_before: int = 0
    origin: str = ""
    exact: bool = True

    @property
    def epochs(self) -> int:
        """Epochs of the highest rung that was measured; 0 before the first."""
        return max(self.metrics, default=0)

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy at the highest rung that was measured."""
        return self.latest.get("top1")

    @property
    def latest(self) -> Mapping[str, float]:
        """Metrics at the highest rung that was measured; empty before the first."""
        return self.metrics.get(self.epochs, {})

    @property
    def waits(self) -> bool:
        """Whether it was held at a rung, from where it can still be promoted."""
        decision = self.decisions.get(self.epochs)
        return self.state == "open" and decision is not None and not decision.promoted
