"""What the search knows about one proposal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

CandidateState = Literal["open", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a candidate at a rung, and why, in words."""

    goes_on: bool
    reason: str


@dataclass(slots=True)
class Candidate:
    """One proposal of the search and what came of it so far.

    Args:
        number: proposals count from 0 in the order in which they were made.
        genotype: the choice of every gene.
        digest: of the architecture; no two candidates of a run share one.
        architecture: its text form.
        macs: multiply-adds of one clip.
        state: ``open`` until it failed, reached the last rung, or the search ended without it there.
        results: top-1 accuracy by epochs, for each rung that was measured.
        decisions: by epochs, for each rung that was decided.
        reason: why it failed, else empty.
    """

    number: int
    genotype: tuple[int, ...]
    digest: str
    architecture: str
    macs: int
    state: CandidateState = "open"
    results: dict[int, float] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    reason: str = ""

    @property
    def epochs(self) -> int:
        """The highest rung that was measured; 0 before the first."""
        return max(self.results, default=0)

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy at the highest rung that was measured."""
        return self.results[self.epochs] if self.results else None

    @property
    def waits(self) -> bool:
        """Whether it was held at a rung, from where it can still be promoted."""
        decision = self.decisions.get(self.epochs)
        return self.state == "open" and decision is not None and not decision.goes_on
