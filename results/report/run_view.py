"""What the report shows of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from results.family.family import Family
from results.family.outcome import MemberOutcome
from searcher.objectives import DEFAULT_OBJECTIVES
from searcher.record import Measurement


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that the report shows; what is not there yet is left out or said to be missing.

    Args:
        name: of the run.
        measurements: all of the record, in its order.
        settings: as resolved.
        environment: versions, machine.
        profile: of the search space, as a mapping or as text.
        family: as chosen.
        outcomes: by the member's name.
        next_commands: what to type next, one command each.
        references: horizontal lines in the frontier plot, label -> accuracy (a fraction).
        seconds: wall time of the run so far.
        finished: when, in words.
        objectives: names of the search's objectives, which draw the frontiers and the hypervolume.
        constraints: upper limits of metrics by name, which feasible networks keep.
        runs: the measurements of each run by name, where several are merged.
        published: whether the released networks are laid over the frontier.
    """

    name: str
    measurements: Sequence[Measurement]
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    profile: Mapping[str, object] | str = ""
    family: Family | None = None
    outcomes: Mapping[str, MemberOutcome] = field(default_factory=dict)
    next_commands: Sequence[str] = ()
    references: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    finished: str = ""
    objectives: Sequence[str] = DEFAULT_OBJECTIVES
    constraints: Mapping[str, float] = field(default_factory=dict)
    runs: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
    published: bool = False

    @property
    def trained(self) -> dict[str, float]:
        """Top-1 after the final training by the member's name, as far as there is one."""
        return {name: o.metrics["top1"] for name, o in self.outcomes.items() if "top1" in o.metrics}
