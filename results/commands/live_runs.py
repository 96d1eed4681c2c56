"""Commands over a run that is under way, here or on a cluster: status, stop, log, launch."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from search_space.errors import RecordError, SettingsError

# optuna and torch take seconds to load: commands load what they use, so that help is there at once.
Run = Annotated[
    Path, typer.Argument(help="A run's folder, such as runs/quickstart; with --storage its name.")
]
Storage = Annotated[
    str | None, typer.Option(help="Database of the record, if the folder is not on this machine.")
]


def status(run: Run, storage: Storage = None) -> None:
    """Show how far a run is: what runs, ended and failed (and why), nodes, time left, what it waits for."""
    from results.commands.terminal import Terminal
    from results.text.run_tables import provisional_table
    from searcher.pilot.planned import kept_text
    from searcher.run.overview import overview, reading

    state, terminal = overview(run, storage), Terminal()
    terminal.say("\n".join([state.text(), *kept_text(reading(run, storage))]))
    if state.frontier:
        terminal.say(provisional_table(state.frontier, state.objectives))


def stop(
    run: Run,
    storage: Storage = None,
    wait: Annotated[bool, typer.Option(help="Wait until its driver has ended.")] = True,
    timeout: Annotated[float, typer.Option(help="Longest wait in minutes.")] = 60.0,
) -> None:
    """End a run gracefully: trainings have 10 s to finish their epoch; the same command resumes it later."""
    from searcher.cluster.heartbeat import ask_to_stop, last_beat
    from searcher.run.overview import overview, reading

    state = overview(run, storage)
    if not (state.working or state.driver):
        typer.echo(f"{state.name}: no driver is working on it")
        return
    records = reading(run, storage)
    ask_to_stop(records.channel)
    typer.echo(f"{state.name}: asked to stop; its trainings have 10 s to finish their epoch")
    deadline = time.monotonic() + 60 * timeout
    while wait:
        beat = last_beat(records.channel)
        if beat is None or beat.state == "ended":
            typer.echo(f"{state.name}: stopped")
            return
        if time.monotonic() > deadline:
            raise RecordError(
                f"{state.name} still works after {timeout:g} minutes",
                hint="look at movinas status; an epoch may take longer",
            )
        time.sleep(1.0)


def log(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    digest: Annotated[str, typer.Argument(help="Digest of a network; its first characters are enough.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only losses and failures.")] = False,
) -> None:
    """Print the log of a run, or of the trainings of one network, as JSON lines."""
    from searcher.run.run_log import read_log

    empty = True
    for name, line in read_log(run, digest):
        empty = False
        if not failed or line["event"] == "lost" or line.get("status") == "failed":
            typer.echo(json.dumps({"trial": name, **line} if digest else line, ensure_ascii=False))
    if empty:
        raise RecordError(
            f"{run} has no log of {digest or 'itself'}",
            hint="give a run's folder, and a digest of its status",
        )


def launch(
    settings: Annotated[str, typer.Argument(help="YAML file or preset.")],
    address: Annotated[str, typer.Option(help="Address of the cluster's jobs: http://HEAD:8265.")] = "",
    render: Annotated[
        str, typer.Option(help="Write a scheduler's own file instead: kuberay, ray-up or slurm.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="File that --render writes; by default NAME-rayjob.yaml and so on.")
    ] = None,
    requirements: Annotated[
        Path | None, typer.Option(help="Packages that the cluster's nodes install first.")
    ] = None,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for driver and workers; repeat.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be submitted.")] = False,
) -> None:
    """Submit a search to a Ray cluster as a job, or write the file that a scheduler starts it from."""
    from searcher.run.launch import Submission, submit

    if render:
        typer.echo(_render(settings, render, output))
        return
    if not address and not dry_run:
        raise SettingsError("--address is missing", hint="give http://HEAD:8265, the cluster's dashboard")
    submission = Submission.of(settings, requirements=requirements, env=env or ())
    typer.echo(submission.text())
    if not dry_run:
        typer.echo(submit(submission, address))


def _render(settings: str, scheduler: str, output: Path | None) -> str:
    """Write a scheduler's file; return what to do with it."""
    from results.commands.written_files import require_file, require_unread
    from search_space.files import write_text
    from searcher.run.scheduler_files import SCHEDULERS, is_rendered, render
    from searcher.settings.reading import load_settings

    text, tool = render(settings, scheduler), SCHEDULERS[scheduler]
    path = output if output is not None else Path(f"{load_settings(settings).name}-{tool.file}")
    require_file(path, option="--output", own=is_rendered)
    require_unread(path, [Path(settings)], option="--output")
    write_text(path, text)
    return f"wrote {path}; next: {tool.start} {path}"
