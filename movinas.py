"""The front door: the handful of names that most programs need, and the command line.

The rooms behind it, ``search_space``, ``proxy_train``, ``searcher`` and ``results``, have more public names.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.commands.ends import REFUSALS, Commands, ready_streams
from results.commands.evaluation import evaluate
from results.commands.finished_runs import dashboard, family, report
from results.commands.live_runs import launch, log, status, stop
from results.commands.networks import export, latency_table, profile, stream
from results.commands.reproduction import reproduce
from results.commands.spaces import list_spaces, show_space
from results.commands.studies import proxy_validity, simulate
from results.commands.weights import weights
from search_space.errors import MovinasError, SettingsError
from search_space.escapes import escaped
from search_space.files import DEFAULT_CACHE
from search_space.lazy_names import lazy_names

__version__ = "0.1.0"
__all__ = [
    "Architecture",
    "Records",
    "SearchSpace",
    "StreamingClassifier",
    "__version__",
    "build",
    "load_member",
    "load_settings",
    "published",
    "run",
]

# torch, ray and optuna take seconds to load: commands load what they use, so that help is there at once.
if TYPE_CHECKING:
    from proxy_train.data.settings import DataSettings
    from results.inference.streaming import StreamingClassifier
    from results.member import load_member
    from results.pipeline import run
    from search_space.architecture.architecture import Architecture
    from search_space.architecture.published import published
    from search_space.network.model import build
    from search_space.space.space import SearchSpace
    from searcher.record.records import Records
    from searcher.settings.reading import load_settings
    from searcher.standalone.single_training import SingleTraining
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "results.inference.streaming": ("StreamingClassifier",),
            "results.member": ("load_member",),
            "results.pipeline": ("run",),
            "search_space.architecture.architecture": ("Architecture",),
            "search_space.architecture.published": ("published",),
            "search_space.network.model": ("build",),
            "search_space.space.space": ("SearchSpace",),
            "searcher.record.records": ("Records",),
            "searcher.settings.reading": ("load_settings",),
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


app = typer.Typer(
    cls=Commands,
    help="Search for mobile video networks (MoViNets), retrain them, stream and export them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(
    cls=Commands, help="Make the embedded data set, and check your own videos.", no_args_is_help=True
)
space_app = typer.Typer(help="Look at search spaces before searching.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(space_app, name="space")

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, such as runs/quickstart.")]
Videos = Annotated[
    str, typer.Option("--data", help="Folder of videos, FORMAT:FOLDER, or moving-digits[:hard].")
]
Annotations = Annotated[Path | None, typer.Option(help="Annotation files, if they are not with the videos.")]
Cache = Annotated[Path, typer.Option(help="Folder for made and prepared data.")]
OnDemand = Annotated[bool, typer.Option(help="Decode each clip on demand; store no frames.")]


def main() -> None:
    """Run a command; print an error that the user can mend in two lines, and exit with status 2."""
    ready_streams()
    try:
        app()
    except MovinasError as error:
        print(f"movinas: {escaped(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"  remedy: {escaped(error.hint)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        # The disk's word, not a fault of the program's: its own errors have other numbers.
        place = escaped(str(error.filename2 or error.filename or "the output"))
        print(f"movinas: {place}: {error.strerror}", file=sys.stderr)
        print("  remedy: make it writable, free some space, or give another path", file=sys.stderr)
        sys.exit(2)


@app.command()
def search(
    settings: Annotated[
        str | None, typer.Argument(help="YAML file or preset (default: quickstart; trainings with --data).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run and its folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder that holds all runs.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of trainings at a time.")] = None,
    trials: Annotated[int | None, typer.Option(help="Number of candidates in all.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of proposals and trainings.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of your videos, in any known layout.")] = None,
    space: Annotated[str | None, typer.Option(help="A preset's name or a YAML file.")] = None,
    hours: Annotated[
        float | None, typer.Option(help="Time of the whole run: a pilot plans what the settings do not give.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Address of a Ray cluster: auto, or HOST:PORT.")] = None,
) -> None:
    """Search, confirm the frontier, train and export a family; run it again to resume."""
    from results.commands.terminal import Terminal
    from results.pipeline import run
    from searcher.settings.reading import load_settings

    given: dict[str, Any] = {
        "name": name,
        "output": output,
        "search.workers": workers,
        "search.trials": trials,
        "seed": seed,
        "hours": hours,
    }
    videos = None if data is None else {"kind": "auto", "root": str(data)}
    given |= {"data": videos, "space": space}
    overrides = {key: value for key, value in given.items() if value is not None}
    run(load_settings(settings, overrides), Terminal(), address)


@app.command()
def frontier(run: RunFolder) -> None:
    """Print a run's frontier and redraw it: frontier.png, frontier.html, trials.csv, trials.parquet."""
    from results.commands.terminal import Terminal
    from results.commands.written_files import require_folder
    from results.report.run_files import draw_frontier

    require_folder(run, option="RUN")
    draw_frontier(run, Terminal())


app.command()(status)
app.command()(stop)
app.command()(log)
app.command()(launch)
app.command()(family)
app.command()(report)
app.command()(dashboard)
app.command()(evaluate)
app.command()(reproduce)
app.command()(export)
app.command()(weights)
app.command()(profile)
app.command()(stream)
app.command()(latency_table)
app.command()(proxy_validity)
app.command()(simulate)
space_app.command("list")(list_spaces)
space_app.command("profile")(show_space)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_all(options: set[str], what: str) -> None:
    if options:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(options))
        raise SettingsError(f"{names} with {what}", hint="leave that out")


@app.command()
def train(
    context: typer.Context,
    architecture: Annotated[
        str, typer.Argument(help="Network as text, published name or architecture.json; or a run's folder.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the trained network; resumed from it.")
    ] = None,
    data: Videos = "moving-digits",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Length of the training (default: 20, or the run's).")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Recipe: a preset or a YAML file.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    device: Annotated[str, typer.Option(help="Device as torch names it: cpu, cuda.")] = "cpu",
    weights: Annotated[
        Path | None, typer.Option(help="Initial weights: a member's folder, a file, an official checkpoint.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Network to learn from: a member's folder, or NETWORK=WEIGHTS.")
    ] = None,
    promote: Annotated[Path | None, typer.Option(help="Folder of a shorter training to resume.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that train together, each on a GPU if there are any.")
    ] = 1,
    clip: Annotated[
        str | None, typer.Option(help="Clips as FRAMESxSIZExFPS (default: the network's own).")
    ] = None,
    share: Annotated[float, typer.Option(help="Share of the training clips, up to 1.")] = 1.0,
    width: Annotated[float, typer.Option(help="Share of the network's channels, up to 1.")] = 1.0,
    views: Annotated[str | None, typer.Option(help="Evaluate on CLIPSxCROPS too, such as 10x3.")] = None,
    keep_best: Annotated[
        bool, typer.Option(help="Keep the weights of the best epoch, not of the last.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster; for a run's family only.")
    ] = None,
    cache: Cache = DEFAULT_CACHE,
    on_demand: OnDemand = False,
) -> None:
    """Train one network, from scratch or from given weights, or a run's family; run it again to resume."""
    given = {name for name in context.params if _is_given(context, name)}
    if (Path(architecture) / "family.json").is_file():
        _refuse_all(given - {"architecture", "epochs", "teacher", "address"}, f"the family of {architecture}")
        family(Path(architecture), chosen=True, epochs=epochs, teacher=teacher, address=address)
        return
    _refuse_all(given & {"address"}, "one network, which is trained here")
    if output is None:
        raise SettingsError("--output is missing", hint="give a folder for the trained network")
    from proxy_train.clips.views import Views
    from proxy_train.recipe import Recipe
    from proxy_train.training.pretrained import Pretrained
    from proxy_train.training.training_run import holds_training
    from results.commands.written_files import require_files, require_unread
    from results.member import FILES
    from search_space.architecture.by_name import read_architecture
    from search_space.architecture.parts import ClipShape
    from searcher.standalone.single_training import CHECKPOINT, TRAINING_FILES, SingleTraining

    taught = None if teacher is None else Pretrained.parse(teacher)
    for source in (weights, None if taught is None else taught.weights.path):
        if source is not None:
            require_unread(
                output, [source, source.parent] if source.is_file() else [source], option="--output"
            )
    training = output / CHECKPOINT
    for place, names in ((output, FILES), (training, TRAINING_FILES)):
        require_files(place, names, own=lambda _: holds_training(training), option="--output")
    network = read_architecture(architecture)
    wanted = SingleTraining(
        network if clip is None else network.with_input(ClipShape.parse(clip)),
        _data_settings(data, cache, on_demand=on_demand),
        Recipe.from_yaml(recipe) if recipe else Recipe.model_validate({}),
        training,
        epochs or 20,
        seed=seed,
        device=device,
        weights=weights,
        promoted_from=promote,
        processes=processes,
        share=share,
        width=width,
        keep_best=keep_best,
        views=None if views is None else Views.parse(views),
        teacher=taught,
    )
    _train(wanted, output)


def _train(wanted: SingleTraining, output: Path) -> None:
    """Train one network as the terminal shows it, and write it as a member."""
    from results.commands.terminal import Terminal
    from results.member import write_member
    from searcher.standalone.single_training import TrainingListeners, train_single

    terminal = Terminal()
    with (
        terminal.bar("Writing MovingDigits-16") as making,
        terminal.bar("Decoding videos") as preparing,
        terminal.bar("Updates") as updates,
    ):
        trained = train_single(
            wanted,
            TrainingListeners(
                making,
                preparing,
                lambda epoch: terminal.say(epoch.text(wanted.epochs)),
                updates,
                terminal.say,
            ),
        )
    terminal.say(trained.text())
    write_member(
        output,
        output.name,
        trained.model,
        recipe_yaml=wanted.recipe.text(),
        labels=trained.classes,
        metrics=trained.metrics,
        trained={**wanted.facts, **trained.facts},
    )
    score = f"{trained.score.name} {100 * trained.metrics['top1']:.1f} %"
    terminal.say(f"{output}: {score} on {trained.data}'s {trained.split} split")


@data_app.command("make")
def data_make(
    preset: Annotated[str, typer.Argument(help="default, tiny, medium, hard or graded.")] = "default",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Write MovingDigits-16 as real H.264 videos with a manifest, unless it is there already."""
    from proxy_train.data.settings import load_dataset
    from results.commands.terminal import Terminal
    from searcher.cluster.machine import cpus

    with Terminal().bar("Writing MovingDigits-16") as report:
        made = load_dataset(_data_settings(f"moving-digits:{preset}", cache), workers=cpus(), progress=report)
    counts = ", ".join(f"{len(items)} {split}" for split, items in made.items.items())
    typer.echo(f"{made.items['train'][0].path.parent.parent.parent}: {counts}, {len(made.classes)} classes")


@data_app.command("check")
def data_check(
    data: Videos,
    cache: Cache = DEFAULT_CACHE,
    annotations: Annotations = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all details as JSON.")] = None,
) -> None:
    """Decode every video of a data set once; report counts, durations, and broken files by name."""
    from proxy_train.data.check import check_dataset, is_report
    from proxy_train.data.settings import load_dataset
    from results.commands.terminal import Terminal
    from results.commands.written_files import require_file
    from searcher.cluster.machine import decoders

    terminal, chosen = Terminal(), _data_settings(data, cache, annotations)
    if json_file is not None:
        require_file(json_file, option="--json", own=is_report)
    with terminal.bar("Checking videos") as report:
        dataset = load_dataset(chosen, trainable=False)
        found = check_dataset(dataset, workers=decoders(), progress=report)
    terminal.say(found.text())
    if json_file is not None:
        found.write(json_file)
    if found.broken:
        raise typer.Exit(1)


@data_app.command("prepare")
def data_prepare(
    data: Videos,
    space: Annotated[
        str | None, typer.Option(help="Prepare the clips of a space: a preset or a YAML file.")
    ] = None,
    clip: Annotated[
        list[str] | None, typer.Option(help="Clips as FRAMESxSIZExFPS, such as 8x32x4; repeat.")
    ] = None,
    cache: Cache = DEFAULT_CACHE,
    annotations: Annotations = None,
    on_demand: OnDemand = False,
) -> None:
    """Decode a data set once for the clips that networks take; run it again to resume."""
    from results.commands.terminal import Terminal
    from searcher.evaluator.clips import prepare_clips

    terminal = Terminal()
    with terminal.bar("Decoding videos") as report:
        chosen = _data_settings(data, cache, annotations, on_demand=on_demand)
        for made in prepare_clips(chosen, space, clip or (), report):
            terminal.say(made)


def _data_settings(
    data: str, cache: Path, annotations: Path | None = None, *, on_demand: bool = False
) -> DataSettings:
    from proxy_train.data.settings import DataSettings

    return DataSettings.parse(data, cache=cache, annotations=annotations, on_demand=on_demand)


if __name__ == "__main__":
    main()
