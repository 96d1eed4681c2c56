"""A member whose training ended badly is trained again, and what scored best is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement, Status
from results.family.family import Family, FamilyMember
from results.family.final_training import train_members
from search_space.architecture.architecture import Architecture
from searcher.plan.job import Job
from searcher.plan.job_plan import JobOutcome
from searcher.run.session import Session
from tests.results.synthetic import architecture

SEED, CLIPS = 7, 320
NETWORKS = tuple(architecture(expansion=width) for width in (16, 24, 32))
FAMILY = Family(
    tuple(
        FamilyMember(name, each.text, each.digest, macs=number, accuracy=0.9, spread=0, seeds=2,
                     parameters=1, state_bytes=1)
        for number, (name, each) in enumerate(zip(("A0", "A1", "A2"), NETWORKS, strict=True))
    )
)  # fmt: skip


class Trainings:
    """A session whose trainings end as they are told to: scores by network and attempt, None if they fail."""

    def __init__(self, scores: dict[str, list[float | None]]) -> None:
        self.settings = SimpleNamespace(seed=SEED)
        self.scores = scores
        self.trained: list[tuple[str, int]] = []

    def job(self, network: Architecture, *, seed: int) -> Job:
        return Job(network, Fidelity(3, 8, 16), seed, "family", Path("nowhere"))

    def train(self, jobs: Sequence[Job]) -> list[JobOutcome]:
        return [self._ended(job) for job in jobs]

    def _ended(self, job: Job) -> JobOutcome:
        network = job.architecture
        name = next(m.name for m in FAMILY.members if m.digest == network.digest)
        self.trained.append((name, job.seed))
        score = self.scores[name][job.seed - SEED]
        ended: Status = "failed" if score is None else "complete"
        metrics = {} if score is None else {"top1": score}
        return JobOutcome(
            job, Measurement(network.digest, network.text, job.fidelity, job.seed, "family", ended, metrics)
        )


@pytest.mark.parametrize(
    ("scores", "kept", "trainings"),
    [
        ({"A0": [0.7], "A1": [0.8], "A2": [0.9]}, {"A0": 0, "A1": 0, "A2": 0}, 3),
        # The second attempt is good enough; A2 never fell short.
        ({"A0": [0.7], "A1": [0.5, 0.8], "A2": [0.9]}, {"A0": 0, "A1": 1, "A2": 0}, 4),
        # None is good enough: the best of all three, here the second.
        ({"A0": [0.7], "A1": [0.5, 0.6, 0.4], "A2": [0.9]}, {"A0": 0, "A1": 1, "A2": 0}, 5),
        # Worse than the middle one by less than what 320 clips can tell.
        ({"A0": [0.7], "A1": [0.98], "A2": [0.97]}, {"A0": 0, "A1": 0, "A2": 0}, 3),
        ({"A0": [None, 0.6], "A1": [0.7], "A2": [0.8]}, {"A0": 1, "A1": 0, "A2": 0}, 4),
    ],
)
def test_what_falls_short_is_trained_again(
    scores: dict[str, list[float | None]], kept: dict[str, int], trainings: int
) -> None:
    session = Trainings(scores)
    found = train_members(cast(Session, session), FAMILY, CLIPS)
    assert {name: each.job.seed - SEED for name, each in found.items()} == kept
    assert len(session.trained) == trainings


def test_a_network_that_always_fails_stays_failed() -> None:
    session = Trainings({"A0": [0.7], "A1": [None, None, None], "A2": [0.9]})
    found = train_members(cast(Session, session), FAMILY, CLIPS)
    assert found["A1"].failed and not found["A2"].failed
    assert [name for name, _ in session.trained].count("A1") == 3
