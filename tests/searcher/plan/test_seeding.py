"""A search begins with networks that are known: which can be, how they are recorded, and what follows."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
import pytest

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import macs
from search_space.errors import RecordError, SettingsError
from search_space.space.space import SearchSpace
from searcher.cluster.cluster import Cluster
from searcher.plan.job import EvaluatorSpec
from searcher.plan.plan import Plan
from searcher.plan.reproduction import reproduce
from searcher.plan.search_plan import SearchPlan
from searcher.plan.search_standing import SearchStanding
from searcher.plan.seeding import check_same_seeds, find_seeds, is_path
from searcher.record.records import Records
from searcher.record.seeds import Seeds
from searcher.record.storage import FILE
from searcher.run.session import Session
from searcher.settings.settings import Settings
from searcher.simulation.yardsticks import run_table
from searcher.strategies.history import Observation
from searcher.strategies.registry import create_strategy, strategy_names
from searcher.strategies.space_domain import SpaceDomain
from tests.searcher.invented import invented
from tests.searcher.searching import plan_over, story
from tests.searcher.serial import run_serially
from tests.searcher.tiny_driver import tiny_settings

SPACE = SearchSpace.preset("quickstart").with_classes(16)
LOW, HIGH = 5e5, 1e7
DOMAIN = SpaceDomain(SPACE, {"macs": (LOW, HIGH)})


def settings_of(folder: Path, **search: Any) -> Settings:
    given = {"trials": 20, "startup": 9, "rungs": [1, 2, 4], "macs": {"low": LOW, "high": HIGH}, **search}
    settings = tiny_settings(folder, **given)
    return settings.model_copy(update={"space": SearchSpace.preset("quickstart")})


@contextmanager
def search(folder: Path, **changes: Any) -> Iterator[SearchPlan]:
    settings = settings_of(folder, **changes)
    with Records.writing(settings.run_dir, settings.identity()) as records:
        if records.seeds is None:
            records.begin(find_seeds(settings.search.seeds, DOMAIN, startup=settings.search.startup))
        yield plan_over(settings, records)


def finished(folder: Path, **changes: Any) -> Records:
    with search(folder, **changes) as plan:
        run_serially(plan, invented())
        return plan.records


def test_the_released_family_is_what_a_search_begins_with() -> None:
    seeds = find_seeds(["published"], DOMAIN, startup=16)
    assert seeds == find_seeds(["published"], DOMAIN, startup=16)
    assert seeds.asked == ("published",) and seeds.left_out == ()
    assert len(seeds.networks) == 5, "at most a third of the startup"
    assert len(find_seeds(["published"], DOMAIN, startup=300).networks) == 6
    assert find_seeds(["published"], DOMAIN, startup=2).networks == ()
    costs = [seed.macs for seed in seeds.networks]
    assert costs == sorted(costs) and costs[0] >= LOW and costs[-1] <= HIGH
    assert all(after / before > 1.1 for before, after in pairwise(costs)), "spread over the cost"
    for seed in seeds.networks:
        architecture = Architecture.parse(seed.architecture)
        assert seed.macs == macs(architecture, 16) and seed.digest == architecture.digest
        assert architecture.options == SPACE.settings.options and architecture.input in SPACE.clips
        assert seed.origin.startswith("published A")
        assert not seed.exact
        assert SPACE.decode(seed.genotype).digest != seed.digest


def test_seeds_keep_all_windows() -> None:
    free = find_seeds(["published"], DOMAIN, startup=16).networks
    narrow = SpaceDomain(SPACE, {"macs": (LOW, HIGH), "parameters": (0.0, 400_000.0)})
    kept = find_seeds(["published"], narrow, startup=16).networks
    assert kept and kept != free
    assert not any(narrow.refusal(Architecture.parse(seed.architecture)) for seed in kept)
    none = SpaceDomain(SPACE, {"macs": (LOW, HIGH), "parameters": (0.0, 20_000.0)})
    assert "inside the search's windows" in find_seeds(["published"], none, startup=16).left_out[0]


def test_a_space_of_other_stages_is_searched_without_the_released_family(tmp_path: Path) -> None:
    space = tiny_settings(tmp_path).space.with_classes(16)
    seeds = find_seeds(["published"], SpaceDomain(space), startup=16)
    assert seeds.networks == ()
    assert "5 stages, and networks of the space have 2" in seeds.left_out[0]


def test_a_network_of_the_space_keeps_its_genotype_and_comes_once() -> None:
    network = SPACE.sample_at(np.random.default_rng(0), LOW, HIGH)
    found = find_seeds([network.text, "published", network.text], DOMAIN, startup=9)
    first = found.networks[0]
    assert (first.exact, first.genotype) == (True, SPACE.encode(network))
    assert (first.digest, first.origin) == (network.digest, "given in search.seeds")
    assert [seed.origin.split()[0] for seed in found.networks[1:]] == ["published"] * 3
    assert found.left_out == ("given in search.seeds: it is the same network as given in search.seeds",)


def refused(network: Architecture, domain: SpaceDomain = DOMAIN) -> str:
    with pytest.raises(SettingsError, match=r"search\.seeds has .* no network can be a candidate") as error:
        find_seeds([network.text], domain, startup=9)
    assert error.value.hint
    return str(error.value)


def test_a_named_network_that_cannot_be_a_candidate_is_refused() -> None:
    rng = np.random.default_rng(0)
    network = SPACE.sample_at(rng, LOW, HIGH)
    assert "clips are 9x32x4" in refused(network.with_input(ClipShape(9, 32, 4)))
    assert "it is a base network" in refused(network.with_options(SearchSpace.preset("a0").settings.options))
    assert "has 4 stages" in refused(replace(network, stages=network.stages[:4]))
    assert "outside search.macs" in refused(SPACE.smallest())
    narrow = SpaceDomain(SPACE, {"macs": (LOW, HIGH), "state_bytes": (1e9, 2e9)})
    assert "state_bytes of" in refused(network, narrow) and "search.windows.state_bytes" in refused(
        network, narrow
    )


def test_what_cannot_be_read_is_refused_with_the_key(tmp_path: Path) -> None:
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "other.json").write_text('{"stem": 8}')
    for entry in ("nothing", "stream_8x32x4_s8", *(str(tmp_path / name) for name in ("", "damaged.json",
                  "other.json", "absent.json", "absent"))):  # fmt: skip
        with pytest.raises(SettingsError, match=r"search\.seeds has ") as error:
            find_seeds([entry], DOMAIN, startup=9)
        assert entry in error.value.message and error.value.hint, entry


def test_files_of_networks_and_ensembles_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, other = (SPACE.sample_at(rng, LOW, HIGH) for _ in range(2))
    member = tmp_path / "A6"
    member.mkdir()
    (member / "architecture.json").write_text(json.dumps({"ensemble": [one.to_json(), other.to_json()]}))
    (tmp_path / "one.json").write_text(json.dumps(one.to_json()))
    of_member = find_seeds([str(member)], DOMAIN, startup=9)
    assert [(seed.digest, seed.origin) for seed in of_member.networks] == [
        (one.digest, str(member)),
        (other.digest, str(member)),
    ]
    of_file = find_seeds([str(tmp_path / "one.json")], DOMAIN, startup=9)
    assert [seed.digest for seed in of_file.networks] == [one.digest]
    assert is_path(str(member)) and is_path(str(tmp_path / "one.json")) and is_path("absent")
    assert not is_path(one.text) and not is_path("published")


def test_an_earlier_run_gives_its_frontier_as_far_as_it_fits(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, seeds=[])
    records = finished(tmp_path, seeds=[])
    (settings.run_dir / "settings.yaml").write_text(settings.to_yaml())
    front = {each.digest for each in records.candidates() if each.metrics}
    all_of_it = find_seeds([str(settings.run_dir)], DOMAIN, startup=9)
    assert len(all_of_it.networks) > 2 and all_of_it.left_out == ()
    assert {seed.digest for seed in all_of_it.networks} <= front
    assert all(seed.exact and "provisional frontier of" in seed.origin for seed in all_of_it.networks)
    costs = sorted(seed.macs for seed in all_of_it.networks)
    narrow = SpaceDomain(SPACE, {"macs": (LOW, costs[-2] + 1.0)})
    kept = find_seeds([str(settings.run_dir)], narrow, startup=9)
    assert sorted(seed.macs for seed in kept.networks) == costs[:-1]
    assert len(kept.left_out) == 1 and "outside search.macs" in kept.left_out[0]
    family = settings.run_dir / "family" / "A0"
    family.mkdir(parents=True)
    scaled = Architecture.parse(find_seeds(["published"], DOMAIN, startup=3).networks[0].architecture)
    (family / "architecture.json").write_text(json.dumps(scaled.to_json()))
    with_family = find_seeds([str(settings.run_dir)], DOMAIN, startup=9).networks
    assert [seed.origin for seed in with_family if seed.digest == scaled.digest] == [str(family)]


@pytest.mark.parametrize("strategy", [name for name in strategy_names() if name not in ("gp", "tunas")])
def test_seeds_are_the_first_candidates_as_they_are(tmp_path: Path, strategy: str) -> None:
    records = finished(tmp_path, strategy=strategy)
    candidates, seeds = records.candidates(), cast(Seeds, records.seeds).networks
    assert len(candidates) == 20 and len(seeds) == 3
    assert [(each.digest, each.architecture, each.macs, each.origin) for each in candidates[:3]] == [
        (seed.digest, seed.architecture, seed.macs, seed.origin) for seed in seeds
    ]
    assert not any(each.origin or not each.exact for each in candidates[3:])
    assert len({each.digest for each in candidates}) == 20
    assert [each.exact for each in SearchStanding(records, (1, 2, 4)).history()[:4]] == [*[False] * 3, True]
    measured = {each.digest: each.metrics["macs"] for each in records.measurements()}
    assert [measured[seed.digest] for seed in seeds] == [seed.macs for seed in seeds]
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "tiny" / FILE))
    trials = optuna.load_study(study_name="tiny", storage=optuna.storages.JournalStorage(backend)).trials
    assert [trial.user_attrs.get("origin") for trial in trials[:4]] == [*(s.origin for s in seeds), None]
    assert tuple(trials[0].params.values()) == seeds[0].genotype
    table = run_table_of(tmp_path, records)
    assert len(np.unique(table.genotypes, axis=0)) == len(table.genotypes)
    assert not {seed.digest for seed in seeds} & set(table.digests)


def run_table_of(folder: Path, records: Records) -> Any:
    settings = settings_of(folder)
    (settings.run_dir / "settings.yaml").write_text(settings.to_yaml())
    assert records.candidates()
    return run_table(settings.run_dir)


@pytest.mark.parametrize("cut", [1, 4, 14])
def test_an_interrupted_search_goes_on_with_its_seeds(tmp_path: Path, cut: int) -> None:
    whole = finished(tmp_path / "whole")
    with search(tmp_path / "cut") as plan:
        run_serially(plan, invented(), stop_after=cut)
    again = finished(tmp_path / "cut")
    assert story(again) == story(whole)
    assert [each.origin for each in again.candidates()] == [each.origin for each in whole.candidates()]


def test_a_search_with_seeds_is_reproduced(tmp_path: Path) -> None:
    records = finished(tmp_path)
    assert reproduce(records, lambda again: plan_over(settings_of(tmp_path), again)) == []


def test_the_network_at_a_seeds_genotype_can_still_be_proposed() -> None:
    seed = find_seeds(["published"], DOMAIN, startup=9).networks[0]
    strategy = create_strategy("mutation", DOMAIN, seed=0, startup=1)
    history = [
        Observation(seed.genotype, seed.macs, (0.5, np.log(seed.macs)), exact=False),
        Observation(SPACE.encode(SPACE.smallest()), 2e5, (0.9, np.log(2e5))),
    ]
    strategy.ledger.read(history)
    assert strategy.ledger.genotypes == {SPACE.encode(SPACE.smallest())}
    design = DOMAIN.design(seed.genotype)
    assert strategy._new_design(design, {seed.digest}, 2, np.random.default_rng(0)) is design


class SerialCluster:
    """Runs plans in this process, as far as ``stop_after`` epochs."""

    def __init__(self, stop_after: int | None = None) -> None:
        self._stop_after = stop_after

    def run(self, plan: Plan, evaluator: EvaluatorSpec) -> None:
        run_serially(plan, evaluator, stop_after=self._stop_after)


def session_over(records: Records, settings: Settings, stop_after: int | None = None) -> Session:
    cluster = cast(Cluster, SerialCluster(stop_after))
    return Session(settings, settings.space.with_classes(16), records, cluster, invented())


def test_a_session_decides_once_what_its_search_begins_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = SPACE.sample_at(np.random.default_rng(0), LOW, HIGH)
    file = tmp_path / "known" / "architecture.json"
    file.parent.mkdir()
    file.write_text(json.dumps(network.to_json()))
    settings = settings_of(tmp_path, seeds=[str(file.parent), "published"], strategy="random")
    with Records.writing(settings.run_dir, settings.identity()) as records, caplog.at_level(logging.INFO):
        session_over(records, settings, stop_after=2).search()
    assert f"the search begins with {file.parent}: {network.text}" in caplog.text
    shutil.rmtree(file.parent)
    with Records.writing(settings.run_dir, settings.identity()) as records:
        session_over(records, settings).search()
        first = records.candidates()[0]
        assert (first.digest, first.origin, first.exact) == (network.digest, str(file.parent), True)
        assert [each.origin.partition(" ")[0] for each in records.candidates()[1:5]] == [
            *["published"] * 3,
            "",
        ]
        assert len(records.candidates()) == 20


def test_a_search_of_an_older_version_goes_on_without(tmp_path: Path) -> None:
    older, settings = settings_of(tmp_path, seeds=[]), settings_of(tmp_path)
    assert older.identity() == settings.identity(), "an older version's record has no seeds"
    with Records.writing(settings.run_dir, older.identity()) as records:
        run_serially(plan_over(older, records), invented(), stop_after=6)
        assert records.seeds is None
    with Records.writing(settings.run_dir, settings.identity()) as records:
        check_same_seeds(records, ("published",))
        check_same_seeds(records, ())
        with pytest.raises(SettingsError, match=r"started without search\.seeds"):
            check_same_seeds(records, ("runs/first",))
        session_over(records, settings).search()
        assert records.seeds is None and not any(each.origin for each in records.candidates())


def test_a_search_is_resumed_with_the_seeds_that_it_began_with(tmp_path: Path) -> None:
    finished(tmp_path)
    with Records.writing(tmp_path / "tiny", settings_of(tmp_path).identity()) as records:
        check_same_seeds(records, ("published",))
        with pytest.raises(SettingsError, match=r"\['published'\] and is now resumed with \[\]"):
            check_same_seeds(records, ())
    changed = settings_of(tmp_path, seeds=[])
    with (
        pytest.raises(SettingsError, match=r"is now resumed with \[\]"),
        Session.open(changed, invented(), classes=16),
    ):
        pass


def test_damaged_seeds_of_a_record_are_named() -> None:
    with pytest.raises(RecordError, match=r"seeds is incomplete: it has no 'networks.0.genotype'"):
        Seeds.of_attribute({"asked": ["published"], "networks": [{"digest": 3}], "left_out": []})


def test_a_supernet_begins_with_networks_of_its_space_alone() -> None:
    own = (
        "stream_8x16x4_s8_w8s2-71e24-a_w8s2-13e32-a_w16s2-53e128-13e128-abb_w32s1-13e128-a_"
        "w96s2-53e128-71e128-ab_h160x128"
    )
    entries = ["published", own]
    free, inside = (find_seeds(entries, DOMAIN, startup=16, inside=inside) for inside in (False, True))
    assert not all(seed.exact for seed in free.networks)
    assert all(seed.exact for seed in inside.networks) and own in [s.architecture for s in inside.networks]
    gone = len(free.networks) - len(inside.networks)
    assert sum("the supernet has no other" in sentence for sentence in inside.left_out) == gone > 0
