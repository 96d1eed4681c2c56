"""Plans for a time: they keep to it, to what is given, and to what the pilot has found."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search_space.errors import SettingsError
from search_space.json_files import from_json, to_json
from searcher.pilot.findings import Attempt, Findings, Length
from searcher.pilot.planner import RunPlan, Wish, epochs_a_candidate, estimate, plan_run
from searcher.pilot.timing import Timing, mean_macs
from searcher.promotion.rung import Rung
from searcher.reliability import Reliability
from tests.searcher.pilot.learners import CHANCE

GOOD = Reliability(0.7, 0.3, 0.9, 0.03, 0.2, 4, 8)
FINDINGS = Findings(
    data="x",
    chance=CHANCE,
    updates_an_epoch=30,
    lengths=(Length(1, 30, 4, 1, 0.08), Length(2, 60, 4, 3, 0.2, GOOD), Length(4, 120, 2, 2, 0.4)),
    attempts=(),
    updates_to_leave=60,
    timing=Timing(5.0, 1e-6),
    window=(1e6, 2e7),
    trainings=12,
    diverged=0,
    spent=0.05,
    seconds=120.0,
)
EPOCH = FINDINGS.timing.epoch(mean_macs(1e6, 2e7)) if FINDINGS.timing else 0.0


def hours_of(plan: RunPlan) -> float:
    return sum(plan.seconds.values()) / 3600 / plan.workers


def test_eight_hours() -> None:
    plan = plan_run(FINDINGS, Wish(8.0, 2))
    chosen = plan.settings
    rungs = chosen["search.rungs"]
    assert rungs[0] % 2 == 0 and rungs == [rungs[0], 2 * rungs[0], 4 * rungs[0]]
    assert 120 <= chosen["search.trials"] <= 300 and 8 <= chosen["search.startup"] <= 40
    assert chosen["confirmation.epochs"] >= rungs[-1] and chosen["family.epochs"] >= rungs[-1]
    assert 4 <= chosen["confirmation.members"] <= 10 and 2 <= chosen["confirmation.seeds"] <= 5
    parts = {name: seconds / (8 * 3600 * 2) for name, seconds in plan.seconds.items()}
    assert 0.45 < parts["search"] <= 0.55 and parts["confirmation"] <= 0.2 and parts["family"] <= 0.2
    assert from_json(to_json(plan), RunPlan, where="", error=SettingsError, hint="") == plan
    told = plan.text()
    for part in ("8 hours", "most networks have left chance", "0.70 (0.30 to 0.90)", "on 2 workers"):
        assert part in told


def test_the_same_findings_give_the_same_plan() -> None:
    assert plan_run(FINDINGS, Wish(3.0, 4)) == plan_run(FINDINGS, Wish(3.0, 4))


@given(
    hours=st.floats(0.2, 500),
    workers=st.integers(1, 64),
    fixed=st.floats(0.1, 300),
    updates=st.integers(1, 400),
    first=st.integers(1, 20),
)
def test_a_plan_keeps_to_its_time(hours: float, workers: int, fixed: float, updates: int, first: int) -> None:
    lengths = (Length(first, first * updates, 4, 4, 0.3),)
    found = replace(
        FINDINGS,
        timing=Timing(fixed, 1e-6),
        updates_an_epoch=updates,
        lengths=lengths,
        updates_to_leave=first * updates,
    )
    try:
        plan = plan_run(found, Wish(hours, workers))
    except SettingsError:
        assume(False)
        return
    assert hours_of(plan) <= hours * 1.0001
    chosen = plan.settings
    assert chosen["search.rungs"][0] >= first and chosen["search.trials"] >= 24
    assert chosen["search.startup"] <= chosen["search.trials"]
    assert chosen["confirmation.epochs"] >= chosen["search.rungs"][-1]
    assert chosen["confirmation.members"] >= 4 and chosen["confirmation.seeds"] >= 2
    assert chosen["family.epochs"] >= chosen["search.rungs"][-1]
    longer = plan_run(found, Wish(2 * hours, workers))
    before, after = (
        (each.settings["search.rungs"][0], each.settings["search.trials"]) for each in (plan, longer)
    )
    assert after[0] >= before[0] and (after[0] > before[0] or after[1] >= before[1] - 1)


def test_too_little_time_names_the_least() -> None:
    with pytest.raises(SettingsError, match=r"hours is 0\.1: too little") as caught:
        plan_run(FINDINGS, Wish(0.1, 1))
    least = float(re.findall(r"--hours ([\d.]+)", caught.value.hint)[0])
    plan = plan_run(FINDINGS, Wish(least, 1))
    assert plan.settings["search.trials"] >= 24
    with pytest.raises(SettingsError):
        plan_run(FINDINGS, Wish(least / 2, 1))


def test_what_is_given_is_kept() -> None:
    rungs = (Rung(epochs=3), Rung(epochs=9))
    plan = plan_run(FINDINGS, Wish(8.0, 2, rungs=rungs, seeds=3, family_epochs=40))
    assert not plan.settings.keys() & {"search.rungs", "confirmation.seeds", "family.epochs"}
    assert plan.settings["confirmation.epochs"] >= 9
    assert "3, 9 epochs (90, 270 updates): as given" in plan.text() and "x 3 seeds" in plan.text()
    few = plan_run(FINDINGS, Wish(8.0, 2, trials=30))
    assert few.settings["search.rungs"][0] > plan_run(FINDINGS, Wish(8.0, 2)).settings["search.rungs"][0]
    assert hours_of(few) <= 8


def test_unreliable_lengths_and_silent_networks_begin_later() -> None:
    noisy = replace(FINDINGS.lengths[1], reliability=replace(GOOD, value=0.1))
    found = replace(FINDINGS, lengths=(FINDINGS.lengths[0], noisy, FINDINGS.lengths[2]))
    assert plan_run(found, Wish(None, 1)).settings["search.rungs"] == [4, 8, 16]
    silent = replace(FINDINGS, lengths=(replace(FINDINGS.lengths[0], left=0),), updates_to_leave=350)
    assert plan_run(silent, Wish(None, 1)).settings["search.rungs"] == [12, 24, 48]
    # Nothing has left chance: at least twice what was tried, which a short time does not have.
    unknown = replace(silent, updates_to_leave=None, attempts=(Attempt("long", 1e6, 600, 0.06, 2.7, False),))
    assert plan_run(unknown, Wish(None, 1)).settings["search.rungs"][0] == 40
    assert "a guess" in plan_run(unknown, Wish(None, 1)).text()
    with pytest.raises(SettingsError, match="too little"):
        plan_run(unknown, Wish(1.0, 1))


def test_noise_calls_for_more_seeds() -> None:
    seeds = []
    for value in (0.8, 0.4, 0.1):
        lengths = (
            *FINDINGS.lengths[:1],
            replace(FINDINGS.lengths[1], reliability=replace(GOOD, value=value)),
        )
        plan = plan_run(replace(FINDINGS, lengths=lengths), Wish(2.0, 2, rungs=(Rung(epochs=8),)))
        seeds.append(plan.settings["confirmation.seeds"])
    assert seeds == sorted(seeds) and seeds[0] < seeds[-1]


def test_without_a_time_only_lengths_are_planned() -> None:
    plan = plan_run(FINDINGS, Wish(None, 2, trials=48, startup=16))
    assert plan.settings == {"search.rungs": [2, 4, 8], "confirmation.epochs": 12, "family.epochs": 24}
    given_all = Wish(
        None, 2, rungs=(Rung(epochs=2),), trials=48, epochs=4, seeds=2, members=8, family_epochs=9
    )
    expected = estimate(FINDINGS, given_all)
    assert expected is not None and expected.settings == {}
    assert expected.seconds["search"] == pytest.approx(48 * 2 * EPOCH)


def test_a_confirmation_that_is_given_is_no_shorter_than_the_rungs() -> None:
    for hours in (None, 8.0):
        assert plan_run(FINDINGS, Wish(hours, 2, epochs=5)).settings["search.rungs"][-1] <= 5
    with pytest.raises(SettingsError, match=r"confirmation\.epochs is 1, but most networks need 2"):
        plan_run(FINDINGS, Wish(None, 2, epochs=1))


def test_repeated_candidates_are_fewer() -> None:
    given_rungs = (Rung(epochs=4),)
    one, three = (plan_run(FINDINGS, Wish(4.0, 2, rungs=given_rungs, repeats=n)) for n in (1, 3))
    assert three.settings["search.trials"] == pytest.approx(one.settings["search.trials"] / 3, abs=1)


def test_smaller_rungs_count_less() -> None:
    whole = epochs_a_candidate((Rung(epochs=2), Rung(epochs=4)), 3)
    half = epochs_a_candidate((Rung(epochs=2, share=0.5), Rung(epochs=4)), 3)
    assert whole == 3 and half == 2


def test_timings_fit() -> None:
    fitted = Timing.fit([1e6, 2e6, 8e6], [1.5, 2.0, 5.0])
    assert fitted.fixed == pytest.approx(1.0) and fitted.per_mac == pytest.approx(0.5e-6)
    # Neither part is below 0, whatever the noise.
    odd = Timing.fit([1e6, 2e6, 8e6], [5.0, 4.0, 1.0])
    assert odd.fixed >= 0 and odd.per_mac >= 0
    assert Timing.fit([1e6], [2.0]).epoch(1e6) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="no epoch"):
        Timing.fit([], [])


def test_noisy_trainings_are_repeated_if_enough_candidates_are_left() -> None:
    def found(value: float) -> Findings:
        length = replace(FINDINGS.lengths[1], reliability=replace(GOOD, value=value))
        return replace(FINDINGS, lengths=(FINDINGS.lengths[0], length))

    plans = {value: plan_run(found(value), Wish(8.0, 2)) for value in (0.7, 0.4)}
    assert [plan.settings["search.repeats"] for plan in plans.values()] == [1, 2]
    assert "the mean of 2 trainings each" in plans[0.4].text()
    spent = [plan.seconds["search"] / (8 * 3600 * 2) for plan in plans.values()]
    assert all(0.4 < part <= 0.55 for part in spent), "repeats are part of the time"
    short = plan_run(found(0.4), Wish(0.4, 1))
    assert short.settings["search.trials"] >= 24 and short.settings["search.repeats"] == 1
    given_three = plan_run(found(0.7), Wish(8.0, 2, repeats=3))
    assert "search.repeats" not in given_three.settings
    rungs = [Rung(epochs=epochs) for epochs in given_three.settings["search.rungs"]]
    expected = given_three.settings["search.trials"] * 3 * epochs_a_candidate(rungs, 3) * EPOCH
    assert given_three.seconds["search"] == pytest.approx(expected)
