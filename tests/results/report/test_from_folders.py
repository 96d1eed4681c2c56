"""The page of a run from its folder: its classes, its objectives, and the same page by whichever command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from proxy_train.data.dataset import Dataset
from results.analysis.frontier import frontier
from results.family.choice import choose_family
from results.report.class_map import ClassMap
from results.report.from_folders import read_run, report_runs
from results.report.run_files import write_run
from results.text.costs import space_text
from search_space.errors import RecordError
from search_space.space.profile import profile_space
from searcher.plan.seeding import find_seeds
from searcher.record.records import Records
from searcher.strategies.space_domain import SpaceDomain
from tests.searcher.invented import invented
from tests.searcher.searching import THREE, finished, settings_of

NAMES = tuple(f"class {index}" for index in range(16))
SINGLE = Dataset("moving-digits", {}, NAMES, flips_change_labels=True)
ACTIONS = Dataset("kitchens", {}, NAMES, flips_change_labels=True, labels_kind="verb_noun", verbs=6)
SEVERAL = Dataset("charades", {}, NAMES, flips_change_labels=True, labels_kind="multi")


def searched(folder: Path, dataset: Dataset = SINGLE, **changes: Any) -> Path:
    """The folder of a finished search of invented trainings over a data set."""
    records, settings = finished(folder, invented(timed=True), **changes), settings_of(folder, **changes)
    (settings.run_dir / "settings.yaml").write_text(settings.to_yaml())
    dataset.write_report(settings.run_dir / "data")
    choose_family(frontier(records.measurements())).write(settings.run_dir / "family.json")
    return settings.run_dir


def page_of(run: Path) -> str:
    assert len(list(report_runs([run]))) == 1
    return (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("dataset", "chance"), [(SINGLE, 1 / 16), (ACTIONS, 1 / (6 * 10)), (SEVERAL, None)])
def test_chance_and_costs_are_those_of_the_runs_own_classes(
    dataset: Dataset, chance: float | None, tmp_path: Path
) -> None:
    folder = searched(tmp_path, dataset)
    run = read_run(folder)
    assert run.references == ({} if chance is None else {"chance": chance})
    assert run.profile == space_text(profile_space(settings_of(tmp_path).space.with_classes(len(NAMES))))
    page = page_of(folder)
    assert ('"text":"chance"' in page) == (chance is not None)


def test_a_search_for_three_objectives_shows_three_whoever_writes_its_page(tmp_path: Path) -> None:
    folder = searched(tmp_path, **THREE)
    by_command = page_of(folder)
    write_run(folder, {})
    own = (folder / "report.html").read_text(encoding="utf-8")
    for page in (by_command, own):
        assert 'id="plot-frontier-latency"' in page
        assert "could not be made" not in page
    assert (folder / "frontier.png").is_file() and (folder / "trials.csv").is_file()


def test_the_page_and_the_tables_say_what_a_search_began_with(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    space = settings.space.with_classes(16)
    known = [space.smallest(), space.largest()]
    with Records.writing(settings.run_dir, settings.identity()) as records:
        records.begin(find_seeds([each.text for each in known], SpaceDomain(space), startup=4))
    folder = searched(tmp_path)
    assert read_run(folder).origins == {each.digest: "given in search.seeds" for each in known}
    assert ">given in search.seeds<" in page_of(folder)
    write_run(folder, {})
    origins = pd.read_csv(folder / "trials.csv")["origin"]
    assert sorted(set(origins)) == ["given in search.seeds", "searched"]


def test_classes_of_a_run_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text('{"data set": "moving-digits", "labels": "single", "classes": {"0": "a", "1": "b"}}')
    assert ClassMap.read(path).outputs == 2 and ClassMap.read(path).chance == 0.5
    path.write_text('{"data set": "x", "labels": "single", "classes": ["a", "b"]}')
    with pytest.raises(RecordError, match=r"classes"):
        ClassMap.read(path)
    path.write_text('{"data set": "x", "labels": "multi", "classes": {"0": "a"}}')
    assert ClassMap.read(path).chance is None
