"""The order of a pilot's trainings, its budget, and that it resumes from its record at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from searcher.pilot.pilot_plan import PilotPlan
from searcher.pilot.trials import LONG, RATES
from searcher.plan.job import EvaluatorSpec
from searcher.plan.reproduction import reproduce
from searcher.record.records import Records
from tests.searcher.invented import invented
from tests.searcher.pilot.learners import MACS, NETWORKS, learner, plan_of, task
from tests.searcher.recording import IDENTITY
from tests.searcher.searching import plan_over, settings_of
from tests.searcher.serial import run_serially

SILENT = learner(epochs=1000)


def trained(folder: Path, evaluator: EvaluatorSpec, workers: int = 1, **changes: object) -> PilotPlan:
    plan = plan_of(Records.in_memory(IDENTITY), folder, task(**changes))  # type: ignore[arg-type]
    run_serially(plan, evaluator, workers)
    return plan


def story(plan: PilotPlan) -> list[tuple[int, int, int]]:
    """Number of the network, seed and epochs of every measurement."""
    digests = [network.digest for network in NETWORKS]
    measured = plan.records.measurements()
    assert {each.purpose for each in measured} <= {"pilot"} and plan.records.candidates() == []
    return [(digests.index(each.digest), each.seed, each.fidelity.epochs) for each in measured]


def share(plan: PilotPlan) -> float:
    """Share of the planned cost that was spent."""
    assert plan.task.epochs is not None
    return plan.results.spent(plan.task.costs) / plan.task.epochs


def test_it_ends_once_the_first_length_tells_enough(tmp_path: Path) -> None:
    plan = trained(tmp_path, learner())
    assert story(plan) == [(n, seed, 2) for seed in (0, 1) for n in range(4)]
    assert share(plan) <= 0.1


def test_lengths_double_for_the_cheapest_first_while_too_few_have_left_chance(tmp_path: Path) -> None:
    # The largest leaves chance after two epochs, the cheapest after seven.
    plan = trained(tmp_path, learner(epochs=7, sooner=0.25), epochs=1000)
    found = story(plan)
    assert found[:8] == [(n, seed, 2) for seed in (0, 1) for n in range(4)]
    assert found[8:] == [(n, seed, 4) for n in range(4) for seed in (0, 1)]
    assert share(plan) <= 0.1
    # Each length is a training of its own, whose seconds do not count those of the shorter ones.
    for each in plan.records.measurements():
        assert each.seconds == pytest.approx(each.fidelity.epochs * (0.5 + each.metrics["macs"] / 1e6))
    # With less to spend, only the cheapest go on.
    poor = story(trained(tmp_path / "poor", learner(epochs=7, sooner=0.25), epochs=350))
    assert poor[:8] == found[:8] and poor[8:] == found[8 : len(poor)] and 8 < len(poor) < len(found)


def test_where_nothing_learns_the_rest_looks_for_the_reason(tmp_path: Path) -> None:
    plan = trained(tmp_path, SILENT, epochs=600)
    found = story(plan)
    assert found[:4] == [(n, 0, 2) for n in range(4)]
    kinds = [seed for _, seed, _ in found[4:]]
    # A large network to the last rung, ten times the rate, and a long training, in this order.
    assert kinds[:2] == [0, RATES[10.0]] and set(kinds[2:]) == {LONG}
    assert found[4][0] == 3 and found[4][2] == 4
    assert max(epochs for _, seed, epochs in found if seed == LONG) >= 24
    assert 0.05 < share(plan) <= 0.1


def test_a_long_training_ends_when_it_leaves_chance(tmp_path: Path) -> None:
    plan = trained(tmp_path, learner(epochs=14, sooner=0.8), epochs=600)
    long = [(n, epochs) for n, seed, epochs in story(plan) if seed == LONG]
    assert [epochs for _, epochs in long] == [4, 8, 16] and share(plan) < 0.1


def test_a_large_network_that_learns_in_time_is_enough(tmp_path: Path) -> None:
    found = story(trained(tmp_path, learner(epochs=20, sooner=0.2), epochs=600))
    assert (3, 0, 4) in found and not any(seed >= LONG for _, seed, _ in found)


def test_a_loss_that_diverges_calls_for_lower_rates(tmp_path: Path) -> None:
    # The best rate is a hundredth of the recipe's: a tenth is restless still.
    found = story(trained(tmp_path, learner(best=0.01)))
    assert found[:4] == [(n, 0, 2) for n in range(4)]
    assert [seed for _, seed, _ in found[4:]] == [RATES[0.1], RATES[0.01]]


def test_a_rate_that_is_too_low_is_tried_tenfold(tmp_path: Path) -> None:
    found = story(trained(tmp_path, learner(best=10.0), epochs=600))
    assert found[-1] == (0, RATES[10.0], 4)


def test_whatever_the_budget_one_training_tells_something(tmp_path: Path) -> None:
    assert story(trained(tmp_path, SILENT, epochs=3)) == [(0, 0, 2)]


def test_seconds_decide_where_a_time_is_planned(tmp_path: Path) -> None:
    slow, quick = (
        trained(tmp_path / str(seconds), learner(epochs=7, sooner=0.25), epochs=None, seconds=seconds)
        for seconds in (300.0, 3000.0)
    )
    assert len(story(quick)) > len(story(slow)) >= 8
    for plan, seconds in ((slow, 300.0), (quick, 3000.0)):
        if len(story(plan)) > 8:
            assert plan.results.seconds <= 0.11 * seconds


@pytest.mark.parametrize("evaluator", [SILENT, learner(epochs=14, sooner=0.8), learner(best=0.01)])
def test_killed_at_any_moment_it_resumes_to_the_same_record(evaluator: EvaluatorSpec, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", evaluator)
    total = sum(1 for _ in story(whole))
    for stop in range(1, 60, 3):
        records, folder = Records.in_memory(IDENTITY), tmp_path / str(stop)
        run_serially(plan_of(records, folder, task()), evaluator, stop_after=stop)
        plan = plan_of(records, folder, task())
        run_serially(plan, evaluator)
        assert story(plan) == story(whole), stop
        assert [each.metrics for each in records.measurements()] == [
            each.metrics for each in whole.records.measurements()
        ]
        # And once more, over the whole record: nothing is left to train.
        assert run_serially(plan_of(records, folder, task()), evaluator) == 0
    assert total > 4


@pytest.mark.parametrize("evaluator", [learner(), SILENT])
def test_several_workers_train_the_same(evaluator: EvaluatorSpec, tmp_path: Path) -> None:
    one, three = (trained(tmp_path / str(n), evaluator, workers=n) for n in (1, 3))
    assert sorted(story(one)) == sorted(story(three)) and share(three) <= 0.1


def test_a_failure_that_is_no_divergence_is_tried_again_in_the_next_session(tmp_path: Path) -> None:
    records = Records.in_memory(IDENTITY)
    plan = plan_of(records, tmp_path, task())
    job = plan.next()
    assert job is not None
    plan.fail(job, "its worker was lost")
    plan.on_job_end(job)
    following = plan.next()
    assert following is not None and following.name != job.name
    again = plan_of(records, tmp_path, task()).next()
    assert again is not None and again.name == job.name


def test_a_search_after_a_pilot_is_reproduced(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with Records.writing(settings.run_dir, settings.identity()) as records:
        run_serially(plan_of(records, tmp_path, task()), learner())
        run_serially(plan_over(settings, records), invented())
        assert len(records.measurements("pilot")) == 8 and len(records.candidates()) == 20
        assert all(candidate.measured_before >= 8 for candidate in records.candidates())
        assert reproduce(records, lambda again: plan_over(settings, again)) == []


def test_networks_are_spread() -> None:
    assert list(MACS) == sorted(MACS) and MACS[-1] > 3 * MACS[0]
