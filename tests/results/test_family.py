"""The family: spread over the frontier, monotone, nobody twice, nothing made up."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.family import Family, choose
from results.frontier import FrontierMember, frontier
from search_space.errors import RecordError, SettingsError
from tests.results.synthetic import member, whole_run

SOME = st.lists(
    st.tuples(st.integers(10**4, 10**8), st.integers(1, 99).map(lambda k: k / 100)), min_size=1, max_size=25
)


def line(*macs: int) -> list[FrontierMember]:
    return [member(str(index), each, (index + 1) / (len(macs) + 1)) for index, each in enumerate(macs)]


def names(family: Family) -> list[str]:
    return [m.name for m in family.members]


@given(SOME)
def test_family_is_monotone_without_repeats(points: list[tuple[int, float]]) -> None:
    members = [member(str(index), macs, accuracy) for index, (macs, accuracy) in enumerate(points)]
    family = choose(members)
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
    picked = [m.macs for m in choose(members).singles]
    low, high = math.log(min(macs)), math.log(max(macs))
    targets = [low + (high - low) * index / 5 for index in range(6)]

    def distance(choice: tuple[int, ...] | list[int]) -> float:
        return sum((math.log(m) - t) ** 2 for m, t in zip(choice, targets, strict=True))

    middles = itertools.combinations(sorted(macs)[1:-1], 4)
    best = min(distance((min(macs), *middle, max(macs))) for middle in middles)
    assert distance(picked) == pytest.approx(best)
    assert (picked[0], picked[-1]) == (min(macs), max(macs))


def test_names_and_ensemble_of_a_full_family() -> None:
    family = choose(line(*(10 * 2**k for k in range(9))))
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
    family = choose(line(*(100 * 3**k for k in range(count))))
    assert names(family) == expected
    assert f"{count} member" in family.notes[0]
    assert "A5" in family.notes[0]
    assert (family.ensemble is None) == (count == 1)


def test_no_members_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no confirmed network"):
        choose([])


def test_budgets_take_the_most_accurate_within() -> None:
    family = choose(line(100, 200, 400, 800), {"phone": 450, "watch": 150})
    assert names(family) == ["watch", "phone", "A6"]
    assert [m.macs for m in family.singles] == [100, 400]
    assert [m.budget for m in family.singles] == [150, 450]


def test_a_budget_without_a_network_of_its_own_is_left_out_and_explained() -> None:
    family = choose(line(100, 800), {"tiny": 50, "small": 120, "same": 300, "large": 900})
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
        choose(line(100, 200), budgets)


def test_family_json_round_trips(tmp_path: Path) -> None:
    family = choose(frontier(whole_run(), "confirmation"))
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
        ("[]", "format"),
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
    found = choose(front).ensemble
    assert found is not None and found.parts == ("A0", "A3")
    alone = choose(front[:1] + front[-1:])
    assert alone.ensemble is None and "same clip" in alone.notes[-1]
