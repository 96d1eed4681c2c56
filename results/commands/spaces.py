"""Commands over search spaces: list and profile; ``movinas.py`` has them."""

from __future__ import annotations

from typing import Annotated

import typer

from search_space.errors import SettingsError


def list_spaces() -> None:
    """List the spaces that come with movinas."""
    from search_space.genes.reading import preset_names

    typer.echo("\n".join(preset_names()))


def show_space(
    space: Annotated[str, typer.Argument(help="Space: a preset or a YAML file.")] = "quickstart",
    budget: Annotated[
        list[str] | None, typer.Option(help="Budget, such as A0=2e6 (multiply-adds), repeat; or paper.")
    ] = None,
) -> None:
    """Show a space's smallest, median and largest network, its costs, its size, and reachable budgets."""
    from results.text.costs import space_text
    from search_space.space.budgets import Budgets
    from search_space.space.profile import profile_space, released_budgets
    from search_space.space.space import SearchSpace

    chosen = SearchSpace.from_yaml(space)
    budgets = Budgets.parse(budget or ())
    if budgets.macs is None:
        raise SettingsError(
            f"--budget in {budgets.unit}", hint="a space is profiled by multiply-adds: write A0=2e6"
        )
    typer.echo(
        space_text(profile_space(chosen, budgets.macs or chosen.settings.budgets or released_budgets()))
    )
