"""The command that tests published claims; ``movinas.py`` has it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from results.commands.evaluation import Annotations, SkipMissing
from search_space.errors import RecordError, SettingsError
from search_space.files import DEFAULT_CACHE

if TYPE_CHECKING:
    from results.commands.terminal import Terminal
    from searcher.standalone.judged_videos import DataSettings

RUNS = Path("runs/reproduction")


def reproduce(
    claim: Annotated[str | None, typer.Argument(help="Claim to test; without it, all are listed.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="The claim's data set as FORMAT:FOLDER, or its folder.")
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="Weights to judge, or to begin the training with; repeat for each network."),
    ] = None,
    trained: Annotated[
        list[Path] | None,
        typer.Option(help="Trained weights or a member's folder to judge, in place of a training; repeat."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; resumed from it (default: runs/reproduction/CLAIM)."),
    ] = None,
    annotations: Annotations = None,
    skip_missing: SkipMissing = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="To try it out: another length of the training.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="To try it out: another recipe.")] = None,
    clip: Annotated[str | None, typer.Option(help="To try it out: other clips, as FRAMESxSIZExFPS.")] = None,
    side: Annotated[
        int | None, typer.Option(min=1, help="To try it out: another short side of frames, in pixels.")
    ] = None,
    views: Annotated[str | None, typer.Option(help="To try it out: other views, as CLIPSxCROPS.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train and evaluate.")] = 1,
    address: Annotated[str | None, typer.Option(help="Address of a Ray cluster that evaluates.")] = None,
    device: Annotated[str, typer.Option(help="Device as torch names it: cpu, cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    cache: Annotated[Path, typer.Option(help="Folder for prepared data.")] = DEFAULT_CACHE,
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="Train on clips that are decoded on demand; store no frames.")
    ] = False,
) -> None:
    """Test a published claim, from its data to a verdict; without a claim, list all with their state."""
    from results.commands.terminal import Terminal
    from results.commands.written_files import require_files
    from results.evaluation.written import FILES
    from results.reproduction.claim import claim_named
    from results.reproduction.page import FILE as PAGE
    from results.reproduction.page import write_page
    from results.reproduction.request import RUN, Changes, Reproduction, owns
    from results.reproduction.run import run_claim
    from results.reproduction.verdict import FILE
    from search_space.architecture.parts import ClipShape
    from searcher.standalone.score_record import HEADER

    terminal = Terminal()
    if claim is None:
        if data is not None or weights or trained:
            raise SettingsError("--data or weights without a claim", hint="name the claim to test")
        _list_claims(terminal, output or RUNS)
        return
    chosen, folder = claim_named(claim), output or RUNS / claim

    names = (FILE, PAGE, RUN) if chosen.data is None else (FILE, PAGE, RUN, HEADER, *FILES)
    require_files(folder, names, own=lambda _: owns(folder, chosen), option="--output")
    if data is not None and chosen.data is None:
        raise SettingsError(f"--data: of no use for {claim}", hint="leave that out")
    changes = Changes(epochs, None if clip is None else ClipShape.parse(clip), side, views, recipe)
    settings = (
        None
        if data is None or chosen.data is None
        else _settings(data, chosen.data.format, cache, annotations, on_demand=on_demand)
    )
    request = Reproduction(
        chosen,
        folder,
        settings,
        tuple(weights or ()),
        tuple(trained or ()),
        changes,
        skip_missing,
        device,
        processes,
        address,
        seed,
    )
    verification = run_claim(request, terminal)
    terminal.say(verification.text(chosen))
    terminal.say(f"{write_page(chosen, verification, folder)}, {folder / FILE}")


def _settings(
    data: str, kind: str, cache: Path, annotations: Path | None, *, on_demand: bool
) -> DataSettings:
    """Return the settings of a claim's data: a folder alone is of the claim's format."""
    from searcher.standalone.judged_videos import DataSettings

    given, _, rest = data.partition(":")
    if rest and not Path(data).exists() and given != kind:
        raise SettingsError(f"--data {data}", hint=f"the claim is about {kind}:FOLDER")
    text = data if rest and not Path(data).exists() else f"{kind}:{data}"
    return DataSettings.parse(text, cache=cache, annotations=annotations, on_demand=on_demand)


def _list_claims(terminal: Terminal, folder: Path) -> None:
    """Print a table of all claims, with their state in the runs below a folder."""
    from results.reproduction.claim import all_claims
    from results.reproduction.verdict import Verification, measured_text
    from results.text.fitting_table import Column, FittingTable

    columns = [Column("claim", right=False), Column("claimed"), Column("state", right=False)]
    table = FittingTable("Claims", columns)
    for claim in all_claims().values():
        state = f"not run: needs {claim.needs}"
        with suppress(RecordError):
            found = Verification.read(folder / claim.id)
            if found.measured is not None:
                state = f"{found.state}: {measured_text(found.measured)}"
        table.add_row(claim.id, claim.text(), state)
    terminal.say(table)
    terminal.say("movinas reproduce CLAIM tests one; its page says what is stated and what is assumed")
