"""The front door: the command line parses, calls a room, and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.commands.finished_runs import dashboard, family, report
from results.commands.live_runs import launch, log, status, stop
from results.commands.networks import export, latency_table, profile, stream
from search_space.errors import MovinasError, SettingsError, Stopped

# torch, ray and optuna take seconds to load: commands load what they use, so that help is there at once.
if TYPE_CHECKING:
    from proxy_train.data.settings import DataSettings

app = typer.Typer(
    help="Search for mobile video networks (MoViNets), retrain them, stream and export them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Make the embedded data set, and check your own videos.", no_args_is_help=True)
space_app = typer.Typer(help="Look at search spaces before searching.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(space_app, name="space")

RunFolder = Annotated[Path, typer.Argument(help="A run's folder, such as runs/quickstart.")]
Videos = Annotated[
    str, typer.Option("--data", help="Folder of videos, FORMAT:FOLDER, or moving-digits[:hard].")
]
Annotations = Annotated[Path | None, typer.Option(help="Of the videos, if they are not in their folder.")]
Cache = Annotated[Path, typer.Option(help="Where made and prepared data is kept.")]
OnDemand = Annotated[bool, typer.Option(help="Store no frames: decode each clip on demand.")]
CACHE = Path("~/.cache/movinas")


def main() -> None:
    """Run a command; what the user can mend is said in two lines, with exit status 2."""
    try:
        app()
    except MovinasError as error:
        print(f"movinas: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  remedy: {error.hint}", file=sys.stderr)
        sys.exit(2)
    except Stopped:
        print("movinas: stopped, as somebody asked; the same command goes on", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nmovinas: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        sys.exit(130)


@app.command()
def search(
    settings: Annotated[str | None, typer.Argument(help="YAML file or preset; default: quickstart.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the run and its folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of all runs.")] = None,
    workers: Annotated[int | None, typer.Option(help="Trainings at a time.")] = None,
    trials: Annotated[int | None, typer.Option(help="Candidates in all.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of proposals and trainings.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of your videos, of any format.")] = None,
    space: Annotated[str | None, typer.Option(help="A preset's name or a YAML file.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster: auto, or HOST:PORT.")] = None,
) -> None:
    """Search, confirm the frontier, train and export a family; started again, it goes on where it was."""
    from results.commands.terminal import Terminal
    from results.pipeline import run
    from searcher.settings.reading import load_settings

    given: dict[str, Any] = {
        "name": name,
        "output": output,
        "search.workers": workers,
        "search.trials": trials,
        "seed": seed,
    }
    videos = None if data is None else {"kind": "auto", "root": str(data)}
    given |= {"data": videos, "space": space}
    overrides = {key: value for key, value in given.items() if value is not None}
    run(load_settings(settings, overrides), Terminal(), address)


@app.command()
def frontier(run: RunFolder) -> None:
    """Print a run's frontier and draw it anew: frontier.png, frontier.html, trials.csv, trials.parquet."""
    from results.commands.terminal import Terminal
    from results.report.run_files import draw_frontier

    draw_frontier(run, Terminal())


app.command()(status)
app.command()(stop)
app.command()(log)
app.command()(launch)
app.command()(family)
app.command()(report)
app.command()(dashboard)
app.command()(export)
app.command()(profile)
app.command()(stream)
app.command()(latency_table)


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
    architecture: Annotated[str, typer.Argument(help="Text, published name, architecture.json, or a run.")],
    output: Annotated[Path | None, typer.Option(help="Of the trained network; goes on from it.")] = None,
    data: Videos = "moving-digits",
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: 20, or those of the run.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A preset's name or a YAML file.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="Of torch: cpu, cuda.")] = "cpu",
    weights: Annotated[Path | None, typer.Option(help="To begin with: member, file, checkpoint.")] = None,
    promote: Annotated[Path | None, typer.Option(help="Go on from this shorter training's folder.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Train together, each on a GPU if any.")] = 1,
    clip: Annotated[str | None, typer.Option(help="FRAMESxSIZExFPS in place of the network's own.")] = None,
    share: Annotated[float, typer.Option(help="Of the training clips.")] = 1.0,
    width: Annotated[float, typer.Option(help="Of the network's channels.")] = 1.0,
    views: Annotated[str | None, typer.Option(help="Evaluate on CLIPSxCROPS too, such as 10x3.")] = None,
    keep_best: Annotated[bool, typer.Option(help="Keep the best epoch's weights, not the last.")] = False,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster, for a run's family.")] = None,
    cache: Cache = CACHE,
    on_demand: OnDemand = False,
) -> None:
    """Train one network, fresh or from given weights, or a run's family; it goes on where it was."""
    given = {name for name in context.params if _is_given(context, name)}
    if (Path(architecture) / "family.json").is_file():
        _refuse_all(given - {"architecture", "epochs", "address"}, f"the family of {architecture}")
        family(Path(architecture), chosen=True, epochs=epochs, address=address)
        return
    _refuse_all(given & {"address"}, "one network, which is trained here")
    epochs = epochs or 20
    if output is None:
        raise SettingsError("--output is missing", hint="give a folder for the trained network")
    from proxy_train.recipe import Recipe
    from results.commands.terminal import Terminal
    from results.member import write_member
    from search_space.architecture.by_name import read_architecture
    from search_space.architecture.parts import ClipShape
    from searcher.standalone.single_training import Extras, train_single

    wanted, terminal = read_architecture(architecture), Terminal()
    if clip is not None:
        wanted = wanted.with_input(ClipShape.parse(clip))
    chosen = Recipe.from_yaml(recipe) if recipe else Recipe.model_validate({})
    with (
        terminal.bar("Writing MovingDigits-16") as making,
        terminal.bar("Decoding videos") as preparing,
        terminal.bar("Updates") as batches,
    ):
        trained = train_single(
            wanted,
            _data_settings(data, cache, on_demand=on_demand),
            chosen,
            output / "checkpoint",
            epochs=epochs,
            seed=seed,
            device=device,
            making=making,
            preparing=preparing,
            on_epoch=lambda done: terminal.say(done.text(epochs)),
            on_batch=batches,
            extras=Extras(weights, promote, processes, share, width, keep_best, views),
        )
    terminal.say(trained.text())
    write_member(
        output,
        output.name,
        trained.model,
        recipe_yaml=chosen.text(),
        labels=trained.classes,
        metrics=trained.metrics,
        trained={"epochs": epochs, "seed": seed, **trained.facts},
    )
    terminal.say(
        f"{output}: top-1 {100 * trained.metrics['top1']:.1f} % on {trained.data}'s {trained.split} split"
    )


@app.command()
def proxy_validity(
    settings: Annotated[str | None, typer.Argument(help="YAML file or preset; default: quickstart.")] = None,
    cheap: Annotated[str, typer.Option(help="epochs=, share=, frames=, size=, width=")] = "epochs=3",
    dear: Annotated[str, typer.Option(help="What stands for the truth.")] = "epochs=12",
    networks: Annotated[int, typer.Option(help="Spread over the cost, each trained both ways.")] = 30,
) -> None:
    """Does a cheap training rank networks as a dear one does, and better than their cost does?"""
    from results.commands.terminal import Terminal
    from searcher.settings.reading import load_settings
    from searcher.standalone import proxy_validity as validity

    terminal, efforts = Terminal(), (validity.Effort.parse(cheap), validity.Effort.parse(dear))
    with terminal.bar("Writing MovingDigits-16") as make, terminal.bar("Decoding videos") as prepare:
        data = validity.prepare(load_settings(settings), *efforts, networks, making=make, preparing=prepare)
    with terminal.phase("Proxy validity"):
        found = validity.proxy_validity(data, on_event=terminal)
    terminal.say(found.text())


@app.command()
def simulate(
    problem: Annotated[str, typer.Argument(help="synthetic, nasbench201-cifar10, a run...")] = "synthetic",
    strategy: Annotated[list[str] | None, typer.Option(help="Again for each; default: all but gp.")] = None,
    evaluations: Annotated[int, typer.Option(min=1, help="Candidates in all.")] = 200,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each strategy.")] = 5,
    rungs: Annotated[int, typer.Option(min=1, help="Of the synthetic space; one in 3 goes on.")] = 1,
) -> None:
    """Compare strategies without training: on tables, on invented accuracies, on a run's records."""
    from searcher.simulation.comparison import compare

    for line in compare(problem, strategy or (), evaluations, workers, seeds, rungs):
        typer.echo(line)


@data_app.command("make")
def data_make(
    preset: Annotated[str, typer.Argument(help="default, tiny, medium or hard.")] = "default",
    cache: Cache = CACHE,
) -> None:
    """Write MovingDigits-16 as real H.264 videos with a manifest; only what is not there yet."""
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
    cache: Cache = CACHE,
    annotations: Annotations = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything there too.")] = None,
) -> None:
    """Decode every video of a data set once, and report counts, durations and what is broken, by name."""
    from proxy_train.data.check import check_dataset
    from proxy_train.data.settings import load_dataset
    from results.commands.terminal import Terminal
    from searcher.cluster.machine import cpus

    terminal = Terminal()
    with terminal.bar("Checking videos") as report:
        dataset = load_dataset(_data_settings(data, cache, annotations), trainable=False)
        found = check_dataset(dataset, workers=cpus(), progress=report)
    terminal.say(found.text())
    if json_file is not None:
        found.write(json_file)
    if found.broken:
        raise typer.Exit(1)


@data_app.command("prepare")
def data_prepare(
    data: Videos,
    space: Annotated[str | None, typer.Option(help="Prepare all clips of a space: preset or YAML.")] = None,
    clip: Annotated[list[str] | None, typer.Option(help="FRAMESxSIZExFPS, such as 8x32x4; repeat.")] = None,
    cache: Cache = CACHE,
    annotations: Annotations = None,
    on_demand: OnDemand = False,
) -> None:
    """Decode a data set once for the clips that networks take; interrupted, it goes on when started again."""
    from results.commands.terminal import Terminal
    from searcher.evaluator.clips import prepare_clips

    terminal = Terminal()
    with terminal.bar("Decoding videos") as report:
        chosen = _data_settings(data, cache, annotations, on_demand=on_demand)
        for made in prepare_clips(chosen, space, clip or (), report):
            terminal.say(made)


@space_app.command("list")
def space_list() -> None:
    """The spaces that come with movinas."""
    from search_space.genes.reading import preset_names

    typer.echo("\n".join(preset_names()))


@space_app.command("profile")
def space_profile(
    space: Annotated[str, typer.Argument(help="A preset's name or a YAML file.")] = "quickstart",
    budget: Annotated[
        list[str] | None, typer.Option(help="A0=2e6 (multiply-adds), repeat; or paper.")
    ] = None,
) -> None:
    """Smallest, median, largest, histogram of multiply-adds, number of networks, reachable budgets."""
    from results.text.costs import space_text
    from search_space.space.budgets import Budgets
    from search_space.space.profile import profile_space, released_budgets
    from search_space.space.space import SearchSpace

    chosen = SearchSpace.from_yaml(space)
    given = Budgets.parse(budget or ())
    if given.unit != "macs":
        raise SettingsError(
            f"--budget in {given.unit}", hint="a space is profiled by multiply-adds: write A0=2e6"
        )
    budgets = given.limits or chosen.settings.budgets or released_budgets()
    typer.echo(space_text(profile_space(chosen, budgets)))


def _data_settings(
    data: str, cache: Path, annotations: Path | None = None, *, on_demand: bool = False
) -> DataSettings:
    from proxy_train.data.settings import DataSettings

    return DataSettings.parse(data, cache=cache, annotations=annotations, on_demand=on_demand)


if __name__ == "__main__":
    main()
