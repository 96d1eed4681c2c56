"""Commands that tell what to trust before a cluster is spent: simulate and proxy-validity."""

from __future__ import annotations

from typing import Annotated

import typer

# torch, ray and optuna take seconds to load: commands load what they use, so that help is there at once.


def proxy_validity(
    settings: Annotated[str | None, typer.Argument(help="YAML file or preset (default: quickstart).")] = None,
    cheap: Annotated[
        str, typer.Option(help="The cheap training: epochs=, share=, frames=, size=, width=; or supernet")
    ] = "epochs=3",
    expensive: Annotated[
        str, typer.Option(help="The expensive training, which stands for the truth.")
    ] = "epochs=12",
    networks: Annotated[int, typer.Option(help="Number of networks, spread over the cost.")] = 30,
    seeds: Annotated[
        int, typer.Option(help="Trainings of each network each way; two or more tell the reliability.")
    ] = 2,
) -> None:
    """Measure whether a cheap training ranks networks as an expensive one does, and better than their
    cost."""
    from results.commands.terminal import Terminal
    from searcher.settings.reading import load_settings
    from searcher.standalone import proxy_validity as study
    from searcher.standalone.relative_fidelity import RelativeFidelity

    terminal = Terminal()
    fidelities = RelativeFidelity.parse(cheap), RelativeFidelity.parse(expensive)
    with terminal.bar("Writing MovingDigits-16") as making, terminal.bar("Decoding videos") as preparing:
        chosen = load_settings(settings)
        data = study.prepare_study(
            chosen, *fidelities, networks, seeds=seeds, making=making, preparing=preparing
        )
    with terminal.phase("Proxy validity"):
        validity = study.proxy_validity(data, on_event=terminal)
    terminal.say(validity.text())


def simulate(
    problem: Annotated[
        str, typer.Argument(help="Problem: synthetic, nasbench201-cifar10, a run's folder, ...")
    ] = "synthetic",
    strategy: Annotated[
        list[str] | None, typer.Option(help="Strategy, repeat (default: all but gp and tunas).")
    ] = None,
    evaluations: Annotated[int, typer.Option(min=1, help="Number of candidates in all.")] = 200,
    workers: Annotated[int, typer.Option(min=1, help="Number of trainings at a time.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="Number of searches of each strategy.")] = 5,
    rungs: Annotated[
        int, typer.Option(min=1, help="Rungs of the synthetic space; one in 3 candidates is promoted.")
    ] = 1,
) -> None:
    """Compare strategies without training: on tables, on invented accuracies, on a run's records."""
    from searcher.simulation.comparison import compare

    for line in compare(problem, strategy or (), evaluations, workers, seeds, rungs):
        typer.echo(line)
