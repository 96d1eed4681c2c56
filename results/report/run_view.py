"""What the report shows of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from results.family.family import Family
from results.family.outcome import MemberOutcome
from searcher.objectives import DEFAULT_OBJECTIVES, Objectives, Score, score_of
from searcher.plan.confirmation import Confirmed, longest_confirmation
from searcher.record import Measurement


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that the report shows; what does not exist yet is left out or said to be missing.

    Args:
        name: name of the run.
        measurements: all measurements of the record, in its order.
        settings: settings as they were resolved.
        environment: versions and machine.
        profile: description of the search space, as a mapping or as text.
        family: family that was chosen, if any.
        outcomes: outcomes of the family's members by name.
        next_commands: commands to type next.
        references: accuracies (fractions) of horizontal lines in the frontier plot, by label.
        seconds: wall time of the run so far, in seconds.
        finished: date and time of the page, in words.
        objectives: names of the search's objectives, which draw the frontiers and the hypervolume.
        constraints: upper limits of metrics by name, which feasible networks keep.
        runs: measurements of each run by name, if several are merged.
        published: whether the released networks are drawn over the frontier.
        origins: where the networks come from that the search began with, in words, by digest.
        pilot: findings of the pilot, and the plan that follows from them, in words; empty if there was none.
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
    origins: Mapping[str, str] = field(default_factory=dict)
    pilot: str = ""

    def confirmed(self) -> tuple[Confirmed, ...]:
        """Return the candidates of the longest confirmation, compared in the objectives that are shown."""
        objectives = Objectives(tuple(self.objectives), self.constraints)
        return longest_confirmation(self.measurements, objectives)

    @property
    def score(self) -> Score:
        """What the run's measurements hold as ``top1``."""
        return score_of(measurement.metrics for measurement in self.measurements)

    @property
    def trained(self) -> dict[str, float]:
        """Score after the final training by the member's name, as far as there is one."""
        return {name: o.metrics["top1"] for name, o in self.outcomes.items() if "top1" in o.metrics}
