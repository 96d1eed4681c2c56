"""What the search knows about one proposal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CandidateState = Literal["open", "complete", "pruned", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a candidate at a rung.

    Args:
        goes_on: to the next rung; else it is held.
        reason: why, in words.
        later: whether it had been held before.
        known: how many measurements the record held when it was decided.
    """

    goes_on: bool
    reason: str
    later: bool = False
    known: int = 0


@dataclass(slots=True)
class Candidate:
    """One proposal of the search and what came of it so far.

    Args:
        number: proposals count from 0 in the order in which they were made.
        genotype: the choice of every gene.
        digest: of the architecture; no two candidates of a run share one.
        architecture: its text form.
        macs: multiply-adds of one clip.
        state: ``open`` until it failed, reached the last rung (``complete``), was still held below it when
            the search ended (``pruned``), or was stopped before it could be judged (``cancelled``).
        metrics: of its measurements by epochs, for each rung that was measured.
        decisions: by epochs, for each rung that was decided.
        reason: why it failed or was cancelled, else empty.
        known: how many measurements the record held when it was proposed.
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
    known: int = 0

    @property
    def epochs(self) -> int:
        """The highest rung that was measured; 0 before the first."""
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
        return self.state == "open" and decision is not None and not decision.goes_on
