"""The members of a run's confirmation: at once, or in two halves where candidates share weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from search_space.architecture.architecture import Architecture
from searcher.plan.confirmation import choose_members
from searcher.plan.confirmation_plan import MOST_SEEDS, ConfirmationPlan, LaterMembers, Member
from searcher.plan.events import OnEvent
from searcher.plan.job import Job
from searcher.plan.two_fidelities import next_members
from searcher.record.candidate import Candidate
from searcher.record.records import Records
from searcher.settings.settings import Settings
from searcher.strategies.space_domain import SpaceDomain


class TrainingOf(Protocol):
    """A function that returns the confirmation training of a network with a seed."""

    def __call__(self, architecture: Architecture, *, seed: int) -> Job: ...


def confirmation_plan(
    settings: Settings, records: Records, domain: SpaceDomain, training: TrainingOf, on_event: OnEvent
) -> ConfirmationPlan:
    """Return the plan of a run's confirmation.

    Candidates that were trained on their own are chosen at once. Those that were measured with shared weights
    are chosen in two halves: what the trainings of the first half tell decides about the second.

    Args:
        settings: settings of the run.
        records: record of the run, open for writing.
        domain: domain of the search.
        training: trainings of the confirmation.
        on_event: function that receives every start and measurement.
    """
    part, objectives, candidates = settings.confirmation, records.objectives, records.candidates()
    able = len(choose_members(candidates, part.members, objectives))
    in_halves = settings.supernet is not None and able == part.members
    first = choose_members(candidates, (able + 1) // 2 if in_halves else able, objectives)
    later = able - len(first)

    def members(chosen: Sequence[Candidate]) -> list[Member]:
        return [
            Member(
                [
                    training(Architecture.parse(candidate.architecture), seed=settings.seed + 1 + number)
                    for number in range(MOST_SEEDS * part.seeds)
                ],
                candidate.latest,
            )
            for candidate in chosen
        ]

    def choose_later(confirmed: Mapping[str, Mapping[str, float]]) -> list[Member]:
        taken = {each.digest for each in first}
        others = [each for each in candidates if each.digest not in taken]
        # What an earlier session has begun to confirm comes first.
        known = {each.digest for each in records.measurements("confirmation")}
        begun = [each for each in others if each.digest in known][:later]
        # Of the first members, those that could be trained tell of the others.
        left = [each for each in candidates if each.digest in confirmed or each.digest not in taken | known]
        return members([*begun, *next_members(left, confirmed, later - len(begun), domain, objectives)])

    return ConfirmationPlan(
        records,
        domain.space.classes,
        members(first),
        part.seeds * able,
        later=LaterMembers(later, choose_later) if later else None,
        workers=settings.search.workers,
        on_event=on_event,
    )
