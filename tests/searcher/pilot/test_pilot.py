"""Pilots on real videos, small and encoded here: what is good passes, what cannot be learnt is told."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import movinas
from results.report.from_folders import read_run
from results.report.report import report
from search_space.errors import SettingsError
from search_space.json_files import from_json
from searcher.pilot.findings import Findings
from searcher.pilot.pilot import pilot_is_due, run_pilot, settle
from searcher.pilot.planned import keep_plan, kept_findings, resolved, whole_plan, with_plan
from searcher.pilot.planner import RunPlan
from searcher.pilot.trials import LONG
from searcher.pilot.verdict import NothingLearns
from searcher.promotion.rung import Rung
from searcher.record.records import Records
from searcher.settings.phases import ConfirmationSettings
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings
from tests.proxy_train.moving_videos import write_motions
from tests.searcher.pilot.on_videos import Serial, session_on, settings_on

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "videos"
    write_motions(folder)
    return folder


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong") / "videos"
    write_motions(folder, shuffled=True)
    return folder


def found(settings: Settings, cluster: Serial | None = None) -> tuple[Findings, list[str]]:
    """Findings of a run's pilot, and what the run says of them, until it is stopped."""
    said: list[str] = []
    with session_on(settings, cluster) as (session, data):
        assert pilot_is_due(session)
        findings = run_pilot(session, data)
        try:
            settle(session, findings, said.append)
        except NothingLearns as error:
            said.append(f"{error.message} / {error.hint}")
    return findings, said


@dataclass(frozen=True)
class Piloted:
    """A run after its pilot: its settings, what the pilot found, and what the run says of it."""

    settings: Settings
    findings: Findings
    said: list[str]


@pytest.fixture(scope="module")
def learns(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Piloted:
    settings = settings_on(good, tmp_path_factory.mktemp("learns"))
    return Piloted(settings, *found(settings))


@pytest.fixture(scope="module")
def mislabelled(wrong: Path, tmp_path_factory: pytest.TempPathFactory) -> Piloted:
    settings = settings_on(wrong, tmp_path_factory.mktemp("mislabelled"))
    return Piloted(settings, *found(settings))


def test_a_good_folder_is_searched(learns: Piloted) -> None:
    settings, findings, said = learns.settings, learns.findings, learns.said
    assert findings.verdict.kind == "learns" and not findings.verdict.stops
    assert findings.spent <= 0.1 and findings.trainings == 8 and findings.diverged == 0
    assert findings.updates_an_epoch == 12 and findings.updates_to_leave == 48
    assert findings.probe is not None and findings.probe.finds_content
    assert findings.lengths[0].reliability is not None and findings.timing is not None
    told = "\n".join(said)
    for part in (
        "after 48 updates (4 epochs)",
        "chance is 25.0 %",
        "reliability",
        "tell the classes apart",
        "in all",
    ):
        assert part in told
    # What was found is a file, and stands in the report and the status; trainings are no candidates.
    records = Records.reading(settings.run_dir)
    assert {each.purpose for each in records.measurements()} == {"pilot"} and records.candidates() == []
    content = json.loads((settings.run_dir / "pilot.json").read_text())
    assert from_json(content, Findings, where="", error=SettingsError, hint="") == findings
    assert kept_findings(records.channel) == findings
    assert list((settings.run_dir / "checkpoints").glob("*")) == []
    page = report(read_run(settings.run_dir))
    assert "after 48 updates (4 epochs)" in page and 'id="pilot"' in page
    # The same again trains nothing.
    idle = Serial()
    again = found(settings, idle)[0]
    # The record keeps seconds to the millisecond.
    assert replace(again, seconds=findings.seconds) == findings and idle.epochs == 0


def test_shuffled_labels_are_told_within_the_budget(
    mislabelled: Piloted, wrong: Path, tmp_path: Path
) -> None:
    findings, said = mislabelled.findings, mislabelled.said
    assert findings.verdict.kind == "labels" and findings.verdict.stops and findings.spent <= 0.1
    assert "annotation file" in said[-1] and "pilot: false" in said[-1]
    with session_on(settings_on(wrong, tmp_path, pilot=False)) as (session, _):
        assert not pilot_is_due(session)


def test_too_few_updates_are_told_with_how_many_would_do(good: Path, tmp_path: Path) -> None:
    search = {"trials": 140, "startup": 8, "rungs": [1, 2], "workers": 1}
    findings, said = found(settings_on(good, tmp_path, search=search))
    assert findings.verdict.kind == "few updates" and findings.verdict.stops and findings.spent <= 0.1
    assert findings.updates_to_leave is not None and 24 < findings.updates_to_leave <= 240
    first = -(-findings.updates_to_leave // 12)
    assert f"search.rungs to [{first}, {2 * first}]" in said[-1]


def test_a_rate_that_is_far_too_high_is_told(good: Path, tmp_path: Path) -> None:
    findings, said = found(settings_on(good, tmp_path, recipe={"learning_rate": 20.0}))
    assert findings.verdict.kind in ("rate", "diverges") and findings.verdict.stops and findings.spent <= 0.1
    assert "recipe.learning_rate" in said[-1] and findings.diverged >= 4


SHORT = {"trials": 90, "startup": 8, "rungs": [2, 4], "workers": 1}


def story(settings: Settings) -> list[Any]:
    """What a pilot measured, but for times."""
    figures = ("top1", "loss", "train_loss", "peak_loss")
    return [
        (each.digest, each.seed, each.fidelity.key, [each.metrics[name] for name in figures])
        for each in Records.reading(settings.run_dir).measurements()
    ]


@pytest.fixture(scope="module")
def whole_story(wrong: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The story of a pilot that nobody killed."""
    settings = settings_on(wrong, tmp_path_factory.mktemp("whole"), search=SHORT)
    found(settings)
    return story(settings)


@pytest.mark.parametrize(
    "stop",
    [5, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (1, 3, 14, 20))],
)
def test_a_killed_pilot_resumes_to_the_same_record(
    stop: int, wrong: Path, tmp_path: Path, whole_story: list[Any]
) -> None:
    broken = settings_on(wrong, tmp_path, search=SHORT)
    with pytest.raises(KeyboardInterrupt):
        found(broken, Serial(stop))
    found(broken)
    assert story(broken) == whole_story and any(seed == LONG for _, seed, _, _ in whole_story)


def test_a_search_that_has_begun_has_no_pilot(good: Path, tmp_path: Path) -> None:
    settings = settings_on(good, tmp_path, search={"trials": 3, "startup": 2, "rungs": [1], "workers": 1})
    with session_on(settings) as (session, _):
        assert pilot_is_due(session)
        session.search()
        assert session.records.candidates() and not pilot_is_due(session)


def test_videos_that_changed_are_not_mixed(learns: Piloted) -> None:
    with session_on(learns.settings) as (session, data):
        other = replace(data, dataset=replace(data.dataset, name="other"))
        with pytest.raises(SettingsError, match="have changed"):
            run_pilot(session, other)
    assert learns.findings.data


def open_settings(videos: Path, output: Path, hours: float = 0.3, **search: Any) -> Settings:
    whole = settings_on(videos, output)
    content = {name: getattr(whole, name) for name in ("name", "output", "data", "space", "recipe")}
    return Settings.model_validate({**content, "hours": hours, "search": {"workers": 1, **search}})


def test_a_time_is_planned_once_and_kept(good: Path, tmp_path: Path) -> None:
    settings = open_settings(good, tmp_path)
    assert settings.identity()["search"]["rungs"] == "auto" and resolved(settings) == settings
    assert yaml.safe_load(settings.to_yaml())["search"]["rungs"] == "auto"
    with session_on(settings) as (session, data):
        with pytest.raises(SettingsError, match=r"search\.rungs.* not planned yet"):
            session.search()
        settle(session, run_pilot(session, data), lambda _: None)
        planned = session.settings
        assert not pilot_is_due(session)
    assert planned.open_keys == () and planned.search.rungs[0].epochs >= 2 and planned.search.trials >= 24
    assert planned.confirmation.epochs >= planned.search.rungs[-1].epochs
    # The same command resumes with the same plan, and so does the run's own settings.yaml.
    assert resolved(settings) == planned
    stored = load_settings(settings.run_dir / "settings.yaml")
    assert stored.open_keys == () and stored.identity() == planned.identity()
    assert stored.confirmation == planned.confirmation and stored.family == planned.family
    with session_on(resolved(settings)) as (session, _):
        assert not pilot_is_due(session)
    plan = json.loads((settings.run_dir / "plan.json").read_text())
    assert plan["settings"]["search.trials"] == planned.search.trials and plan["hours"] == 0.3
    with pytest.raises(SettingsError, match=r"planned for 0\.3 hours"):
        resolved(open_settings(good, tmp_path, 2.0))
    other = planned.model_copy(
        update={"search": planned.search.model_copy(update={"rungs": (Rung(epochs=1),)})}
    )
    with pytest.raises(SettingsError, match="other settings"), session_on(other):
        pass


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_driver_killed_right_after_planning_keeps_its_plan(
    good: Path, tmp_path: Path, repeats: int
) -> None:
    settings = open_settings(good, tmp_path, trials=31)
    chosen = {"search.rungs": [3, 6], "search.startup": 9, "search.repeats": repeats}
    chosen |= {"confirmation.epochs": 7, "confirmation.seeds": 2}
    plan = RunPlan(0.3, 1, {**chosen, "confirmation.members": 5, "family.epochs": 8})
    with session_on(settings) as (session, _):
        keep_plan(session.records, session.run_dir, plan)
    again = resolved(settings)
    assert again == with_plan(settings, plan) and again.search.trials == 31
    with session_on(again) as (session, _):
        assert session.records.identity == again.identity()
        assert session.records.identity["search"]["rungs"] == [3, 6]
        assert session.records.identity["search"].get("repeats", 1) == repeats


def test_a_plan_keeps_what_was_given_when_it_was_made(good: Path, tmp_path: Path) -> None:
    first = open_settings(good, tmp_path, trials=31)
    planned = {"search.rungs": [3, 6], "search.startup": 9, "search.repeats": 1, "family.epochs": 8}
    planned |= {"confirmation.epochs": 7, "confirmation.seeds": 2, "confirmation.members": 5}
    plan = whole_plan(RunPlan(0.3, 1, planned), first)
    assert plan.settings["search.trials"] == 31
    with session_on(first) as (session, _):
        keep_plan(session.records, session.run_dir, plan)
    without = open_settings(good, tmp_path)
    assert "search.trials" in without.open_keys
    assert resolved(without).search.trials == 31
    shorter = without.model_copy(update={"confirmation": ConfirmationSettings.model_validate({"epochs": 5})})
    with pytest.raises(SettingsError, match=r"does not fit the plan.*epochs 5 is below the last.*6"):
        resolved(shorter)


def test_too_little_time_is_refused_with_the_least(good: Path, tmp_path: Path) -> None:
    with (
        session_on(open_settings(good, tmp_path, 0.0001)) as (session, data),
        pytest.raises(SettingsError, match=r"hours is 0\.0001: too little") as caught,
    ):
        settle(session, run_pilot(session, data), lambda _: None)
    assert "--hours" in caught.value.hint


@pytest.mark.timeout(900)
def test_a_command_that_cannot_learn_ends_with_status_2(
    mislabelled: Piloted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = mislabelled.settings
    (tmp_path / "wrong.yaml").write_text(settings.to_yaml())
    monkeypatch.setattr(sys, "argv", ["movinas", "search", str(tmp_path / "wrong.yaml")])
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    told = capsys.readouterr()
    assert ended.value.code == 2 and "nothing learns" in told.err and "remedy: look at some clips" in told.err
    assert "Pilot: " in told.out and (settings.run_dir / "pilot.json").is_file()
    monkeypatch.setattr(sys, "argv", ["movinas", "status", str(settings.run_dir)])
    with pytest.raises(SystemExit, match="0"):
        movinas.main()
    assert "0 of 4 networks left chance" in capsys.readouterr().out
