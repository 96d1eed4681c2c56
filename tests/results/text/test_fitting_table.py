"""Tables at 80 columns and fewer, on a screen and in a pipe: every figure is there, whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from io import StringIO

import pytest
from rich.console import Console

from results import units
from results.commands.terminal import Terminal
from results.export.export import ExportResult
from results.family.choice import choose_family
from results.family.outcome import MemberOutcome
from results.runtimes.sidecar import Check
from results.text.costs import fvcore_table
from results.text.fitting_table import Column, FittingTable
from results.text.run_tables import confirmed_table, family_table, members_table, provisional_table
from search_space.architecture.published import PUBLISHED
from search_space.cost.stopwatch import Latency
from searcher.objectives import OBJECTIVES
from searcher.plan.confirmation import Confirmed
from searcher.plan.provisional_frontier import FrontierPoint
from tests.results.synthetic import member

LINE = PUBLISHED["A5-stream"].text
METRICS = {
    "top1": 0.5555,
    "macs": 123456789.0,
    "parameters": 123456.0,
    "latency_ms": 12.345,
    "state_bytes": 123456.0,
    "activation_bytes": 7654321.0,
}


def confirmed(count: int) -> list[Confirmed]:
    digests = [f"{index:016x}" for index in range(count)]
    return [
        Confirmed(
            digest, LINE, 10**6 * (index + 1) + 234_567, 0.5 + index / 100, 0.0123, 3, index % 2 == 0,
            tuple(other for other in digests if other != digest), METRICS, 1 - index / 7,
        )
        for index, digest in enumerate(digests)
    ]  # fmt: skip


def members_of(count: int) -> FittingTable:
    return members_table([member(str(index), 1234567 * (index + 1), 0.5) for index in range(count)])


def family(names: tuple[str, ...]) -> FittingTable:
    chosen = choose_family([member(str(i), 10**6 * (i + 1), 0.5 + i / 10) for i in range(len(names))],
                    {name: 10**6 * (i + 1.5) for i, name in enumerate(names)})  # fmt: skip
    outcomes = {
        each.name: MemberOutcome(
            f"family/{each.name}",
            {"top1": 0.8123, "stream_top1": 0.8012},
            ExportResult(each.name, None, Check(16, 1.2e-7, 2.0, 1e-4, 0.5, 0.7), 1, 1.0)
            if index
            else ExportResult.failed(each.name, "no memory"),
            Latency(1234.56, 2000.0, 50, "pytorch"),
        )
        for index, each in enumerate(chosen.members)
    }
    return family_table(chosen, outcomes)


TABLES: dict[str, Callable[[], FittingTable]] = {
    "confirmed": lambda: confirmed_table(confirmed(3)),
    "confirmed, ten that cannot be told apart": lambda: confirmed_table(confirmed(10)),
    "confirmed, every objective": lambda: confirmed_table(confirmed(4), tuple(OBJECTIVES)),
    "so far": lambda: provisional_table([FrontierPoint("d", LINE, 123456, 0.5, 8, METRICS)]),
    "so far, every objective": lambda: provisional_table(
        [FrontierPoint("d", LINE, 123456, 0.5, 8, METRICS)] * 2, tuple(OBJECTIVES)
    ),
    "members": lambda: members_of(3),
    "family": lambda: family(("A0", "A1", "A2")),
    "family of long names": lambda: family(("a-phone-of-2026", "b" * 40)),
    # Counted once: it takes a second, and printing changes nothing.
    "fvcore": cache(lambda: fvcore_table(PUBLISHED["A0-stream"], 600)),
}


def printed(table: FittingTable, width: int, *, screen: bool) -> str:
    text = StringIO()
    Terminal(Console(file=text, width=width, force_terminal=screen, no_color=True)).say(table)
    return re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())


@pytest.mark.parametrize("screen", [True, False], ids=["screen", "pipe"])
@pytest.mark.parametrize("width", [80, 60, 200])
@pytest.mark.parametrize("name", TABLES)
def test_every_figure_of_every_table_is_there(name: str, width: int, screen: bool) -> None:
    table = TABLES[name]()
    text = printed(table, width, screen=screen)
    for column in table.columns:
        assert column.head in text
    for row, detail in zip(table._rows, table._details, strict=True):
        for cell, column in zip(row, table.columns, strict=True):
            for part in cell.split(", ") if column.listed else [cell]:
                assert part in text
        assert detail in text
    body = [line for line in text.splitlines() if line.strip() not in {*table._details, *table.notes}]
    assert max(map(len, body)) <= width


def test_a_live_panel_folds_what_is_too_long_and_keeps_it_all() -> None:
    text = StringIO()
    Console(file=text, width=80).print(TABLES["so far"]())
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert LINE in "".join(line.strip() for line in lines)


def test_blocks_repeat_the_first_columns() -> None:
    table = FittingTable("title", [Column("name", right=False), *(Column(f"head {i}") for i in range(6))])
    table.add_row("one", *(str(10**i) for i in range(6)))
    text = table.text(30)
    assert text.count("name") == text.count("one") == 2
    assert table.text(80).count("name") == 1
    with pytest.raises(ValueError, match="7 columns"):
        table.add_row("two")


def test_figures_keep_their_units() -> None:
    assert units.count(1_234_567) in printed(members_of(1), 80, screen=False)
