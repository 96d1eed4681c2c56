"""The frontier and the family as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from results import units
from results.analysis.frontier import MeasuredNetwork
from results.family.family import Family
from results.family.outcome import MemberOutcome
from searcher.objectives import DEFAULT_OBJECTIVES, OBJECTIVES
from searcher.plan.confirmation import Confirmed
from searcher.plan.provisional_frontier import FrontierPoint


def confirmed_table(confirmed: Sequence[Confirmed], objectives: Sequence[str] = DEFAULT_OBJECTIVES) -> Table:
    """The confirmed candidates, the cheapest first, with mean and spread; frontier members are marked."""
    table = Table(title="Confirmed frontier", title_justify="left", box=box.SIMPLE_HEAD)
    for head in ("", "multiply-adds", "top-1", *_heads(objectives), "cannot be told from"):
        table.add_column(head, justify="left" if head in ("", "cannot be told from") else "right")
    table.add_column("digest")
    names = {each.digest: units.count(each.macs) for each in confirmed}
    for each in confirmed:
        table.add_row(
            "*" if each.on_frontier else "",
            units.count(each.macs),
            units.accuracy(each.mean, each.std or 0.0, each.count),
            *_cells(each.metrics, objectives),
            ", ".join(names[digest] for digest in each.ties),
            each.digest,
        )
    return table


def provisional_table(
    points: Sequence[FrontierPoint], objectives: Sequence[str] = DEFAULT_OBJECTIVES
) -> Table:
    """The frontier so far, the cheapest first."""
    table = Table(title="Frontier so far", title_justify="left", box=box.SIMPLE_HEAD)
    for head in ("multiply-adds", "top-1", *_heads(objectives), "epochs"):
        table.add_column(head, justify="right")
    table.add_column("architecture", overflow="fold")
    for each in points:
        table.add_row(
            units.count(each.macs),
            units.percent(each.accuracy),
            *_cells(each.metrics, objectives),
            str(each.epochs),
            each.architecture,
        )
    return table


def _heads(objectives: Sequence[str]) -> list[str]:
    """Columns of the objectives that a table does not have anyway."""
    return [name.replace("_", " ") for name in objectives if name not in DEFAULT_OBJECTIVES]


def _cells(metrics: Mapping[str, float], objectives: Sequence[str]) -> list[str]:
    return [
        _cell(name, metrics.get(OBJECTIVES[name].metric))
        for name in objectives
        if name not in DEFAULT_OBJECTIVES
    ]


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return units.DASH
    if name == "latency":
        return units.milliseconds(value)
    return units.size(value) if name.endswith("_bytes") else units.count(value)


def members_table(members: Sequence[MeasuredNetwork]) -> Table:
    """Return the provisional frontier as a table, the cheapest first."""
    title = "Provisional frontier (not confirmed yet)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for head in ("multiply-adds", "top-1", "parameters", "state"):
        table.add_column(head, justify="right")
    table.add_column("architecture", overflow="fold")
    for each in members:
        table.add_row(
            units.count(each.macs),
            units.accuracy(each.accuracy, each.spread, each.seeds),
            units.count(each.parameters),
            units.size(each.state_bytes),
            each.architecture,
        )
    return table


def family_table(family: Family, outcomes: Mapping[str, MemberOutcome]) -> Table:
    """The members with what they cost and, as far as they are trained, what they can."""
    table = Table(
        title="Family", title_justify="left", box=box.SIMPLE_HEAD, caption="\n".join(family.notes) or None
    )
    table.add_column("name", no_wrap=True)
    for head in ("macs", "parameters", "state", "top-1", "streamed", "ms/frame", "ONNX off"):
        table.add_column(head, justify="right", no_wrap=True)
    for member in family.members:
        outcome = outcomes.get(member.name, MemberOutcome(""))
        check = outcome.export.check if outcome.export else None
        failed = outcome.export is not None and not outcome.export.passed
        table.add_row(
            member.name,
            units.count(member.macs),
            units.count(member.parameters),
            units.size(member.state_bytes),
            _share(outcome.metrics.get("top1")),
            _share(outcome.metrics.get("stream_top1")),
            f"{outcome.latency.median:.2f}" if outcome.latency else units.DASH,
            "failed" if failed else f"{check.relative:.1e}" if check else units.DASH,
        )
    return table


def _share(value: float | None) -> str:
    return units.DASH if value is None else units.percent(value)
