"""A command line for tests that end one: ``search OUTPUT LOG``, a search whose trainings wait.

Usage: ending_program.py search OUTPUT LOG [--tracker NAME] [--seconds SECONDS]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from results.commands.ends import Commands
from searcher.run.session import Session
from tests.searcher.invented import invented
from tests.searcher.tiny_driver import tiny_settings

app = typer.Typer(cls=Commands)


@app.command()
def search(output: Path, log: Path, tracker: str = "", seconds: float = 1.0) -> None:
    """Searches with a second or more an epoch."""
    trackers: tuple[Any, ...] = (tracker,) if tracker else ()
    settings = tiny_settings(output, trials=40).model_copy(update={"trackers": trackers})
    with Session.open(settings, invented(log, seconds), classes=16) as session:
        session.search()


@app.command()
def nothing() -> None:
    """Makes it a program of several commands."""


if __name__ == "__main__":
    app()
