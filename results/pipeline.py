"""One way through a run: data, search, confirmation, family, export, report; each resumes where it was."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from torch import nn

from results.analysis.candidates import Columns, MeasuredNetwork
from results.family.budget_limits import limits_over, with_latency
from results.family.choice import choose_family
from results.family.family import Family
from results.family.final_training import train_members
from results.family.member_folders import (
    FamilyTraining,
    MeasureModel,
    finish_members,
    write_family,
    write_plan,
)
from results.family.scaled import Scaler
from results.report.next_commands import next_commands, short_path, where_to_look
from results.report.run_files import environment, write_run
from results.text.costs import space_text
from results.text.run_tables import confirmed_table, family_table
from results.watcher import Watcher
from search_space.architecture.parts import ClipShape
from search_space.errors import RecordError
from search_space.files import write_json
from search_space.space.budgets import Budgets
from search_space.space.profile import profile_space
from search_space.space.space import SearchSpace
from searcher.cluster.machine import cpus, decoders, local_device, requested_device
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.pilot.pilot import pilot_is_due, run_pilot, settle
from searcher.pilot.planned import resolved
from searcher.plan.confirmation import confirmed
from searcher.plan.job_plan import JobOutcome
from searcher.record.records import Records
from searcher.record.same_data import check_same_data
from searcher.run.session import Session
from searcher.settings.checks import check_settings, check_teacher
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings
from searcher.supernet.supernet_check import check_supernet, require_learnt
from searcher.supernet.supernet_job import supernet_spec


def run(settings: Settings, watcher: Watcher, address: str | None = None) -> Path:
    """Search, confirm, make and export a family, and report; what an earlier call has done is not repeated.

    Args:
        settings: settings of the run.
        watcher: receives progress messages and events.
        address: address of a cluster that trains, ``auto`` or HOST:PORT; by default this machine trains.

    Returns:
        The folder of the run.

    Raises:
        MovinasError: something is wrong with the settings, the data or the record, before work starts on it;
            or, as ``NothingLearns``, the pilot finds that no network learns.
        KeyboardInterrupt: Ctrl-C was pressed; nothing that was measured is lost.
    """
    started, settings = time.monotonic(), resolved(settings)
    check_settings(settings, address=address)
    data = open_data(settings, settings.space, watcher)
    space = settings.space.with_classes(len(data.classes))
    check_settings(settings, space, address=address)
    check_supernet(settings)
    budgets = settings.family.budgets
    watcher.say(space_text(profile_space(space, budgets.macs if budgets else None)))
    with open_session(settings, data, watcher, address) as session:
        write_json(session.run_dir / "environment.json", environment())
        data.write_report(session.run_dir / "data")
        if pilot_is_due(session):
            with watcher.phase("Pilot"):
                findings = run_pilot(session, data)
            settle(session, findings, watcher.say)
        if settings.supernet is not None:
            with watcher.phase("Supernet"):
                session.train_supernet()
            require_learnt(session.records, data.largest_store)
        with watcher.phase("Search"):
            session.search()
        if settings.supernet is not None:
            require_learnt(session.records, data.largest_store)
        with watcher.phase("Confirmation"):
            candidates = session.confirm()
        measurements = session.records.measurements("confirmation")
        watcher.say(confirmed_table(candidates, settings.search.objectives, measurements))
        make_family(session, data, watcher, started=started)
        return session.run_dir


def open_data(settings: Settings, space: SearchSpace, watcher: Watcher) -> RunData:
    """Open the videos of a run; those that are not made or decoded yet are."""
    with watcher.bar("Writing MovingDigits-16") as making, watcher.bar("Decoding videos") as preparing:
        return RunData.open(
            settings.data,
            space,
            workers=decoders(),
            making=making,
            preparing=preparing,
            rungs=settings.search.rungs,
            check=partial(check_same_data, settings.run_dir.absolute()),
        )


def open_session(
    settings: Settings, data: RunData, watcher: Watcher, address: str | None = None
) -> AbstractContextManager[Session]:
    """Open the run of these settings for writing.

    Raises:
        SettingsError: the family's teacher knows other classes.
    """
    check_teacher(settings, data.classes)
    evaluator = video_evaluator(
        data.paths,
        settings.recipe,
        requested_device(settings.search.gpus_per_trial),
        timed=settings.objectives().need_latency,
        data=settings.data,
        latency_table=settings.search.latency_table,
        processes=max(1, int(settings.search.gpus_per_trial)),
        weights=settings.weights,
        teacher=settings.family.teacher,
        supernet=supernet_spec(settings, len(data.classes)),
    )
    return Session.open(
        settings,
        evaluator,
        classes=len(data.classes),
        contents=data.contents,
        on_event=watcher,
        address=address,
    )


def make_family(
    session: Session,
    data: RunData,
    watcher: Watcher,
    *,
    family: Family | None = None,
    started: float | None = None,
) -> Family:
    """Choose the family from the confirmed frontier, train, export, and write everything there is to see.

    Args:
        session: session of a confirmed run.
        data: data of the run.
        watcher: receives progress messages and events.
        family: family that was chosen already; by default it is chosen by the settings' budgets.
        started: start of this call of the program, on the monotonic clock.

    Raises:
        RecordError: nothing is confirmed yet.
    """
    family = family or choose_run_family(session, data)
    with watcher.phase("Family"):
        outcomes = train_members(session, family, len(data.readable.items["val"]))
    training = _family_training(session.settings, data, outcomes)
    for name, seed in training.seeds.items():
        if seed != session.settings.seed:
            watcher.say(f"{name} failed or fell short of a cheaper network; again, seed {seed} was best")
    written = write_family(session.run_dir / "family", family, training, _measure(session, data))
    family.write(session.run_dir / "family.json")
    example = data.example(session.space.largest().input)
    workers = min(session.settings.search.workers, cpus())
    with watcher.bar("Exporting to ONNX") as progress:
        finished = finish_members(written, example, workers=workers, progress=progress)
    video = data.readable.items[data.final_split][0].path
    seconds = None if started is None else time.monotonic() - started
    write_run(session.run_dir, finished, video=video, seconds=seconds, storage=session.settings.storage)
    watcher.say(family_table(family, finished, session.score))
    watcher.say(where_to_look(session.run_dir, next_commands(session.run_dir, family, video)))
    return family


def _family_training(settings: Settings, data: RunData, outcomes: Mapping[str, JobOutcome]) -> FamilyTraining:
    """Return the weights of the trainings that did not fail, and what they were trained with."""
    jobs = {name: outcome.job for name, outcome in outcomes.items() if not outcome.failed}
    return FamilyTraining(
        {name: job.weights for name, job in jobs.items()},
        {name: job.seed for name, job in jobs.items()},
        data.classes,
        settings.recipe.text(),
        {
            "data set": data.dataset.name,
            "epochs": settings.family.epochs,
            "accuracy measured on": f"{data.final_split} split",
            **settings.origins(),
        },
    )


def choose_run_family(session: Session, data: RunData, budgets: Budgets | None = None) -> Family:
    """Choose the family of a confirmed run; where it has nothing at a budget, the nearest network is scaled.

    Args:
        session: session of a confirmed run.
        data: data of the run.
        budgets: budgets in place of the settings'.

    Raises:
        RecordError: nothing is confirmed yet.
        SettingsError: a budget cannot be used.
    """
    members, classes = _eligible(session.records, session.run_dir), len(data.classes)
    scaler = Scaler(classes, tuple(data.stores))
    budgets = budgets or session.settings.family.budgets
    if budgets is None:
        return choose_family(members, scaler=scaler)
    if budgets.cost == "latency":
        members = with_latency(members, classes)
    return choose_family(members, limits_over(budgets, members), cost=budgets.cost, scaler=scaler)


def plan_family(session: Session, family: Family, data: RunData, watcher: Watcher) -> None:
    """Write a chosen family with architecture, recipe and card of each member, and train nothing."""
    recipe = session.settings.recipe.text()
    for line in write_plan(session.run_dir / "family", family, recipe, data.classes, session.score):
        watcher.say(line)
    family.write(session.run_dir / "family.json")
    watcher.say(family_table(family, {}, session.score))
    watcher.say(f"What to type next:\n  movinas family {short_path(session.run_dir)} --chosen")


def _eligible(records: Records, run_dir: Path) -> list[MeasuredNetwork]:
    """Return the confirmed networks that keep all soft limits: a family is chosen for good."""
    candidates = confirmed(records)
    violation = records.objectives.violation
    feasible = {candidate.digest for candidate in candidates if violation(candidate.metrics) <= 0}
    if candidates and not feasible:
        limits = ", ".join(f"{name} {limit:g}" for name, limit in records.objectives.constraints.items())
        raise RecordError(
            f"no confirmed network of {run_dir} keeps search.constraints {limits}",
            hint="start a run with other limits, or a space of faster networks",
        )
    if not feasible:
        raise RecordError(
            f"{run_dir} has no confirmed network", hint="let its search and confirmation end first"
        )
    columns = Columns.of((m for m in records.measurements() if m.digest in feasible), "confirmation")
    return list(columns.at(len(columns.fidelities) - 1))


def _measure(session: Session, data: RunData) -> MeasureModel:
    """Return what measures a finished network on the run's data."""
    device_name = local_device(session.settings.search.gpus_per_trial)
    causal = session.space.smallest().options.causal

    def measure(model: nn.Module, clip: ClipShape) -> Mapping[str, float]:
        return data.measure(model.to(device_name), clip, streaming=causal, device=device_name)

    return measure


@contextmanager
def reopen(
    run_dir: Path, watcher: Watcher, overrides: Mapping[str, object], address: str | None = None
) -> Iterator[tuple[Session, RunData]]:
    """Reopen an existing run for writing, with its own settings and its videos.

    Args:
        run_dir: folder of the run.
        watcher: receives progress messages and events.
        overrides: settings by dotted key that replace the run's own.
        address: address of a cluster that trains; by default this machine trains.

    Yields:
        The session of the run, and its data.

    Raises:
        RecordError: there is no run in the folder, or another process works on it.
        ClusterError: no cluster answers at the address.
    """
    file = run_dir / "settings.yaml"
    if not file.is_file():
        raise RecordError(
            f"{run_dir} holds no run: there is no settings.yaml", hint="give the folder of a run"
        )
    place = {"output": str(run_dir.absolute().parent), "name": run_dir.absolute().name}
    settings = resolved(load_settings(file, {**place, **overrides}))
    check_settings(settings, address=address)
    data = open_data(settings, settings.space, watcher)
    with open_session(settings, data, watcher, address) as session:
        yield session, data
