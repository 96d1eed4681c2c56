"""The files that a run writes of itself for people: tables, plots, its page, and its environment."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from results.family.family import Family
from results.family.outcome import MemberOutcome, read_outcomes
from results.plots.frontier_view import FrontierView, frontier_view
from results.plots.interactive import frontier_figure
from results.plots.pictures import write_frontier
from results.plots.style import write_html
from results.provenance import versions
from results.report.from_folders import read_run
from results.report.measurement_tables import write_confirmed, write_tables
from results.report.next_commands import short_path
from results.report.report import write_report
from results.text.run_tables import confirmed_table, members_table, provisional_table
from results.watcher import Watcher
from searcher.objectives import ACCURACY_AND_MACS
from searcher.plan.confirmation import confirmed
from searcher.record.records import Records
from searcher.run.overview import overview

_PACKAGES = ("torch", "optuna", "ray", "numpy", "pandas", "av", "onnx", "onnxruntime", "fvcore")


def write_run(
    run_dir: Path,
    outcomes: Mapping[str, MemberOutcome],
    *,
    video: Path | None = None,
    seconds: float | None = None,
    storage: str | None = None,
) -> None:
    """Write the tables, the plots and the page of a run whose family is finished.

    Args:
        run_dir: folder of the run.
        outcomes: outcomes of the family's members by name.
        video: a video of the run's data, for the commands to type next.
        seconds: wall time of the run.
        storage: address of the record's database with the password; see ``Records.reading``.
    """
    run = replace(read_run(run_dir, video, storage), outcomes=outcomes, seconds=seconds)
    write_tables(run.measurements, run_dir, run.origins)
    write_confirmed(run.confirmed(), run_dir)
    view = frontier_view(run.measurements, run.family, run.trained, references=run.references)
    _write_plots(view, run_dir)
    write_report(run, run_dir / "report.html")


def draw_frontier(run_dir: Path, watcher: Watcher) -> None:
    """Print the frontier of a run, finished or not, and write its plots and tables again.

    Args:
        run_dir: folder of the run.
        watcher: receives the tables.

    Raises:
        RecordError: there is no run in the folder, or its record cannot be read.
    """
    records = Records.reading(run_dir)
    measurements = records.measurements()
    path = run_dir / "family.json"
    family = Family.read(path) if path.is_file() else None
    outcomes = read_outcomes(run_dir, family) if family else {}
    trained = {name: one.metrics["top1"] for name, one in outcomes.items() if "top1" in one.metrics}
    view = frontier_view(measurements, family, trained)
    _write_plots(view, run_dir)
    origins = {each.digest: each.origin for each in records.candidates() if each.origin}
    write_tables(measurements, run_dir, origins)
    objectives, candidates = records.objectives, confirmed(records)
    files = ["frontier.png", "frontier.html", "trials.csv", "trials.parquet"]
    if candidates:
        files.append(write_confirmed(candidates, run_dir).name)
        watcher.say(confirmed_table(candidates, objectives.names, measurements))
        watcher.say(
            "\n".join(
                f"{member.digest}  {member.architecture}" for member in candidates if member.on_frontier
            )
        )
    elif objectives == ACCURACY_AND_MACS:
        watcher.say(members_table(view.provisional))
    else:
        watcher.say(provisional_table(overview(run_dir).frontier, objectives.names))
    watcher.say(f"{short_path(run_dir)}: wrote {', '.join(files)}")


def _write_plots(view: FrontierView, folder: Path) -> None:
    write_frontier(view, folder / "frontier.png")
    write_html(frontier_figure(view), folder / "frontier.html")


def environment() -> dict[str, str | int]:
    """Return versions and machine, as the run folder keeps them."""
    return {
        **versions(*_PACKAGES),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count() or 1,
        "command": " ".join(Path(part).name if i == 0 else part for i, part in enumerate(sys.argv)),
    }
