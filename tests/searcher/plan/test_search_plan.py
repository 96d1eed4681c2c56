"""A whole search without a cluster: rungs, promotions, failures, interruptions, the same again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import optuna
import pytest

from search_space.errors import RecordError, SettingsError
from searcher.plan.confirmation import choose_members
from searcher.plan.events import Event, Measured, Started
from searcher.plan.reproduction import reproduce
from searcher.promotion.halving import ParetoHalving
from searcher.record.records import Records
from searcher.record.storage import FILE
from tests.searcher.invented import invented
from tests.searcher.searching import THREE, finished, plan_over, search, settings_of, story
from tests.searcher.serial import run_serially
from tests.searcher.tiny_driver import tiny_settings


@pytest.mark.parametrize("strategy", ["tpe", "random", "mutation", "nsga2", "predictor"])
def test_a_search_measures_what_was_planned(tmp_path: Path, strategy: str) -> None:
    log = tmp_path / "log"
    records = finished(tmp_path, invented(log), strategy=strategy)
    candidates = records.candidates()
    assert len({each.digest for each in candidates}) == len(candidates) == 20
    assert {each.state for each in candidates} == {"complete", "pruned"}
    assert all(1 in each.metrics for each in candidates)
    assert all(each.epochs == 4 for each in candidates if each.state == "complete")
    complete = sum(each.state == "complete" for each in candidates)
    assert 5 <= complete <= 14, "about a quarter, and what the moving front adds"
    keys = [each.key for each in records.measurements()]
    assert len(set(keys)) == len(keys)
    assert max(Counter(log.read_text().splitlines()).values()) == 1, "no epoch is trained twice"
    assert all(
        set(each.decisions) == {rung for rung in each.metrics if rung < 4}
        and all(decision.reason for decision in each.decisions.values())
        for each in candidates
    )


def test_survivors_are_spread_over_the_cost(tmp_path: Path) -> None:
    records = finished(tmp_path, trials=48, startup=16, reduction=3)
    top = [each for each in records.candidates() if each.state == "complete"]
    assert 6 <= len(top) <= 24
    costs = sorted(each.macs for each in records.candidates())
    rule = ParetoHalving((1, 2, 4), 3, costs[0], costs[-1])
    assert len({rule.stratum(each.macs) for each in top}) >= 5


def test_one_worker_and_one_seed_give_one_story(tmp_path: Path) -> None:
    assert story(finished(tmp_path / "a", trials=12)) == story(finished(tmp_path / "b", trials=12))


@pytest.mark.parametrize("cut", [1, 7, 16])
def test_an_interrupted_search_tells_the_same_story(tmp_path: Path, cut: int) -> None:
    whole = finished(tmp_path / "whole", trials=12)
    log = tmp_path / "log"
    for _ in range(2):
        with search(tmp_path / "cut", trials=12) as plan:
            run_serially(plan, invented(log), stop_after=cut)
    records = finished(tmp_path / "cut", invented(log), trials=12)
    assert story(records) == story(whole)
    assert max(Counter(log.read_text().splitlines()).values()) == 1


@pytest.mark.parametrize("cut", [2, 20])
def test_interrupted_with_three_workers_nothing_is_lost_or_repeated(tmp_path: Path, cut: int) -> None:
    log = tmp_path / "log"
    with search(tmp_path / "run") as plan:
        run_serially(plan, invented(log), workers=3, stop_after=cut)
        before = plan.records.measurements()
    records = finished(tmp_path / "run", invented(log), workers=3)
    assert records.measurements()[: len(before)] == before
    assert len(records.candidates()) == 20
    assert {each.state for each in records.candidates()} == {"complete", "pruned"}
    assert max(Counter(log.read_text().splitlines()).values()) == 1


def test_a_measurement_without_its_decision_is_decided_on_return(tmp_path: Path) -> None:
    """As when the driver is killed between the two lines of the record."""
    whole = finished(tmp_path / "whole", trials=12)
    with search(tmp_path / "cut", trials=12) as plan:
        run_serially(plan, invented(), stop_after=12)
    path = tmp_path / "cut" / "tiny" / "record.journal"
    lines = path.read_text().splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if '"rung ' in line)
    path.write_text("".join(lines[:last]))
    assert story(finished(tmp_path / "cut", trials=12)) == story(whole)


def test_failures_are_recorded_with_their_reason_and_end_the_candidate(tmp_path: Path) -> None:
    records = finished(tmp_path, invented(broken="01234567"))
    failed = [each for each in records.measurements() if each.status == "failed"]
    assert failed
    assert all(each.reason == "the loss is nan" and each.fidelity.epochs == 2 for each in failed)
    states = {each.digest: each.state for each in records.candidates()}
    assert all(states[each.digest] == "failed" for each in failed)
    assert len(states) == 20
    again = finished(tmp_path)
    assert again.measurements() == records.measurements(), "a finished search has nothing left to do"


def test_more_trials_extend_a_finished_search(tmp_path: Path) -> None:
    first = finished(tmp_path, trials=8)
    second = finished(tmp_path, trials=16)
    assert second.measurements()[: len(first.measurements())] == first.measurements()
    assert len(second.candidates()) == 16


def test_another_strategy_is_refused(tmp_path: Path) -> None:
    finished(tmp_path, trials=5)
    with pytest.raises(SettingsError, match=r"search\.strategy was 'predictor' and is now 'random'"):
        finished(tmp_path, trials=5, strategy="random")


def test_a_training_that_takes_too_long_fails(tmp_path: Path) -> None:
    records = finished(tmp_path, invented(seconds=0.02), trials=4, rungs=[4], time_limit_minutes=0.0005)
    assert {each.status for each in records.measurements()} == {"failed"}
    assert "more than 0.0005 minutes" in records.measurements()[0].reason


def test_a_used_up_window_ends_the_search_early(tmp_path: Path) -> None:
    space = tiny_settings(tmp_path).space.with_classes(16)
    low = float(space.macs_range()[0])
    records = finished(tmp_path, trials=500, startup=4, rungs=[1, 2], macs={"low": low, "high": low * 1.25})
    assert 2 <= len(records.candidates()) < 500
    assert "open" not in {each.state for each in records.candidates()}


def test_a_single_rung_needs_no_promotion(tmp_path: Path) -> None:
    records = finished(tmp_path, trials=6, rungs=[3])
    assert [each.state for each in records.candidates()] == ["complete"] * 6


def test_events_and_progress_tell_what_happens(tmp_path: Path) -> None:
    events: list[Event] = []
    with search(tmp_path, events) as plan:
        run_serially(plan, invented(seconds=0.001), stop_after=10)
        halfway = plan.progress()
        assert halfway.running + halfway.done < halfway.planned == 20
        assert halfway.seconds_left is not None and halfway.seconds_left > 0
        assert halfway.epochs == 10
    with search(tmp_path, events) as plan:
        run_serially(plan, invented())
        progress = plan.progress()
    assert (progress.planned, progress.done, progress.running, progress.failed) == (20, 20, 0, 0)
    assert progress.stopped == sum(each.state == "pruned" for each in plan.records.candidates())
    assert 0 < progress.hypervolume < 1
    costs = [point.macs for point in progress.frontier]
    accuracies = [point.accuracy for point in progress.frontier]
    assert costs == sorted(costs) and accuracies == sorted(accuracies)
    assert len([each for each in events if isinstance(each, Started)]) >= 20
    measured = [each for each in events if isinstance(each, Measured)]
    assert [each.measurement for each in measured] == plan.records.measurements()


def test_three_objectives_and_a_soft_constraint_go_all_the_way(tmp_path: Path) -> None:
    records = finished(tmp_path, invented(timed=True), **THREE)
    with search(tmp_path, **THREE) as plan:
        progress = plan.progress()
    assert progress.frontier
    assert all(point.metrics["latency_ms"] <= 5 for point in progress.frontier)
    assert 0 < progress.hypervolume < 1
    best = [(-p.accuracy, p.macs, p.metrics["latency_ms"]) for p in progress.frontier]
    assert not any(
        other != each and all(a <= b for a, b in zip(other, each, strict=True))
        for each in best
        for other in best
    )
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "tiny" / FILE))
    study = optuna.load_study(study_name="tiny", storage=optuna.storages.JournalStorage(backend))
    assert study.metric_names == ["accuracy", "macs", "latency"]
    told = {trial.number: trial for trial in study.trials}
    for each in records.candidates():
        latency = each.latest["latency_ms"]
        assert told[each.number].values == [each.accuracy, each.macs, latency]
        assert told[each.number].constraints == {"latency_ms": pytest.approx(latency / 5 - 1)}
    chosen = choose_members(records.candidates(), 6, records.objectives)
    assert chosen[0].latest["latency_ms"] < 5


def test_a_metric_that_an_objective_needs_and_nobody_measures_fails_the_training(tmp_path: Path) -> None:
    records = finished(tmp_path, trials=4, **THREE)
    assert {each.reason for each in records.measurements()} == {"latency_ms is nan after 1 epochs"}
    assert {each.state for each in records.candidates()} == {"failed"}


def test_windows_on_every_known_cost_hold_for_every_candidate(tmp_path: Path) -> None:
    windows = {"parameters": {"high": 9000.0}, "state_bytes": {"low": 300.0, "high": 3000.0}}
    records = finished(tmp_path, windows=windows, objectives=["accuracy", "parameters", "state_bytes"])
    assert len(records.candidates()) == 20
    for each in records.measurements():
        assert each.metrics["parameters"] <= 9000
        assert 300 <= each.metrics["state_bytes"] <= 3000


def test_a_search_whose_time_is_over_cancels_what_runs_and_another_start_goes_on(tmp_path: Path) -> None:
    with search(tmp_path, trials=6, rungs=[4]) as plan:
        run_serially(plan, invented(), workers=2, stop_after=3)
    before = [each.number for each in Records.reading(tmp_path / "tiny").candidates()]
    with search(tmp_path, trials=6, rungs=[4], budget_minutes=1.0) as plan:
        plan._started -= 61
        assert run_serially(plan, invented()) == 0, "nothing was begun or went on"
    assert [each.number for each in Records.reading(tmp_path / "tiny").candidates()] == before
    with search(tmp_path, trials=6, rungs=[4], budget_minutes=1.0) as plan:
        job = plan.next()
        assert job is not None
        plan._started -= 61
        epochs = invented().build()(job)
        assert not plan.observe(job, next(iter(epochs)))
        assert plan.running == [] and plan.next() is None
        plan.close()
    cancelled = [
        each for each in Records.reading(tmp_path / "tiny").candidates() if each.state == "cancelled"
    ]
    assert [each.reason for each in cancelled] == ["the search's 1 minutes were over"]
    frame = Records.reading(tmp_path / "tiny").frame()
    assert "cancelled" in set(frame["status"]) and "cancelled" in set(frame["candidate"])
    records = finished(tmp_path, trials=6, rungs=[4])
    assert len(records.candidates()) == 6
    assert "open" not in {each.state for each in records.candidates()}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_can_be_replayed_from_its_record(tmp_path: Path, workers: int) -> None:
    """Failures, held and promoted candidates, workers that finish in turn, and an interruption."""
    log, broken = tmp_path / "log", invented(broken="0123")
    with search(tmp_path) as plan:
        run_serially(plan, broken, workers, stop_after=11)
    records = finished(tmp_path, invented(log, broken="0123"), workers)
    settings = settings_of(tmp_path)
    decisions = [each for candidate in records.candidates() for each in candidate.decisions.values()]
    assert any(each.was_held for each in decisions) and {each.promoted for each in decisions} == {True, False}
    assert "failed" in {each.status for each in records.measurements()}
    assert reproduce(records, lambda again: plan_over(settings, again)) == []
    other = settings_of(tmp_path, strategy="random")
    assert any("was" in each for each in reproduce(records, lambda again: plan_over(other, again)))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_search_whose_candidates_all_fail_for_one_reason_ends_early(tmp_path: Path, workers: int) -> None:
    everything = invented(broken="0123456789abcdef")
    with search(tmp_path, rungs=[2, 4]) as plan:
        run_serially(plan, everything, workers)
        assert plan.common_failure == "the loss is nan"
        with pytest.raises(RecordError, match="failed for one reason: the loss is nan"):
            plan.require_measured()
        assert 5 <= len(plan.records.candidates()) <= 5 + workers
    # Mended, the same search goes on with the other candidates.
    with search(tmp_path, rungs=[2, 4]) as plan:
        run_serially(plan, invented(), workers)
        assert plan.common_failure is None and len(plan.records.candidates()) == 20


@pytest.mark.parametrize("trials", [2, 4])
def test_a_search_of_few_candidates_that_all_fail_says_why(trials: int, tmp_path: Path) -> None:
    everything = invented(broken="0123456789abcdef")
    for _ in range(2):  # a second start has the same to say
        with search(tmp_path, rungs=[2, 4], trials=trials, startup=trials) as plan:
            run_serially(plan, everything, 1)
            assert plan.common_failure is None
            with pytest.raises(RecordError, match=f"none of the {trials} candidates .* the loss is nan"):
                plan.require_measured()


def test_a_search_whose_time_is_over_after_failures_says_why(tmp_path: Path) -> None:
    with search(tmp_path, rungs=[2, 4]) as plan:
        job = plan.next()
        assert job is not None
        plan.fail(job, "its worker was lost")
        plan.on_job_end(job)
        plan.require_measured()
    with search(tmp_path, rungs=[2, 4], budget_minutes=1e-9) as plan:
        assert plan.next() is None
        with pytest.raises(RecordError, match=r"last failed: its worker was lost \(mend it and run the same"):
            plan.require_measured()


def test_a_search_that_measured_something_or_goes_on_is_no_failure(tmp_path: Path) -> None:
    with search(tmp_path / "begun", rungs=[2, 4]) as plan:
        job = plan.next()
        assert job is not None
        plan.fail(job, "its worker was lost")
        plan.require_measured()
    with search(tmp_path / "measured", rungs=[2, 4], trials=4) as plan:
        run_serially(plan, invented(), 1)
        plan.require_measured()


def test_failures_of_several_kinds_or_after_a_success_end_nothing(tmp_path: Path) -> None:
    with search(tmp_path / "kinds", rungs=[2, 4]) as plan:
        for number in range(8):
            job = plan.next()
            assert job is not None
            plan.fail(job, "the loss is nan" if number % 2 else "its worker was lost")
        assert plan.common_failure is None
    records = finished(tmp_path / "late", invented(broken="0123456789abcdef"), rungs=[1, 4])
    assert len(records.candidates()) == 20, "all were measured at the first rung"
