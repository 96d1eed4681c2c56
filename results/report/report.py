"""``report.html``: a whole run on one page, which works from a file and without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from plotly.offline import get_plotlyjs

from results.analysis.candidates import MeasurementSet
from results.report import sections
from results.report.page import Section, guarded, page
from results.report.run_view import Run
from search_space.files import write_text

_PARTS: tuple[tuple[str, str, Callable[[Run], str]], ...] = (
    ("summary", "Summary", sections.summary_part),
    ("frontier", "Frontier", sections.frontier_part),
    ("family", "Family", sections.family_part),
    ("members", "Networks", sections.members_part),
    ("next", "What to type next", sections.next_part),
    ("pilot", "Pilot", lambda run: sections.given_part(run.pilot)),
    ("search", "Search", sections.search_part),
    ("choices", "Choices", sections.choices_part),
    ("exports", "Exports", sections.exports_part),
    ("candidates", "All candidates", sections.candidates_part),
    ("failures", "Failures", sections.failures_part),
    ("space", "Search space", lambda run: sections.given_part(run.profile)),
    ("settings", "Settings", lambda run: sections.given_part(run.settings)),
    ("environment", "Environment", lambda run: sections.given_part(run.environment)),
)


def write_report(run: Run, path: Path) -> None:
    """Write the page; a part that fails shows its error and keeps no other from being shown."""
    write_text(path, report(run))


def report(run: Run) -> str:
    """Return the page as HTML."""
    run = replace(run, measurements=MeasurementSet(run.measurements))
    parts = [
        Section(key, title, guarded(f"The part {title!r}", partial(make, run))) for key, title, make in _PARTS
    ]
    subtitle = "Neural architecture search for mobile video networks" + (
        f" · {run.finished}" if run.finished else ""
    )
    footer = f"Accuracies are {run.score.name} on the evaluation videos. Multiply-adds are of a whole clip."
    return page(run.name, subtitle, parts, footer, get_plotlyjs())
