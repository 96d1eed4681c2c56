"""The family: spread over the frontier, monotone, nobody twice, nothing made up."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.analysis.candidates import MeasuredNetwork
from results.analysis.frontier import frontier
from results.family.budgets import limits_over, with_latency
from results.family.family import Family, choose_family
from results.family.member_folders import write_plan
from results.family.scaled import Scaler
from results.member import write_member
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, ClipShape
from search_space.cost.closed_form import compute_cost
from search_space.errors import RecordError, SettingsError
from search_space.space.budgets import Budgets
from tests.results.synthetic import CLASSES, LABELS, SIZE, architecture, member, network, whole_run

SOME = st.lists(
    st.tuples(st.integers(10**4, 10**8), st.integers(1, 99).map(lambda k: k / 100)), min_size=1, max_size=25
)


def line(*macs: int) -> list[MeasuredNetwork]:
    return [member(str(index), each, (index + 1) / (len(macs) + 1)) for index, each in enumerate(macs)]


def names(family: Family) -> list[str]:
    return [m.name for m in family.members]


@given(SOME)
def test_family_is_monotone_without_repeats(points: list[tuple[int, float]]) -> None:
    members = [member(str(index), macs, accuracy) for index, (macs, accuracy) in enumerate(points)]
    family = choose_family(members)
    singles = family.singles
    assert 1 <= len(singles) <= 6
    assert len({m.digest for m in singles}) == len(singles)
    for one, other in itertools.pairwise(singles):
        assert one.macs < other.macs
        assert one.accuracy is not None and other.accuracy is not None
        assert one.accuracy < other.accuracy
    for single in singles:
        assert not [m for m in members if m.accuracy > (single.accuracy or 0) and m.macs <= single.macs]


@given(st.lists(st.integers(10**4, 10**8), min_size=6, max_size=11, unique=True))
def test_spread_is_the_best_of_all_choices(macs: list[int]) -> None:
    members = line(*sorted(macs))
    picked = [m.macs for m in choose_family(members).singles]
    low, high = math.log(min(macs)), math.log(max(macs))
    targets = [low + (high - low) * index / 5 for index in range(6)]

    def distance(choice: tuple[int, ...] | list[int]) -> float:
        return sum((math.log(m) - t) ** 2 for m, t in zip(choice, targets, strict=True))

    middles = itertools.combinations(sorted(macs)[1:-1], 4)
    best = min(distance((min(macs), *middle, max(macs))) for middle in middles)
    assert distance(picked) == pytest.approx(best)
    assert (picked[0], picked[-1]) == (min(macs), max(macs))


def test_names_and_ensemble_of_a_full_family() -> None:
    family = choose_family(line(*(10 * 2**k for k in range(9))))
    assert names(family) == ["A0", "A1", "A2", "A3", "A4", "A5", "A6"]
    assert family.notes == ()
    ensemble = family.ensemble
    assert ensemble is not None
    assert ensemble.parts == ("A4", "A5")
    assert ensemble.macs == family["A4"].macs + family["A5"].macs
    assert ensemble.state_bytes == family["A4"].state_bytes + family["A5"].state_bytes
    assert ensemble.accuracy is None
    assert family.span == 2**8


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ["A0"]),
        (2, ["A0", "A1", "A6"]),
        (3, ["A0", "A1", "A2", "A6"]),
        (5, ["A0", "A1", "A2", "A3", "A4", "A6"]),
    ],
)
def test_short_frontier_gives_fewer_members_and_says_so(count: int, expected: list[str]) -> None:
    family = choose_family(line(*(100 * 3**k for k in range(count))))
    assert names(family) == expected
    assert f"{count} member" in family.notes[0]
    assert "A5" in family.notes[0]
    assert (family.ensemble is None) == (count == 1)


def test_no_members_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no confirmed network"):
        choose_family([])


def test_budgets_take_the_most_accurate_within() -> None:
    family = choose_family(line(100, 200, 400, 800), {"phone": 450, "watch": 150})
    assert names(family) == ["watch", "phone", "A6"]
    assert [m.macs for m in family.singles] == [100, 400]
    assert [m.budget for m in family.singles] == [150, 450]


def test_a_budget_without_a_network_of_its_own_is_left_out_and_explained() -> None:
    family = choose_family(line(100, 800), {"tiny": 50, "small": 120, "same": 300, "large": 900})
    assert names(family) == ["small", "large", "A6"]
    assert [note.split(":")[0] for note in family.notes] == ["No tiny", "No same"]


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        ({"a": 0.0}, "a is 0"),
        ({"a": math.nan}, "a is nan"),
        ({"a": -5.0}, "a is -5"),
        ({"a": 10.0}, "reaches the cheapest"),
        ({}, "reaches the cheapest"),
        ({"A6": 500.0}, "A6"),
    ],
)
def test_impossible_budgets_are_refused(budgets: dict[str, float], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        choose_family(line(100, 200), budgets)


def test_family_json_round_trips(tmp_path: Path) -> None:
    family = choose_family(frontier(whole_run(), "confirmation"))
    path = tmp_path / "family.json"
    family.write(path)
    assert Family.read(path) == family
    assert [p.name for p in tmp_path.iterdir()] == ["family.json"]
    with pytest.raises(RecordError, match="A9"):
        family["A9"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "damaged"),
        ("[]", "not a mapping"),
        ('{"format": "movinas-family-9"}', "movinas-family-9"),
        ('{"format": "movinas-family-1", "notes": []}', "incomplete"),
        (json.dumps({"format": "movinas-family-1", "notes": [], "members": [{"parts": []}]}), "incomplete"),
    ],
)
def test_damaged_family_json_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "family.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=words):
        Family.read(path)
    with pytest.raises(RecordError, match="does not exist"):
        Family.read(tmp_path / "other.json")


def test_the_ensemble_is_of_the_two_largest_that_take_the_same_clip() -> None:
    sizes = (16, 24, 24, 16, 32)
    front = [member(str(n), 1000 * 2**n, 0.5 + 0.05 * n, size=size) for n, size in enumerate(sizes)]
    found = choose_family(front).ensemble
    assert found is not None and found.parts == ("A0", "A3")
    alone = choose_family(front[:1] + front[-1:])
    assert alone.ensemble is None and "same clip" in alone.notes[-1]


CLIPS = (ClipShape(8, SIZE, 8.0),)


def test_where_the_search_has_nothing_the_nearest_network_is_scaled_and_marked() -> None:
    origin = architecture(48)
    macs = compute_cost(origin, CLASSES).macs
    front = [replace(member("measured", macs, 0.8), architecture=origin.text)]
    budgets = {"small": 0.6 * macs, "same": 1.05 * macs, "large": 4.0 * macs}
    family = choose_family(front, budgets, scaler=Scaler(CLASSES, CLIPS))
    assert [m.name for m in family.singles] == ["small", "same", "large"]
    for single in family.singles:
        network = Architecture.parse(single.architecture)
        assert single.macs == compute_cost(network, CLASSES).macs <= budgets[single.name]
        assert single.digest == (network.digest if single.scaled_from else "measured")
        assert network.input in CLIPS
    scaled = [m for m in family.singles if m.scaled_from]
    assert [m.name for m in scaled] == ["small", "large"]
    assert all(m.scaled_from == "measured" and m.accuracy is None and m.seeds == 0 for m in scaled)
    assert all(one.macs < other.macs for one, other in itertools.pairwise(family.singles))
    assert [note.split(" is ")[0] for note in family.notes] == ["small", "large"]
    assert family["large"].macs > 0.5 * budgets["large"]


def test_scaling_does_not_go_beyond_what_the_released_family_did() -> None:
    origin = architecture(48)
    macs = compute_cost(origin, CLASSES).macs
    front = [replace(member("measured", macs, 0.8), architecture=origin.text)]
    family = choose_family(front, {"near": 1.1 * macs, "far": 1e6 * macs}, scaler=Scaler(CLASSES, CLIPS))
    assert [m.name for m in family.singles] == ["near"]
    assert any(note.startswith("No far") for note in family.notes)


def test_budgets_of_latency_pick_by_latency() -> None:
    front = [
        replace(member(name, macs, accuracy), metrics={"latency_ms": ms})
        for name, macs, accuracy, ms in (("a", 100, 0.5, 4.0), ("b", 90, 0.6, 8.0), ("c", 300, 0.7, 5.0))
    ]
    family = choose_family(front, {"fast": 4.5, "slow": 9.0}, cost="latency")
    assert [(m.name, m.digest, m.latency_ms) for m in family.singles] == [
        ("fast", "a", 4.0),
        ("slow", "c", 5.0),
    ]
    assert family.cost == "latency"


def test_a_pick_far_below_its_budget_is_remarked() -> None:
    assert "far below" in choose_family(line(100, 200), {"A0": 1e6}).notes[0]


def test_shares_are_of_the_slowest_network() -> None:
    front = [
        replace(each, metrics={"latency_ms": ms}) for each, ms in zip(line(10, 20), (2.0, 8.0), strict=True)
    ]
    assert limits_over(Budgets({"a": 25.0}, "%"), front) == {"a": 2.0}
    assert limits_over(Budgets({"a": 3.0}, "ms"), front) == {"a": 3.0}


def test_networks_without_a_latency_are_timed_and_base_ones_are_refused() -> None:
    network = replace(member("x", 100, 0.5), architecture=architecture().text)
    timed = replace(network, digest="y", metrics={"latency_ms": 3.0})
    found = with_latency([network, timed], CLASSES)
    assert found[0].value("latency") > 0 and found[1] is timed
    with pytest.raises(SettingsError, match="base network"):
        with_latency([replace(network, architecture=architecture(options=BASE).text)], CLASSES)


def test_a_plan_is_architecture_recipe_and_card(tmp_path: Path) -> None:
    family = choose_family(
        [replace(each, architecture=architecture(8 * n).text) for n, each in enumerate(line(10, 20, 40), 1)]
    )
    said = list(write_plan(tmp_path, family, "epochs: 3\n", LABELS))
    assert len(said) == len(family.members) == 4
    for each in family.members:
        folder = tmp_path / each.name
        assert sorted(p.name for p in folder.iterdir()) == ["architecture.json", "card.md", "recipe.yaml"]
        card = (folder / "card.md").read_text()
        assert "no weights before it is trained" in card and "StreamingClassifier" not in card
    stored = json.loads((tmp_path / "A1" / "architecture.json").read_text())
    assert Architecture.from_json(stored).text == family["A1"].architecture


def test_a_plan_keeps_networks_that_are_trained(tmp_path: Path) -> None:
    write_member(tmp_path / "A0", "A0", network(), recipe_yaml="", labels=LABELS, metrics={})
    trained = architecture()
    same = choose_family([replace(member("a", 10, 0.5), architecture=trained.text, digest=trained.digest)])
    assert "trained already" in next(iter(write_plan(tmp_path, same, "", LABELS)))
    other = choose_family([replace(member("b", 10, 0.5), architecture=architecture(40).text)])
    list(write_plan(tmp_path, other, "", LABELS))
    assert (tmp_path / f"A0-{trained.digest[:8]}" / "weights.safetensors").is_file()
    assert not (tmp_path / "A0" / "weights.safetensors").exists()
