"""The files for clusters, and the commands in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

import movinas

DEPLOY = Path(__file__).parents[2] / "deploy"


def check_command(words: list[str]) -> dict[str, Any]:
    """What our own command line makes of a command; it raises where it would refuse it."""
    assert words[0] == "movinas"
    group: Any = typer.main.get_command(movinas.app)
    context = group.commands[words[1]].make_context(words[1], list(words[2:]))
    return dict(context.params)
