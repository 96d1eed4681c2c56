"""``movinas weights``: a member's weights as other programs load them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search_space.errors import SettingsError


def weights(
    member: Annotated[Path, typer.Argument(help="A member's folder, such as runs/NAME/family/A2.")],
    output: Annotated[Path, typer.Option(help="Folder to write into.")],
    convention: Annotated[
        str,
        typer.Option("--for", help="huggingface: a folder for its hub; movinets: the PyTorch port's names."),
    ] = "huggingface",
    license_name: Annotated[
        str | None,
        typer.Option("--license", help="License of the weights, for the hub, such as mit."),
    ] = None,
) -> None:
    """Write a network's weights in the conventions that other programs load from."""
    from results.commands.written_files import require_files, require_unread
    from results.publishing.hub_folder import HUB_FILES, is_hub_file, write_hub_folder
    from results.publishing.port_files import PORT_FILES, is_port_file, write_port_files

    if convention not in ("huggingface", "movinets"):
        raise SettingsError(f"--for {convention!r}", hint="write huggingface or movinets")
    for_hub = convention == "huggingface"
    if license_name is not None and not for_hub:
        raise SettingsError(f"--license {license_name}", hint="give it with --for huggingface")
    require_unread(output, [member], option="--output")
    names, own = (HUB_FILES, is_hub_file) if for_hub else (PORT_FILES, is_port_file)
    require_files(output, names, own=own, option="--output")
    if for_hub:
        write_hub_folder(member, output, license_name=license_name)
        typer.echo(f"{output}: {', '.join(names)}. To upload it: hf upload NAME {output}")
    else:
        write_port_files(member, output)
        typer.echo(f"{output}: {', '.join(names)}")
