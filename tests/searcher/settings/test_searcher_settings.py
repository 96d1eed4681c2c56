"""Settings: what is resolved, and what is refused with key, value and remedy."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy_train.data.settings import DataSettings
from search_space.cost.latency_table import KINDS, LatencyTable, frame_operations, space_operations
from search_space.errors import RecordError, SettingsError
from search_space.space.budgets import PAPER
from search_space.space.space import SearchSpace
from searcher.cluster import machine
from searcher.settings import checks
from searcher.settings.checks import check_settings
from searcher.settings.reading import load_settings, preset_names
from searcher.settings.settings import Settings
from searcher.testing.domains import TINY_SPACE
from tests.searcher.tiny_driver import tiny_settings


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def _four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "cpus", lambda: 4)
    monkeypatch.setattr(machine, "cpus", lambda: 4)


def test_the_default_is_whole_and_can_be_used(tmp_path: Path) -> None:
    settings = load_settings(None, {"output": str(tmp_path), "data.cache": str(tmp_path / "cache")})
    space = check_settings(settings)
    low, high = settings.window(space)
    assert settings.name == "quickstart"
    assert settings.search.trials >= 40
    assert high / low > 8
    assert "quickstart" in preset_names()
    assert settings.search.workers == 4, "auto is what the machine has"


def test_resolved_settings_stand_alone(tmp_path: Path) -> None:
    settings = load_settings("quickstart", {"search.trials": 20})
    again = load_settings(written(tmp_path, settings.to_yaml()))
    assert again.identity() == settings.identity()
    assert again.digest == settings.digest
    assert again.space == settings.space
    assert again.to_yaml() == settings.to_yaml()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("sead: 1", r"line 1: sead: there is no such setting", "seed"),
        ("name: a\nsearch:\n  trails: 3", r"line 3: search\.trails: there is no such setting", "trials"),
        ("recipe: {lr: 1}", r"recipe\.lr: there is no such setting", "learning_rate"),
        ("data: {path: x}", r"data\.path: there is no such setting", "root"),
        ("search: {trials: many}", r"search\.trials is 'many'", "integer"),
        ("search: {trials: 2.5}", r"search\.trials is 2\.5", "integer"),
        ("search: {trials: true}", r"search\.trials is True", "integer"),
        ("search: {trials: 0}", r"search\.trials is 0", "greater than or equal to 1"),
        ("search: {strategy: magic}", r"search\.strategy is 'magic'", "use tpe, random"),
        ("search: {rungs: [4, 2]}", r"search\.rungs is \[4, 2\]", "increase"),
        (
            "search: {rungs: [{epochs: 2, shar: 1}, 4]}",
            r"search\.rungs\[0\]\.shar: there is no such",
            "share",
        ),
        (
            "search: {rungs: [{epochs: 2, share: 2}, 4]}",
            r"search\.rungs\[0\]\.share is 2",
            "less than or equal",
        ),
        ("search: {rungs: [{share: 0.5}, 4]}", r"search\.rungs\[0\]\.epochs", ""),
        ("search: {rungs: [true]}", r"search\.rungs\[0\] is True", ""),
        ("search: {rungs: [2, {epochs: 4, size: 0.5}]}", r"search\.rungs is", "must not shrink"),
        (
            "search: {objectives: [accuracy, latency], rungs: [{epochs: 2, width: 0.5}, 4]}",
            r"search: latency is that of whole networks",
            "",
        ),
        ("search: {rungs: []}", r"search\.rungs is \[\]", "at least 1"),
        ("search: {reduction: 1}", r"search\.reduction is 1", "greater than or equal to 2"),
        ("search: {startup: 100}", r"search.startup 100 is more than search.trials 48", ""),
        ("search: {macs: {low: 5.0e+6, high: 2.0e+6}}", r"search\.macs: low 5e\+06 is not below high", ""),
        ("search: {macs: {low: -1}}", r"search\.macs\.low is -1", "greater than 0"),
        ("search: {macs: {low: .nan}}", r"search\.macs\.low is nan", ""),
        (
            "search: {objectives: [macs, accuracy]}",
            r"search\.objectives is \['macs', 'accuracy'\]",
            "accuracy first",
        ),
        (
            "search: {objectives: [accuracy]}",
            r"search\.objectives is \['accuracy'\]",
            "one or more different",
        ),
        ("search: {objectives: [accuracy, macs, macs]}", r"search\.objectives", "different costs"),
        (
            "search: {objectives: [accuracy, beauty]}",
            r"search\.objectives.* is 'beauty'",
            "parameters, latency",
        ),
        ("search: {constraints: {latency_ms: 0}}", r"search\.constraints\.latency_ms is 0", "greater than 0"),
        ("search: {constraints: {beauty: 1}}", r"search\.constraints.*", "limit latency_ms, not beauty"),
        ("search: {constraints: {parameters: 1}}", r"search\.constraints.*", "a window in search.windows"),
        (
            "search: {windows: {latency: {high: 3}}}",
            r"search\.windows\.latency: there is no such",
            "state_bytes",
        ),
        ("search: {windows: {parameters: {low: 3, high: 2}}}", r"low 3 is not below high 2", ""),
        (
            "search: {macs: {low: 2.0e+6}, windows: {macs: {low: 1.0e+6}}}",
            r"are the same setting",
            "keep one",
        ),
        ("search: {budget_minutes: 0}", r"search\.budget_minutes is 0", "greater than 0"),
        ("storage: sqlite:///x.db", r"storage is 'sqlite:///x\.db'", "postgresql://"),
        ("confirmation: {epochs: 1}", r"confirmation\.epochs 1 is below the last of search\.rungs, 8", ""),
        ("family: {budgets: {A6: 1.0e+6}}", r"line 1: family\.budgets.* A6", "ensemble"),
        ("family: {budgets: {phone: 5 miles}}", r"family\.budgets: budget phone=5 miles", "5ms"),
        ("family: {budgets: {phone: 5ms, A0: 2e6}}", r"family\.budgets: .*several units: macs, ms", "in one"),
        ("family: {budgets: {}}", r"budgets are empty", ""),
        ("name: ../../etc", r"name is '\.\./\.\./etc'", "letters"),
        ("seed: -1", r"seed is -1", "greater than or equal to 0"),
        ("seed: 1\nseed: 2", r"line 2: seed is given twice", "keep one"),
        ("search:\n  trials: 4\n  trials: 5", r"line 3: search\.trials is given twice", ""),
        ("seed: [", r"no valid YAML", ""),
        ("- 1", r"not a mapping", ""),
        ("!!python/object/apply:os.system [true]", r"no valid YAML", ""),
        ("data: {kind: folder}", r"data.*root", ""),
    ],
)
def test_wrong_settings_are_refused_with_key_value_and_remedy(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(written(tmp_path, text))
    assert hint in str(caught.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"'nowhere\.yaml'.*quickstart"):
        load_settings("nowhere.yaml")


def test_overrides_win_and_are_checked(tmp_path: Path) -> None:
    path = written(tmp_path, "search: {trials: 30, startup: 10}")
    assert load_settings(path, {"search.trials": 12}).search.trials == 12
    with pytest.raises(SettingsError, match=r"search\.typo"):
        load_settings(path, {"search.typo": 12})
    with pytest.raises(SettingsError, match=r"space\.name cannot be set: space is 'a2'"):
        load_settings(written(tmp_path, "space: a2"), {"space.name": "b"})


def tried(tmp_path: Path, **changes: Any) -> None:
    check_settings(changed(tmp_path, **changes))


def changed(tmp_path: Path, **changes: Any) -> Settings:
    data = tiny_settings(tmp_path / "runs").model_dump()
    data["data"]["cache"] = tmp_path
    for key, value in changes.items():
        part, _, field = key.partition("__")
        data[part] = {**data[part], field: value} if field else value
    return Settings.model_validate(data)


def test_settings_that_can_work_pass(tmp_path: Path) -> None:
    tried(tmp_path, search__workers=2, search__cpus_per_trial=2)


def test_more_workers_than_cpus_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"search\.workers is 3 .* 6 CPUs, .* has 4.*workers to 2 or less"
    ):
        tried(tmp_path, search__workers=3, search__cpus_per_trial=2)
    with pytest.raises(SettingsError, match=r"lower search\.cpus_per_trial"):
        tried(tmp_path, search__workers=1, search__cpus_per_trial=5)


def test_costs_outside_the_space_are_refused(tmp_path: Path) -> None:
    low, high = tiny_settings(tmp_path).space.macs_range()
    with pytest.raises(SettingsError, match=r"search\.macs\.high is 1e\+12.*the space goes from"):
        tried(tmp_path, search__macs={"high": 1e12})
    with pytest.raises(SettingsError, match=r"search\.macs\.low is 5"):
        tried(tmp_path, search__macs={"low": 5})
    with pytest.raises(SettingsError, match=r"family\.budgets\.A0 is 1e\+12.*choose a value between"):
        tried(tmp_path, family__budgets={"A0": 1e12})
    tried(tmp_path, search__macs={"low": low * 1.1, "high": high * 0.9}, family__budgets={"A0": high * 0.8})
    with pytest.raises(SettingsError, match=r"search\.trials is 100000, but the space holds 6561"):
        tried(tmp_path, search__trials=100_000)


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"data\.root is /nowhere: there is no such folder"):
        tried(tmp_path, data={"kind": "folder", "root": "/nowhere", "cache": str(tmp_path)})
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"output: .*file/tiny cannot be written"):
        tried(tmp_path, output=tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingsError, match="cannot be written"):
        tried(tmp_path)


def test_an_unknown_space_is_refused_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"line 2: space: no space file .*'nonsense'.*presets a0"):
        load_settings(written(tmp_path, "name: a\nspace: nonsense\n"))
    text = yaml.safe_dump({"space": TINY_SPACE | {"stages": []}})
    with pytest.raises(SettingsError, match=r"line 1: space: .*stages"):
        load_settings(written(tmp_path, text))


@pytest.mark.parametrize(
    ("budgets", "limits", "unit"),
    [
        ("{A0: 2.0e+6, phone: 3000000}", {"A0": 2e6, "phone": 3e6}, "macs"),
        ("{phone: 5ms, tablet: 7.5 ms}", {"phone": 5.0, "tablet": 7.5}, "ms"),
        ("{fast: 25%}", {"fast": 25.0}, "%"),
        ("paper", dict(PAPER), "macs"),
    ],
)
def test_budgets_have_any_name_and_unit_and_round_trip(
    budgets: str, limits: dict[str, float], unit: str, tmp_path: Path
) -> None:
    settings = load_settings(written(tmp_path, f"family: {{budgets: {budgets}}}"))
    again = load_settings(written(tmp_path, settings.to_yaml()))
    for found in (settings.family.budgets, again.family.budgets):
        assert found is not None and (dict(found.limits), found.unit) == (limits, unit)


def test_a_file_is_not_blamed_for_what_an_option_said() -> None:
    with pytest.raises(SettingsError, match=r"^space: no space file can be read at 'nowhere'"):
        load_settings("quickstart", {"space": "nowhere"})
    with pytest.raises(SettingsError, match=r"^search\.trials is 0"):
        load_settings("quickstart", {"search.trials": 0})


def test_a_space_file_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(yaml.safe_dump(TINY_SPACE))
    settings = load_settings(written(tmp_path, f"space: {file}\n"))
    before = settings.identity(), settings.to_yaml(), settings.space.with_classes(7).macs_range()
    file.write_text(yaml.safe_dump(TINY_SPACE | {"head": 64}))
    assert (settings.identity(), settings.to_yaml(), settings.space.with_classes(7).macs_range()) == before
    file.unlink()
    assert load_settings(written(tmp_path, settings.to_yaml())).identity() == before[0]


def test_only_what_measurements_mean_is_part_of_the_identity(tmp_path: Path) -> None:
    base = changed(tmp_path)
    same = {"search__workers": 1, "search__trials": 99, "confirmation__seeds": 5, "family__epochs": 50}
    assert changed(tmp_path, **same).digest == base.digest
    for key, value in {
        "seed": 5,
        "search__rungs": (1, 3),
        "search__strategy": "random",
        "space": "a0",
    }.items():
        assert changed(tmp_path, **{key: value}).digest != base.digest, key
    assert changed(tmp_path, recipe__learning_rate=0.5).digest != base.digest
    # Records of versions without columns of lists go on.
    assert "columns" not in base.identity()["data"]
    lists = [
        base.model_copy(update={"data": DataSettings(kind="list", root=tmp_path, columns=columns)})
        for columns in (("path", "frames", "label"), ("path", "label"))
    ]
    assert lists[0].digest != lists[1].digest


def test_a_recipe_may_be_inline_or_a_file(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"learning_rate": 0.125}))
    assert changed(tmp_path, recipe=str(recipe)).recipe.learning_rate == 0.125
    assert changed(tmp_path, recipe={"learning_rate": 0.25}).recipe.learning_rate == 0.25


def test_windows_may_be_said_in_one_place(tmp_path: Path) -> None:
    one = load_settings(
        written(tmp_path, "search: {windows: {macs: {low: 1.0e+6}, parameters: {high: 3.0e+4}}}")
    )
    assert one.search.macs.low == 1e6
    space = one.space.with_classes(16)
    assert one.windows(space) == {"macs": one.window(space), "parameters": (0.0, 3e4)}
    again = load_settings(written(tmp_path, one.to_yaml()))
    assert again.windows(space) == one.windows(space)


def test_windows_that_leave_nothing_are_refused_before_anything_starts(tmp_path: Path) -> None:
    space = tiny_settings(tmp_path).space.with_classes(16)
    possible = {"parameters": {"high": 9000}, "state_bytes": {"low": 300}}
    check_settings(changed(tmp_path, search__windows=possible), space)
    tried(tmp_path, search__windows=possible)
    expected = r"search\.windows: no network .* macs, parameters at once.*parameters \d.* to .*widen"
    with pytest.raises(SettingsError, match=expected):
        check_settings(changed(tmp_path, search__windows={"parameters": {"high": 10}}), space)
    with pytest.raises(SettingsError, match=r"state_bytes, but .* base networks"):
        tried(
            tmp_path, search__objectives=("accuracy", "state_bytes"), space=TINY_SPACE | {"options": "base"}
        )


def test_objectives_are_part_of_a_run_s_identity_and_defaults_are_not_named(tmp_path: Path) -> None:
    base = changed(tmp_path)
    assert not {"objectives", "windows", "constraints"} & set(base.identity()["search"])
    for key, value in {
        "search__objectives": ("accuracy", "macs", "latency"),
        "search__constraints": {"latency_ms": 3.0},
        "search__windows": {"parameters": {"high": 9000.0}},
    }.items():
        other = changed(tmp_path, **{key: value})
        assert other.digest != base.digest, key
        assert load_settings(written(tmp_path, other.to_yaml())).digest == other.digest
    assert changed(tmp_path, search__constraints={"latency_ms": 3.0}).objectives().need_latency


def test_repeats_are_part_of_what_measurements_mean(tmp_path: Path) -> None:
    once, twice = (load_settings(None, {"search.repeats": count}) for count in (1, 2))
    assert "repeats" not in once.identity()["search"], "records of older versions have none"
    assert twice.identity()["search"]["repeats"] == 2 and once.digest != twice.digest
    with pytest.raises(SettingsError, match=r"repeats is 2 with gpus_per_trial 4.*set repeats to 1"):
        load_settings(None, {"search.repeats": 2, "search.gpus_per_trial": 4})


def test_a_password_stays_out_of_a_run_s_files(tmp_path: Path) -> None:
    settings = changed(tmp_path, storage="postgresql://me:secret@host:5433/runs")
    assert settings.storage is not None and "secret" in settings.storage
    assert "secret" not in settings.to_yaml()
    assert load_settings(written(tmp_path, settings.to_yaml())).storage == "postgresql://me@host:5433/runs"
    with pytest.raises(RecordError, match=r"storage postgresql://me@host:5433/runs cannot be used") as caught:
        check_settings(settings)
    assert "secret" not in str(caught.value)


def test_a_latency_table_has_to_be_of_the_space(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    with pytest.raises(SettingsError, match=r"search\.latency_table: .*table\.json does not exist"):
        check_settings(changed(tmp_path, search__latency_table=str(path)))
    space = SearchSpace.from_dict(TINY_SPACE, "tiny")
    times = dict.fromkeys(space_operations(space.choices, space.classes), 1.0)
    table = LatencyTable(
        "tiny", repr(space.choices.options), space.classes, "a phone", "pytorch", 1, operations=times
    )
    table = replace(table, factors=dict.fromkeys(KINDS, 1.0))
    table.write(path)
    settings = changed(tmp_path, search__latency_table=str(path))
    check_settings(settings)
    assert settings.identity()["search"]["latency_table"] == str(path)
    del times[frame_operations(space.smallest(), space.classes)[0]]
    replace(table, operations=times).write(path)
    with pytest.raises(SettingsError, match=r"search\.latency_table: .* has no "):
        check_settings(settings)


def test_a_search_begins_with_the_released_networks_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    assert changed(tmp_path).search.seeds == ("published",)
    assert changed(tmp_path, search__seeds=[]).search.seeds == ()
    assert changed(tmp_path, search__seeds=tmp_path).search.seeds == (str(tmp_path),)
    settings = changed(tmp_path, search__seeds=["published", str(tmp_path)])
    assert load_settings(written(tmp_path, settings.to_yaml())).search.seeds == settings.search.seeds
    assert settings.identity() == changed(tmp_path).identity(), "the record keeps what a search began with"
    with pytest.raises(SettingsError, match=r"search\.seeds\[0\] is 3"):
        load_settings(written(tmp_path, "search: {seeds: [3]}"))


def test_seeds_that_cannot_be_used_are_refused_before_work_starts(tmp_path: Path) -> None:
    space = SearchSpace.from_dict(TINY_SPACE, "tiny")
    largest = space.largest().text
    tried(tmp_path, search__seeds=["published", largest])
    with pytest.raises(SettingsError, match=r"search\.seeds has '.*absent', which cannot be used") as refused:
        tried(tmp_path, search__seeds=[str(tmp_path / "absent")])
    assert "the folder of a run" in refused.value.hint
    narrow = changed(tmp_path, search__seeds=[largest], search__macs={"high": space.macs_range()[1] / 2})
    check_settings(narrow)
    with pytest.raises(SettingsError, match=r"search\.seeds has .*outside search\.macs"):
        check_settings(narrow, space.with_classes(16))
    narrow.run_dir.mkdir(parents=True)
    (narrow.run_dir / "settings.yaml").write_text(narrow.to_yaml())
    check_settings(narrow, space.with_classes(16))


def test_what_the_pilot_plans_is_not_held_against_what_is_given() -> None:
    few = load_settings(None, {"hours": 1.0, "search.trials": 10})
    assert few.search.trials == 10 and "search.startup" in few.open_keys
    long = load_settings(None, {"hours": 1.0, "search.rungs": [20, 40]})
    assert "confirmation.epochs" in long.open_keys
    with pytest.raises(SettingsError, match=r"confirmation.epochs 12 is below the last of search.rungs, 40"):
        load_settings(None, {"hours": 1.0, "search.rungs": [20, 40], "confirmation.epochs": 12})
    for hours in (float("inf"), 1e300, 0):
        with pytest.raises(SettingsError, match="hours"):
            load_settings(None, {"hours": hours})
