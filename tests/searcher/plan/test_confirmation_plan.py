"""The confirmation spends its trainings where the frontier is undecided, however it is interrupted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.confirmation import equal, front, in_use, score
from proxy_train.fidelity import Fidelity
from proxy_train.training.updates import Diverged
from searcher.plan.confirmation import Confirmed, longest_confirmation
from searcher.plan.confirmation_plan import MOST_SEEDS, ConfirmationPlan, Member, most_telling
from searcher.plan.events import Event, Started
from searcher.plan.front_posterior import Contender
from searcher.plan.job import EpochResult, EvaluatorSpec, Job, job_folder
from searcher.plan.job_plan import JobPlan
from searcher.record.records import Records
from searcher.strategies.space_domain import known_costs
from searcher.testing.domains import SPACE
from tests.searcher.serial import run_serially

EPOCHS, CLASSES = 3, 16
NETWORKS = SPACE.sample_distinct(np.random.default_rng(5), 6, *SPACE.macs_range())


class Noisy:
    """Accuracies that rise with the cost and differ by seed; members that are named in ``broken`` diverge.

    Args:
        log: file that collects a line for each epoch.
        deviation: standard deviation between seeds, in logits.
        broken: digests of networks that diverge in their first epoch.
    """

    def __init__(self, log: str, deviation: float, broken: tuple[str, ...] = ()) -> None:
        self._log, self._deviation, self._broken = Path(log), deviation, broken

    def __call__(self, job: Job) -> Iterator[EpochResult]:
        job.folder.mkdir(parents=True, exist_ok=True)
        state = job.folder / "epoch"
        for epoch in range(int(state.read_text()) + 1 if state.exists() else 1, job.fidelity.epochs + 1):
            if job.architecture.digest in self._broken:
                raise Diverged("the loss is nan")
            with self._log.open("a") as file:
                file.write(f"{job.name} {epoch}\n")
            state.write_text(str(epoch))
            metrics = {"top1": self._accuracy(job)} if epoch in job.rungs else None
            yield EpochResult(epoch, 1.0, metrics)

    def _accuracy(self, job: Job) -> float:
        rng = np.random.default_rng([int(job.architecture.digest, 16) % 2**32, job.seed])
        cost = known_costs(job.architecture, CLASSES)["macs"]
        logit = 0.5 * math.log(cost / 1e5) + self._deviation * rng.normal()
        return 1 / (1 + math.exp(-logit))


def noisy(folder: Path, deviation: float = 0.4, broken: tuple[str, ...] = ()) -> EvaluatorSpec:
    arguments = {"log": str(folder / "log"), "deviation": deviation, "broken": broken}
    return EvaluatorSpec("tests.searcher.plan.test_confirmation_plan:Noisy", arguments)


def members(folder: Path, seeds: int) -> list[Member]:
    """Six networks with all the trainings that they may have."""
    return [
        Member(
            [
                Job(
                    network,
                    Fidelity(EPOCHS, network.input.frames, network.input.size),
                    1 + number,
                    "confirmation",
                    job_folder(folder, network.digest, 1 + number, "confirmation", epochs=EPOCHS),
                )
                for number in range(MOST_SEEDS * seeds)
            ],
            {"top1": 0.5, **known_costs(network, CLASSES)},
        )
        for network in NETWORKS
    ]


def confirm(
    folder: Path,
    evaluator: EvaluatorSpec,
    *,
    seeds: int = 2,
    workers: int = 1,
    stop_after: int | None = None,
    events: list[Event] | None = None,
) -> ConfirmationPlan:
    """Open the run, and train what is missing."""
    with Records.writing(folder / "run", {}) as records:
        plan = ConfirmationPlan(
            records,
            CLASSES,
            members(folder / "run", seeds),
            seeds * len(NETWORKS),
            on_event=(lambda _: None) if events is None else events.append,
        )
        run_serially(plan, evaluator, workers, stop_after)
        return plan


def found(folder: Path) -> tuple[Confirmed, ...]:
    return longest_confirmation(Records.reading(folder / "run").measurements())


def counts(folder: Path) -> Counter[str]:
    return Counter(each.digest for each in Records.reading(folder / "run").measurements("confirmation"))


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_all_trainings_are_spent_one_each_and_the_others_where_they_tell(
    tmp_path: Path, workers: int
) -> None:
    plan = confirm(tmp_path, noisy(tmp_path), seeds=3, workers=workers)
    spent = counts(tmp_path)
    assert spent.total() == 18 and len(spent) == 6
    assert min(spent.values()) >= 1 and max(spent.values()) <= 9
    assert len(set(spent.values())) > 1, "not all members are equally undecided"
    cheapest = found(tmp_path)[0]
    assert cheapest.chance == 1 and cheapest.on_frontier
    at = plan.progress()
    assert (at.phase, at.planned, at.done, at.running, at.failed) == ("confirmation", 18, 18, 0, 0)
    assert at.seconds_left == 0


def test_the_most_expensive_members_start_first(tmp_path: Path) -> None:
    events: list[Event] = []
    confirm(tmp_path, noisy(tmp_path), workers=6, events=events)
    first = [event.digest for event in events if isinstance(event, Started)][:6]
    costs = {network.digest: known_costs(network, CLASSES)["macs"] for network in NETWORKS}
    assert first == sorted(costs, key=lambda digest: -costs[digest])


def test_it_goes_on_from_any_epoch_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    confirm(tmp_path / "whole", noisy(tmp_path))
    whole = Records.reading(tmp_path / "whole" / "run").measurements()
    log = (tmp_path / "log").read_text()
    for stop in (1, 5, 16, 20, 29, 35):
        folder = tmp_path / str(stop)
        folder.mkdir()
        confirm(folder, noisy(folder), stop_after=stop)
        at = confirm(folder, noisy(folder), stop_after=2).progress()
        assert at.planned == 12 and at.seconds_left == max(0, 12 * EPOCHS - stop - 2)
        confirm(folder, noisy(folder))
        again = Records.reading(folder / "run").measurements()
        assert [replace(each, seconds=0) for each in again] == [replace(each, seconds=0) for each in whole]
        assert (folder / "log").read_text() == log, "no epoch was trained twice"


def test_what_was_left_unfinished_is_finished_first(tmp_path: Path) -> None:
    confirm(tmp_path, noisy(tmp_path), stop_after=6 * EPOCHS)
    with Records.writing(tmp_path / "run", {}) as records:
        everyone = members(tmp_path / "run", 2)
        for member in everyone:
            assert len(records.of_network(member.digest)) == 1
            begun = member.trainings[1]
            begun.folder.mkdir()
            assert ConfirmationPlan(records, CLASSES, everyone, 12).next() == begun
            begun.folder.rmdir()


def test_several_workers_repeat_no_epoch_after_an_interruption(tmp_path: Path) -> None:
    confirm(tmp_path, noisy(tmp_path), seeds=3, workers=4, stop_after=40)
    confirm(tmp_path, noisy(tmp_path), seeds=3, workers=4)
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 18 * EPOCHS and counts(tmp_path).total() == 18


def test_records_of_equal_seeds_are_whole_and_say_the_same(tmp_path: Path) -> None:
    every = [job for member in members(tmp_path / "run", 2) for job in member.trainings[:2]]
    with Records.writing(tmp_path / "run", {}) as records:
        run_serially(JobPlan(records, "confirmation", CLASSES, every), noisy(tmp_path))
    before, log = found(tmp_path), (tmp_path / "log").read_text()
    confirm(tmp_path, noisy(tmp_path))
    assert found(tmp_path) == before and (tmp_path / "log").read_text() == log
    assert all(each.count == 2 for each in before)
    confirm(tmp_path, noisy(tmp_path), seeds=4)
    more = counts(tmp_path)
    assert more.total() == 24 and min(more.values()) >= 2 and len(set(more.values())) > 1


def test_a_training_that_fails_is_not_repeated_for_ever(tmp_path: Path) -> None:
    bad = NETWORKS[2].digest
    for session in (1, 2):
        plan = confirm(tmp_path, noisy(tmp_path, broken=(bad,)), seeds=3)
        at = plan.progress()
        assert (at.failed, at.done, at.planned) == (1, 17, 18), "the others have what it leaves"
        measured = Records.reading(tmp_path / "run").measurements("confirmation")
        assert [each.status for each in measured if each.digest == bad] == ["failed"] * session
    assert bad not in {each.digest for each in found(tmp_path)}
    assert confirm(tmp_path, noisy(tmp_path), seeds=3).progress().done == 18, "it can be trained now"
    assert bad in {each.digest for each in found(tmp_path)}


def test_an_accuracy_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    plan = confirm(tmp_path, noisy(tmp_path, deviation=math.nan))
    failures = Records.reading(tmp_path / "run").measurements("confirmation")
    assert plan.progress().failed == len(failures) == 6 and found(tmp_path) == ()
    assert {each.reason for each in failures} == {f"top1 is nan after {EPOCHS} epochs"}


def test_without_members_there_is_nothing_to_do(tmp_path: Path) -> None:
    with Records.writing(tmp_path, {}) as records:
        plan = ConfirmationPlan(records, CLASSES, [], 0)
        assert plan.next() is None and plan.progress().planned == 0


def test_workers_at_a_time_are_sent_to_different_members() -> None:
    known = [Contender((0.1 * n,), math.exp(n), (float(n),)) for n in range(6)]
    chosen = []
    for _ in range(4):
        best = most_telling(known, range(6))
        chosen.append(best)
        known[best] = replace(known[best], pending=known[best].pending + 1)
    assert len(set(chosen)) >= 3


def test_where_all_is_decided_the_trainings_are_even() -> None:
    apart = [Contender((3.0 * n,) * (20 if n == 2 else 40), math.exp(n), (float(n),)) for n in range(4)]
    assert most_telling(apart, range(4)) == 2 and most_telling(apart, [0, 1, 3]) == 0


def test_more_is_right_than_with_equal_seeds() -> None:
    """The yardstick of benchmarks/confirmation.py, smaller."""
    drawn = [front(problem, repeat, 10, 6) for problem in ("level", "alike") for repeat in range(60)]
    spent = [in_use(one, 20, 6) for one in drawn]
    assert all(each.sum() == 20 and each.min() >= 1 and each.max() <= 6 for each in spent)
    ours = np.array([score(one, each) for one, each in zip(drawn, spent, strict=True)]).mean(axis=0)
    even = np.array([score(one, equal(one, 20, 6)) for one in drawn]).mean(axis=0)
    assert ours[0] > even[0] + 0.3 and ours[2] < even[2] and ours[3] < even[3]
