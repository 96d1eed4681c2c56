"""Numbers as people read them."""

from __future__ import annotations

import pytest

from results import units


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1000, "1 k"),
        (12_345, "12.3 k"),
        (999_600, "1 M"),
        (2.631e9, "2.63 G"),
    ],
)
def test_count(value: float, words: str) -> None:
    assert units.count(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0 B"), (512, "512 B"), (2048, "2 KiB"), (3_500_000, "3.34 MiB")]
)
def test_size(value: float, words: str) -> None:
    assert units.size(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (421, "7 min 1 s"), (7300, "2 h 1 min")]
)
def test_duration(value: float, words: str) -> None:
    assert units.duration(value) == words


def test_accuracy_shows_a_spread_only_where_there_is_one() -> None:
    assert units.accuracy(0.8126, 0.0041, 3) == "81.3 ± 0.4 %"
    assert units.accuracy(0.8126, 0.0, 1) == "81.3 %"


def test_log_ticks_lie_within_and_stay_few() -> None:
    assert units.log_ticks(3e5, 2.5e6) == [5e5, 1e6, 2e6]
    wide = units.log_ticks(1e3, 1e9)
    assert wide == [10.0**k for k in range(3, 10)]
    with pytest.raises(ValueError, match="0"):
        units.log_ticks(0, 10)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0 %"),
        (0.004, "< 1 %"),
        (0.873, "87 %"),
        (0.996, "> 99 %"),
        (1.0, "100 %"),
        (float("nan"), units.DASH),
    ],
)
def test_a_chance_is_certain_only_where_it_is(value: float, words: str) -> None:
    assert units.chance(value) == words
