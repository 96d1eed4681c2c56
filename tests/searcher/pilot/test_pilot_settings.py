"""The settings of a pilot, and which of the others are left to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.errors import SettingsError
from searcher.promotion.rung import Rung
from searcher.run.launch import Submission
from searcher.settings.pilot_settings import PilotSettings
from searcher.settings.reading import load_settings

SEARCH = {"search.trials", "search.startup", "search.repeats", "search.rungs"}
REST = {"confirmation.epochs", "confirmation.seeds", "confirmation.members", "family.epochs"}


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a", PilotSettings()),
        ("pilot: true", PilotSettings()),
        ("pilot: false", None),
        ("pilot: {networks: 6, share: 0.05}", PilotSettings(networks=6, share=0.05)),
    ],
)
def test_a_pilot_is_on_off_or_of_a_size(text: str, expected: PilotSettings | None, tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, text))
    assert settings.pilot == expected and settings.open_keys == ()
    again = load_settings(written(tmp_path, settings.to_yaml()))
    assert again.pilot == expected
    assert "pilot" not in settings.identity(), "it may be switched off in a run"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pilot: {networks: 0}", r"pilot\.networks is 0"),
        ("pilot: {share: 2}", r"pilot\.share is 2"),
        ("pilot: {size: 2}", "there is no such setting"),
        ("hours: 0", "hours is 0"),
        ("{hours: 2, pilot: false}", "the pilot plans search.trials"),
        ("{search: {rungs: auto}, pilot: false}", r"the pilot plans search\.rungs"),
    ],
)
def test_wrong_ones_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(written(tmp_path, text))


def test_what_is_not_given_is_planned_for_a_time(tmp_path: Path) -> None:
    assert set(load_settings(written(tmp_path, "hours: 8")).open_keys) == SEARCH | REST
    text = "{hours: 8, search: {rungs: [3, 6], trials: 60}, confirmation: {seeds: 3}}"
    settings = load_settings(written(tmp_path, text))
    assert set(settings.open_keys) == (SEARCH | REST) - {
        "search.rungs",
        "search.trials",
        "confirmation.seeds",
    }
    assert [rung.epochs for rung in settings.search.rungs] == [3, 6]
    # Without a time, lengths only.
    automatic = load_settings(written(tmp_path, "{search: {rungs: auto}, family: {epochs: 20}}"))
    assert set(automatic.open_keys) == {"search.rungs", "confirmation.epochs"}
    # Nothing is left: a time is then no more than a wish.
    parts = "confirmation: {epochs: 9, seeds: 2, members: 4}, family: {epochs: 9}"
    whole = f"{{hours: 8, search: {{rungs: [3], trials: 60, startup: 9, repeats: 1}}, {parts}}}"
    assert load_settings(written(tmp_path, whole)).open_keys == ()


def test_a_preset_is_no_wish_where_a_time_is_given() -> None:
    plain, timed = load_settings("quickstart"), load_settings("quickstart", {"hours": 8.0})
    assert plain.open_keys == () and set(timed.open_keys) == SEARCH | REST
    assert plain.supernet is not None and timed.supernet is None
    assert timed.search.strategy == "predictor" and timed.pilot == PilotSettings()
    assert timed.data == plain.data and timed.space.digest == plain.space.digest
    given = load_settings(None, {"hours": 8.0, "search.trials": 99})
    assert given.search.trials == 99 and "search.trials" not in given.open_keys


def test_what_is_open_stays_open_in_a_file(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "{hours: 8, confirmation: {seeds: 3}}"))
    again = load_settings(written(tmp_path, settings.to_yaml()))
    assert again.open_keys == settings.open_keys and again.identity() == settings.identity()
    assert settings.identity()["search"]["rungs"] == settings.identity()["search"]["startup"] == "auto"
    planned = settings.model_copy(
        update={"search": settings.search.model_copy(update={"rungs": (Rung(epochs=3),), "startup": 9})}
    )
    assert planned.identity()["search"]["rungs"] == [3]


def test_a_job_on_a_cluster_plans_there(tmp_path: Path) -> None:
    text = f"{{hours: 8, output: {tmp_path}, data: {{cache: {tmp_path}}}}}"
    with Submission.of(str(written(tmp_path, text))).staged() as folder:
        assert set(load_settings(folder / "settings.yaml").open_keys) == SEARCH | REST
