"""Commands over finished runs: family, report, dashboard; ``movinas.py`` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search_space.errors import SettingsError

# pandas, torch and plotly take seconds to load: commands load what they use, so that help is there at once.
Folder = Annotated[Path, typer.Argument(help="A run's folder, such as runs/quickstart.")]
Folders = Annotated[list[Path], typer.Argument(help="Folders of runs; several are merged and compared.")]


def report(
    runs: Folders,
    output: Annotated[Path | None, typer.Option(help="File of the page (default: RUN/report.html).")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for every plot as PNG and SVG.")] = None,
    objectives: Annotated[str | None, typer.Option(help="Objectives, such as accuracy,macs,latency.")] = None,
    published: Annotated[bool, typer.Option("--published", help="Show the released networks, too.")] = False,
) -> None:
    """Write all there is to see of a run, or of several, on one page that works without a network."""
    from results.commands.terminal import Terminal
    from results.commands.written_files import require_file, require_files
    from results.plots.style import is_picture
    from results.report.from_folders import is_page, page_path, report_runs
    from results.report.plots import PICTURES

    wanted = [name.strip() for name in (objectives or "").split(",") if name.strip()]
    require_file(output or page_path(runs), option="--output", own=is_page)
    if pictures is not None:
        require_files(pictures, PICTURES, own=is_picture, option="--pictures")
    terminal = Terminal()
    for line in report_runs(runs, output, pictures=pictures, objectives=wanted, published=published):
        terminal.say(line)


def family(
    run: Folder,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help="Budget: A0=2e6 (multiply-adds), A0=5ms, A0=25% (of the slowest); repeat. Or paper."
        ),
    ] = None,
    train: Annotated[bool, typer.Option(help="Train and export; else write recipes and cards.")] = True,
    chosen: Annotated[bool, typer.Option("--chosen", help="Use the family that was chosen before.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of the trainings (default: the run's).")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Network to learn from: a member's folder, or NETWORK=WEIGHTS.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Address of a Ray cluster: auto, or HOST:PORT.")] = None,
) -> None:
    """Choose a family from a confirmed run (by your budgets), train it, export it, and report."""
    from results.commands.terminal import Terminal
    from results.family.family import Family
    from results.pipeline import choose_run_family, make_family, plan_family, reopen
    from search_space.space.budgets import Budgets

    budgets, terminal = Budgets.parse(budget) if budget else None, Terminal()
    if chosen and budgets:
        raise SettingsError("--chosen and --budget", hint="give one of them")
    given = {"family.epochs": epochs, "family.teacher": teacher}
    changes = {key: value for key, value in given.items() if value is not None}
    with reopen(run, terminal, changes, address) as (session, data):
        selected = Family.read(run / "family.json") if chosen else choose_run_family(session, data, budgets)
        if train:
            make_family(session, data, terminal, family=selected)
        else:
            plan_family(session, selected, data, terminal)


def dashboard(
    run: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
) -> None:
    """Open optuna-dashboard on a run, finished or not, for this machine only; Ctrl-C ends it."""
    from results.commands.terminal import Terminal
    from results.report.dashboard import serve

    serve(run, port, Terminal().say)
