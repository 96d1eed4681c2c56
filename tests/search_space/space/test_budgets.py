"""Budgets: one reading for the command line, settings and profiles; what is not one is named."""

from __future__ import annotations

import pytest

from search_space.errors import SettingsError
from search_space.space.budgets import PAPER, Budget, Budgets, parse_budget


@pytest.mark.parametrize(
    ("texts", "limits", "unit"),
    [
        (["A0=2e6", "A1=6e6"], {"A0": 2e6, "A1": 6e6}, "macs"),
        (["phone=5ms"], {"phone": 5.0}, "ms"),
        (["a=25%", "b=100 %"], {"a": 25.0, "b": 100.0}, "%"),
        (["paper"], PAPER, "macs"),
    ],
)
def test_budgets_are_read(texts: list[str], limits: dict[str, float], unit: str) -> None:
    budgets = Budgets.parse(texts)
    assert budgets.limits == limits and budgets.unit == unit


@pytest.mark.parametrize("texts", [["A0"], ["A0=lots"], ["=5"], ["A0=5kg"], ["A0=5ms", "A1=5"], ["A0=1e"]])
def test_budgets_that_cannot_be_read_are_named(texts: list[str]) -> None:
    with pytest.raises(SettingsError, match="budget"):
        Budgets.parse(texts)
    assert not Budgets.parse([]).limits


def test_a_budget_has_a_name_a_value_and_a_unit() -> None:
    assert parse_budget("phone=5ms") == Budget("phone", 5.0, "ms")
    assert parse_budget("A0=5e7") == Budget("A0", 5e7, "macs")
    assert parse_budget(" watch = 12.5 % ") == Budget("watch", 12.5, "%")


def test_settings_give_numbers_texts_or_the_paper() -> None:
    assert Budgets.read({"A0": 2e6, "phone": "6e6"}) == Budgets({"A0": 2e6, "phone": 6e6})
    assert Budgets.read({"A0": "5ms", "A1": "7.5 ms"}) == Budgets({"A0": 5.0, "A1": 7.5}, "ms")
    assert Budgets.read("paper") == Budgets(PAPER)
    with pytest.raises(SettingsError, match="several units"):
        Budgets.read({"A0": 2e6, "A1": "5ms"})
    with pytest.raises(SettingsError, match="not a budget"):
        Budgets.read("thesis")


@pytest.mark.parametrize(
    ("text", "words"),
    [("A6=5e6", "A6"), ("a/b=5e6", "a/b"), ("A0=0", "A0 is 0"), ("A0=-3ms", "A0 is -3"), ("A0=nan", "A0")],
)
def test_impossible_budgets_are_named(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse_budget(text)
