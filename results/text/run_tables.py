"""The frontier and the family as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from results import units
from results.analysis.candidates import MeasuredNetwork
from results.family.family import Family
from results.family.outcome import MemberOutcome
from results.text.fitting_table import Column, FittingTable
from searcher.objectives import DEFAULT_OBJECTIVES, OBJECTIVES, TOP1_SCORE, Score, score_of
from searcher.plan.confirmation import Confirmed
from searcher.plan.measured_reliability import measured_reliabilities
from searcher.plan.provisional_frontier import FrontierPoint
from searcher.record import Measurement


def confirmed_table(
    confirmed: Sequence[Confirmed],
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    measurements: Iterable[Measurement] = (),
) -> FittingTable:
    """Return confirmed candidates with mean, spread and chance, the cheapest first; stars mark the frontier.

    Args:
        confirmed: confirmed candidates.
        objectives: objectives of the search.
        measurements: measurements of the run, whose reliability in the confirmation stands below the table.
    """
    score = score_of(candidate.metrics for candidate in confirmed)
    columns = [
        *(Column("", right=False), Column("multiply-adds"), Column(score.name), Column("chance")),
        *_columns(objectives),
        *(Column("digest", right=False), Column("cannot be told from", right=False, listed=True)),
    ]
    found = [each for each in measured_reliabilities(measurements) if each.purpose == "confirmation"]
    table = FittingTable("Confirmed frontier", columns, keys=2, notes=[each.text() for each in found[-1:]])
    costs = {candidate.digest: units.count(candidate.macs) for candidate in confirmed}
    for candidate in confirmed:
        table.add_row(
            "*" if candidate.on_frontier else "",
            units.count(candidate.macs),
            units.accuracy(candidate.mean, candidate.std or 0.0, candidate.count),
            units.chance(candidate.chance),
            *_cells(candidate.metrics, objectives),
            candidate.digest,
            ", ".join(costs[digest] for digest in candidate.ties),
        )
    return table


def provisional_table(
    points: Sequence[FrontierPoint], objectives: Sequence[str] = DEFAULT_OBJECTIVES
) -> FittingTable:
    """Return the frontier so far, the cheapest first, each with its architecture below.

    Args:
        points: points of the frontier.
        objectives: objectives of the search.
    """
    score = score_of(point.metrics for point in points)
    columns = [Column("multiply-adds"), Column(score.name), *_columns(objectives), Column("epochs")]
    table = FittingTable("Frontier so far", columns)
    for point in points:
        table.add_row(
            units.count(point.macs),
            units.percent(point.accuracy),
            *_cells(point.metrics, objectives),
            str(point.epochs),
            detail=point.architecture,
        )
    return table


def _columns(objectives: Sequence[str]) -> list[Column]:
    """Return the columns of the objectives that a table does not have anyway."""
    return [Column(name.replace("_", " ")) for name in objectives if name not in DEFAULT_OBJECTIVES]


def _cells(metrics: Mapping[str, float], objectives: Sequence[str]) -> list[str]:
    further = [name for name in objectives if name not in DEFAULT_OBJECTIVES]
    return [_cell(name, metrics.get(OBJECTIVES[name].metric)) for name in further]


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return units.DASH
    unit = OBJECTIVES[name].unit
    if unit == "ms":
        return units.milliseconds(value)
    return units.size(value) if unit == "bytes" else units.count(value)


def members_table(members: Sequence[MeasuredNetwork]) -> FittingTable:
    """Return the provisional frontier, the cheapest first, each network with its architecture below."""
    score = score_of(member.metrics for member in members)
    columns = [Column(head) for head in ("multiply-adds", score.name, "parameters", "state")]
    table = FittingTable("Provisional frontier (not confirmed yet)", columns)
    for member in members:
        table.add_row(
            units.count(member.macs),
            units.accuracy(member.accuracy, member.spread, member.seeds),
            units.count(member.parameters),
            units.size(member.state_bytes),
            detail=member.architecture,
        )
    return table


def family_table(
    family: Family, outcomes: Mapping[str, MemberOutcome], score: Score = TOP1_SCORE
) -> FittingTable:
    """Return the members with their costs and, as far as they are trained, what was measured of them.

    Args:
        family: family that was chosen.
        outcomes: outcomes of its members by name.
        score: score of the run.
    """
    heads = ("macs", "parameters", "state", score.name, "streamed", "ms/frame", "ONNX off")
    columns = [Column("name", right=False), *(Column(head) for head in heads)]
    table = FittingTable("Family", columns, notes=family.notes)
    for member in family.members:
        outcome = outcomes.get(member.name, MemberOutcome(""))
        check = outcome.export.check if outcome.export else None
        failed = outcome.export is not None and not outcome.export.passed
        table.add_row(
            member.name,
            units.count(member.macs),
            units.count(member.parameters),
            units.size(member.state_bytes),
            _percent(outcome.metrics.get("top1")),
            _percent(outcome.metrics.get("stream_top1")),
            f"{outcome.latency.median:.2f}" if outcome.latency else units.DASH,
            "failed" if failed else f"{check.relative:.1e}" if check else units.DASH,
        )
    return table


def _percent(fraction: float | None) -> str:
    return units.DASH if fraction is None else units.percent(fraction)
