"""Commands over finished runs: family, report, dashboard; ``movinas.py`` takes them up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# pandas, torch and plotly take seconds to load: commands load what they use, so that help is there at once.
Folder = Annotated[Path, typer.Argument(help="A run's folder, such as runs/quickstart.")]
Folders = Annotated[list[Path], typer.Argument(help="Folders of runs; several are merged and compared.")]


def report(
    runs: Folders,
    output: Annotated[Path | None, typer.Option(help="The page; default: RUN/report.html.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for every plot as PNG and SVG.")] = None,
    objectives: Annotated[str | None, typer.Option(help="Such as accuracy,macs,latency.")] = None,
    published: Annotated[bool, typer.Option("--published", help="Show the released networks, too.")] = False,
) -> None:
    """Put all there is to see of a run, or of several, on one page that works without a network."""
    from results.report_run import report_runs
    from results.terminal import Terminal

    wanted = [name.strip() for name in (objectives or "").split(",") if name.strip()]
    terminal = Terminal()
    for line in report_runs(runs, output, pictures=pictures, objectives=wanted, published=published):
        terminal.say(line)
