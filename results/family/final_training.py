"""The final trainings of a family: one that an unlucky seed left below a cheaper member is repeated."""

from __future__ import annotations

import math
from collections.abc import Sequence

from results.family.family import Family, FamilyMember
from search_space.architecture.architecture import Architecture
from searcher.plan.job_plan import JobOutcome
from searcher.run.session import Session

REPETITIONS = 2
"""Largest number of repetitions of a training, each with another seed."""


def train_members(session: Session, family: Family, clips: int) -> dict[str, JobOutcome]:
    """Train every single network of a family, and once or twice more what fell short.

    A member falls short if its training failed, or if it is right on fewer validation clips than a cheaper
    member by more than two standard errors of the difference. Of its trainings the one with the best
    validation score is kept; the split that finished networks are reported on decides nothing. What the
    record holds is not trained again.

    Args:
        session: session of the run.
        family: family whose members are trained.
        clips: number of clips of the validation split.

    Returns:
        The outcome that is kept, by the member's name.
    """
    kept = dict(zip((m.name for m in family.singles), _train(session, family.singles, 0), strict=True))
    for attempt in range(1, REPETITIONS + 1):
        short = falling_short(family.singles, kept, clips)
        if not short:
            break
        for member, outcome in zip(short, _train(session, short, attempt), strict=True):
            kept[member.name] = max(kept[member.name], outcome, key=_score)
    return kept


def falling_short(
    members: Sequence[FamilyMember], kept: dict[str, JobOutcome], clips: int
) -> list[FamilyMember]:
    """Return members, by rising cost, whose training failed or scored clearly less than a cheaper one's."""
    short: list[FamilyMember] = []
    best = 0.0
    for member in members:
        score = _score(kept[member.name])
        margin = 2 * math.sqrt(2 * best * (1 - best) / clips)
        if score < best - margin or score < 0:
            short.append(member)
        best = max(best, score)
    return short


def _train(session: Session, members: Sequence[FamilyMember], attempt: int) -> list[JobOutcome]:
    seed = session.settings.seed + attempt
    return session.train([session.job(Architecture.parse(m.architecture), seed=seed) for m in members])


def _score(outcome: JobOutcome) -> float:
    """Return top-1 on the validation split; less than any if the training failed."""
    return -1.0 if outcome.failed else outcome.measurement.metrics["top1"]
