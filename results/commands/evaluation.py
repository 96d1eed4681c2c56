"""The command that evaluates networks on data sets; ``movinas.py`` has it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from search_space.errors import SettingsError
from search_space.files import DEFAULT_CACHE

Annotations = Annotated[Path | None, typer.Option(help="Annotation files, if they are not with the videos.")]
SkipMissing = Annotated[
    bool, typer.Option("--skip-missing", help="Judge on the rest if annotated videos do not exist.")
]


def evaluate(
    networks: Annotated[
        list[str],
        typer.Argument(
            help="Architecture or published name, with --weights; a member's folder; an export; or several, "
            "whose logits are averaged.",
            metavar="NETWORK...",
        ),
    ],
    data: Annotated[
        str,
        typer.Option("--data", help="Folder of videos, FORMAT:FOLDER, or moving-digits, moving-digits:hard."),
    ],
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="Weights: a file, a member's folder, an official checkpoint; repeat in an ensemble."
        ),
    ] = None,
    views: Annotated[
        str, typer.Option(help="Clips and crops of each video, such as 10x3, or whole for all its frames.")
    ] = "1x1",
    stream: Annotated[
        bool, typer.Option("--stream", help="Feed clips frame by frame: the step form.")
    ] = False,
    clip: Annotated[
        str | None, typer.Option(help="Clips as FRAMESxSIZExFPS (default: the network's own).")
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels that the short side of frames is scaled to, before a square is cut."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Names of the network's outputs, a name a line, CSV or JSON: classes are joined by name."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to judge on, or all (default: test if it has labels, else val).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of scores and figures; resumed from it (default: runs/evaluation/NETWORK-DATA)."
        ),
    ] = None,
    annotations: Annotations = None,
    skip_missing: SkipMissing = False,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that work, each on a GPU if --device is cuda.")
    ] = 1,
    address: Annotated[str | None, typer.Option(help="Address of a Ray cluster: auto, or HOST:PORT.")] = None,
    device: Annotated[str, typer.Option(help="Device as torch names it: cpu, cuda.")] = "cpu",
    worst: Annotated[int, typer.Option(min=0, help="Number of wrong predictions to print.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json instead.")] = False,
    cache: Annotated[Path, typer.Option(help="Folder for made data.")] = DEFAULT_CACHE,
) -> None:
    """Measure a network's accuracy on labelled videos; run it again to resume."""
    from rich.console import Console

    from results.commands.terminal import Terminal
    from results.commands.written_files import require_files
    from results.evaluation.evaluation import Evaluation, evaluate_network
    from results.evaluation.label_join import OutputNames
    from results.evaluation.subject import Subject
    from results.evaluation.written import FILES, write_evaluation, wrongest
    from search_space.architecture.parts import ClipShape
    from searcher.standalone.judged_videos import DataSettings, JudgedVideos, Views
    from searcher.standalone.score_record import HEADER, is_header

    given = list(weights or ())
    if given and len(given) != len(networks):
        raise SettingsError(
            f"{len(given)} --weights for {len(networks)} networks", hint="give one for each, in their order"
        )
    shape = None if clip is None else ClipShape.parse(clip)
    subjects = tuple(
        replace(Subject.open(network, given[index] if given else None, clip=shape, stream=stream), side=side)
        for index, network in enumerate(networks)
    )
    wanted = Views.parse(views)
    names = None if labels is None else OutputNames.read(labels)
    settings = DataSettings.parse(data, cache=cache, annotations=annotations)
    terminal = Terminal(Console(stderr=as_json))
    name = "+".join(subject.name for subject in subjects)
    folder = (
        output or Path("runs/evaluation") / f"{name}-{settings.root.name if settings.root else settings.kind}"
    )
    headers = [folder / HEADER, *folder.glob(f"*/{HEADER}")]
    require_files(folder, (*FILES, HEADER), own=lambda _: any(map(is_header, headers)), option="--output")
    with terminal.bar("Writing MovingDigits-16") as making:
        videos = JudgedVideos.open(settings, split, skip_missing=skip_missing, making=making)
    evaluation = Evaluation(subjects, videos, folder, wanted, names, device, processes, address)
    evaluated = evaluate_network(evaluation, terminal)
    write_evaluation(evaluated, folder)
    if as_json:
        typer.echo(json.dumps(evaluated.to_json(), indent=2))
        return
    terminal.say(evaluated.text())
    for line in wrongest(evaluated, worst):
        terminal.say(f"  wrong: {line}")
    terminal.say(f"{folder}: evaluation.json, predictions.parquet, wrong.csv, confusion")
