"""The parts of the report: each function makes the HTML of one section from a run."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from results import units
from results.analysis.candidates import Columns
from results.analysis.frontier import frontier
from results.analysis.measurements import of_purpose
from results.export.export import ExportResult
from results.family.family import FamilyMember
from results.family.outcome import MemberOutcome
from results.plots.frontier_view import searched_words
from results.report.page import Cell, code, facts, guarded, listing, note, number, table, text
from results.report.plots import MAKERS, wanted_plots
from results.report.run_view import Run
from search_space.errors import MovinasError
from searcher.plan.measured_reliability import NOISE_REMEDY, measured_reliabilities

# More rows would make the page too large; the tables of the run's folder have all.
_MOST_ROWS = 500
_MOST_FAILURES = 200


def summary_part(run: Run) -> str:
    """Return the key figures."""
    searched = Columns.of(run.measurements, "search").latest()
    confirmed = frontier(run.measurements, "confirmation")
    failed = sum(m.status == "failed" for m in run.measurements)
    figures = {
        "distinct architectures measured": str(len(searched)),
        "points on the confirmed frontier" if confirmed else "points on the provisional frontier": str(
            len(confirmed or frontier(run.measurements))
        ),
    }
    accuracies = list(run.trained.values())
    if accuracies:
        figures[f"best {run.score.name} of the family, trained"] = units.percent(max(accuracies))
    elif confirmed or searched:
        best = max((m.accuracy for m in confirmed), default=float(searched.accuracy.max(initial=0)))
        figures[f"best {run.score.name} so far"] = units.percent(best)
    if run.family:
        figures[f"multiply-adds, largest to smallest of {len(run.family.singles)}"] = (
            f"{run.family.span:.1f} x"
        )
    if run.seconds is not None:
        figures["wall time"] = units.duration(run.seconds)
    reliabilities = measured_reliabilities(run.measurements)
    warning = ""
    if reliabilities:
        last = reliabilities[-1]
        figures[f"reliability ({last.kind})"] = last.reliability.text()
        warning = note(f"{last.kind}: {NOISE_REMEDY}.") if last.reliability.mostly_noise else ""
    figures["failed measurements"] = str(failed)
    return facts(figures) + warning


def _plot(name: str, run: Run, words: str = "") -> str:
    """Return one plot in its frame; its failure does not take its section's tables with it."""

    def draw() -> str:
        try:
            return MAKERS[name](run).markup(f"plot-{name}")
        except MovinasError as error:
            return note(f"Not drawn: {error}.")

    caption = f"<figcaption>{html.escape(words)}</figcaption>" if words else ""
    return f'<figure class="plot">{guarded(f"The plot {name!r}", draw)}{caption}</figure>'


def frontier_part(run: Run) -> str:
    """Return the frontier against multiply-adds and every other cost that was searched for."""
    names = [name for name in wanted_plots(run) if name.startswith("frontier") or name == "attainment"]
    words = note(
        "Every candidate at the most thorough fidelity that it reached. The confirmed frontier is measured "
        "again with more seeds and a longer schedule; bars are one standard deviation. Hover for details."
    )
    plots = "\n".join(_plot(name, run) for name in names)
    return plots + words + guarded("The table of confirmed candidates", partial(_confirmed, run))


def _confirmed(run: Run) -> str:
    """Return the confirmed candidates, the cheapest first, each with its chance; nothing if none is."""
    candidates = run.confirmed()
    if not candidates:
        return ""
    costs = {candidate.digest: units.count(candidate.macs) for candidate in candidates}
    rows = [
        [
            text("confirmed" if candidate.on_frontier else ""),
            number(units.count(candidate.macs), candidate.macs),
            number(units.accuracy(candidate.mean, candidate.std or 0.0, candidate.count), candidate.mean),
            number(str(candidate.count), candidate.count),
            number(units.chance(candidate.chance), candidate.chance),
            text(", ".join(costs[digest] for digest in candidate.ties)),
            code(candidate.architecture),
        ]
        for candidate in candidates
    ]
    heads = (
        *("frontier", "multiply-adds", run.score.name, "trainings", "chance", "cannot be told from"),
        "architecture",
    )
    return table(heads, rows, tall=True) + note(
        "The chance is that of being on the frontier of the true means, from all trainings of the "
        "confirmation together. A candidate beside the frontier can have one, too."
    )


def family_part(run: Run) -> str:
    """Return the family's table."""
    if not run.family:
        return note("The family is chosen once the frontier is confirmed.")
    heads = (
        "name",
        "multiply-adds",
        "parameters",
        "state",
        f"confirmed {run.score.name}",
        "chance",
        f"trained {run.score.name}",
        "frame by frame",
        "latency a frame",
    )
    chances = {candidate.digest: candidate.chance for candidate in run.confirmed()}
    rows = [
        _family_row(member, run.outcomes.get(member.name), chances.get(member.digest, math.nan))
        for member in run.family.members
    ]
    notes = "".join(note(words) for words in run.family.notes)
    width = max(len(member.name) for member in run.family.members)
    lines = (
        f"{m.name:{width}}  {m.architecture or 'ensemble of ' + ' and '.join(m.parts)}"
        for m in run.family.members
    )
    return table(heads, rows) + notes + "<br>" + listing("\n".join(lines))


def _family_row(member: FamilyMember, outcome: MemberOutcome | None, chance: float) -> list[Cell]:
    name = f"<b>{html.escape(member.name)}</b>"
    if outcome:
        name = f'<a href="{html.escape(outcome.folder, quote=True)}/">{name}</a>'
    if member.scaled_from:
        name += " (scaled)"
    metrics = outcome.metrics if outcome else {}
    confirmed = (
        number(units.accuracy(member.accuracy, member.spread, member.seeds), member.accuracy)
        if member.accuracy is not None
        else text(units.DASH)
    )
    return [
        Cell(name),
        number(units.count(member.macs), member.macs),
        number(units.count(member.parameters), member.parameters),
        number(units.size(member.state_bytes), member.state_bytes),
        confirmed,
        text(units.DASH) if math.isnan(chance) else number(units.chance(chance), chance),
        _percent(metrics.get("top1")),
        _percent(metrics.get("stream_top1")),
        _latency(outcome),
    ]


def _percent(fraction: float | None) -> Cell:
    return text(units.DASH) if fraction is None else number(units.percent(fraction), fraction)


def _latency(outcome: MemberOutcome | None) -> Cell:
    if outcome and outcome.export and outcome.export.check:
        return number(units.milliseconds(outcome.export.check.latency_ms), outcome.export.check.latency_ms)
    if outcome and outcome.latency:
        return number(units.milliseconds(outcome.latency.median), outcome.latency.median)
    return text(units.DASH)


def next_part(run: Run) -> str:
    """Return the commands to type next."""
    return listing("\n".join(run.next_commands)) if run.next_commands else note("Nothing is left to do.")


def search_part(run: Run) -> str:
    """Return how the search went: hypervolume, rungs, learning curves, reliability."""
    searched = of_purpose(run.measurements, "search")
    pairs = [("hypervolume", "hypervolume-time"), ("survival", "curves")]
    rows = [f'<div class="pair">{_plot(one, run)}{_plot(other, run)}</div>' for one, other in pairs]
    spent = sum(m.seconds for m in searched)
    words = note(
        f"{len(searched)} measurements, {units.duration(spent)} of training. An evaluation is one "
        "measurement, at any rung. The hypervolume is the dominated share of accuracy 0 to 1 and the range "
        "of log costs."
    )
    return "\n".join(rows) + words + _reliability(run)


def _reliability(run: Run) -> str:
    """Return how reliable each kind of training was that was repeated; nothing if none was."""
    found = measured_reliabilities(run.measurements)
    if not found:
        return ""
    heads = ("kind of training", "reliability", "points between seeds", "networks", "trainings")
    rows = [
        [
            text(each.kind),
            number(each.reliability.text(), each.reliability.value),
            number(f"{100 * each.reliability.seed_deviation:.1f}", each.reliability.seed_deviation),
            number(str(each.reliability.networks), each.reliability.networks),
            number(str(each.reliability.trainings), each.reliability.trainings),
        ]
        for each in found
    ]
    words = note(
        "Reliability is the share of the variance between networks of like cost that is theirs and not the "
        "seed's, with its 95 % interval: 1 if every training of a network ends alike, 0 if networks cannot "
        "be told apart. Points between seeds are the standard deviation between trainings of one network."
    )
    noisy = [each.kind for each in found if each.reliability.mostly_noise]
    return table(heads, rows) + words + "".join(note(f"{kind}: {NOISE_REMEDY}.") for kind in noisy)


def choices_part(run: Run) -> str:
    """Return what was chosen along the frontier, and which choices matter."""
    return "\n".join(
        (
            _plot("along", run, "Lighter is more, within a row. Kernels are frames x pixels x pixels."),
            _plot(
                "importance",
                run,
                "By how much a random forest explains less of held-out candidates once a choice is shuffled. "
                "Much of what matters for accuracy only costs more; what matters at equal multiply-adds does "
                "not. Where R² is not above 0 a model has learnt nothing, and no bars are drawn.",
            ),
            _plot("parallel", run, "Drag along an axis to keep the lines that cross there."),
        )
    )


def members_part(run: Run) -> str:
    """Return the family's networks, stage by stage."""
    return _plot("members", run, "Boxes are layers, taller where they expand to more channels.")


def exports_part(run: Run) -> str:
    """Return each export beside PyTorch."""
    exports = [(name, o.export) for name, o in run.outcomes.items() if o.export]
    if not exports:
        return note("Nothing has been exported yet.")
    heads = (
        "name",
        "result",
        "frames",
        "largest difference",
        "allowed",
        "median a frame",
        "95th percentile",
        "size",
    )
    return table(heads, [_export_row(name, result) for name, result in exports]) + note(
        "Each export was run in ONNX Runtime, one thread, frame by frame over a real video beside PyTorch; "
        "the largest difference of any logit after any frame is given as a share of the largest logit."
    )


def _export_row(name: str, result: ExportResult) -> list[Cell]:
    if not result.passed or result.check is None:
        return [text(name), Cell(f'<span class="bad">{html.escape(result.reason)}</span>')] + [
            text(units.DASH)
        ] * 6
    check = result.check
    return [
        text(name),
        Cell('<span class="good">computes the same</span>'),
        number(str(check.frames), check.frames),
        number(f"{check.relative:.1e}", check.relative),
        number(f"{check.tolerance:.0e}", check.tolerance),
        number(units.milliseconds(check.latency_ms), check.latency_ms),
        number(units.milliseconds(check.latency_p95_ms), check.latency_p95_ms),
        number(units.size(result.bytes), result.bytes),
    ]


def candidates_part(run: Run) -> str:
    """Return every candidate, the best first."""
    candidates = Columns.of(run.measurements, "search").latest()
    words = searched_words(candidates.fidelities, run.measurements)
    best = np.argsort(-candidates.accuracy, kind="stable")[:_MOST_ROWS].tolist()
    members = [candidates[index] for index in best]
    if not members:
        return note("Nothing has been measured yet.")
    on_front = {m.digest for m in frontier(run.measurements)}
    confirmed = {m.digest for m in frontier(run.measurements, "confirmation")}
    rows = [
        [
            number(units.percent(m.accuracy), m.accuracy),
            number(units.count(m.macs), m.macs),
            number(units.count(m.parameters), m.parameters),
            number(units.size(m.state_bytes), m.state_bytes),
            text(words[m.fidelity]),
            text("confirmed" if m.digest in confirmed else "provisional" if m.digest in on_front else ""),
            *([text(run.origins.get(m.digest, "searched"))] if run.origins else []),
            code(m.architecture),
        ]
        for m in members
    ]
    heads = [run.score.name, "multiply-adds", "parameters", "state", "trained for", "frontier"]
    heads += ["origin", "architecture"] if run.origins else ["architecture"]
    shown = f"The best {_MOST_ROWS} of {len(candidates)}; " if len(candidates) > _MOST_ROWS else ""
    return table(heads, rows, tall=True) + note(
        f"{shown}trials.csv and trials.parquet have every measurement. Click a column's head to sort."
    )


def failures_part(run: Run) -> str:
    """Return what failed, and why."""
    failed = [m for m in run.measurements if m.status in {"failed", "cancelled"}]
    if not failed:
        return note("None.")
    rows = [
        [
            text(m.status),
            text(m.purpose),
            text(m.fidelity.key),
            text(m.seed),
            text(m.reason),
            code(m.architecture),
        ]
        for m in failed[:_MOST_FAILURES]
    ]
    more = f"The first {_MOST_FAILURES} of {len(failed)}." if len(failed) > _MOST_FAILURES else ""
    heads = ("status", "purpose", "fidelity", "seed", "reason", "architecture")
    return table(heads, rows, tall=True) + (note(more) if more else "")


def given_part(content: Mapping[str, object] | str) -> str:
    """Return a mapping as YAML, or a text as it is."""
    return listing(content) if content else note("Not recorded.")
