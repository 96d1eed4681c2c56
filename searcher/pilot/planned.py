"""Findings and plan of a run, as its record keeps them, and settings with a plan filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_space.errors import MovinasError, RecordError, SettingsError
from search_space.files import write_json
from search_space.json_files import from_json, to_json
from searcher.pilot.findings import Findings
from searcher.pilot.planner import RunPlan, Wish
from searcher.record.channel import Channel
from searcher.record.records import Records
from searcher.settings.pilot_settings import SCHEDULE
from searcher.settings.settings import Settings

PILOT, PLAN = "pilot", "plan"
_FAMILY = 6


def keep_findings(records: Records, run_dir: Path, findings: Findings) -> None:
    """Write the findings beside the record, and as ``pilot.json`` of the run's folder."""
    records.channel.write(PILOT, to_json(findings))
    write_json(run_dir / f"{PILOT}.json", to_json(findings))


def kept_findings(channel: Channel) -> Findings | None:
    """Return the findings beside a record; None if there are none, or of another version."""
    content = channel.read(PILOT)
    if content is None:
        return None
    try:
        return from_json(content, Findings, where="pilot.json", error=RecordError, hint="delete it")
    except MovinasError:
        return None


def keep_plan(records: Records, run_dir: Path, plan: RunPlan) -> None:
    """Record the plan of a run, and write it as ``plan.json`` of its folder."""
    records.keep_plan(to_json(plan))
    write_json(run_dir / f"{PLAN}.json", to_json(plan))


def kept_plan(records: Records) -> RunPlan | None:
    """Return the plan of a run; None if none was made.

    Raises:
        RecordError: the plan is damaged.
    """
    content = records.plan
    if content is None:
        return None
    hint = "start the run anew under another name"
    return from_json(content, RunPlan, where=f"the plan of {records.name!r}", error=RecordError, hint=hint)


def kept_text(records: Records) -> list[str]:
    """Return findings and plan of a run in words, as far as there are any."""
    findings, plan = kept_findings(records.channel), kept_plan(records)
    return [] if findings is None else [findings.text(), *([] if plan is None else [plan.text()])]


def resolved(settings: Settings) -> Settings:
    """Return the settings with the plan that an earlier start of the run has made; else as they are.

    Raises:
        SettingsError: the run was planned for another time.
        RecordError: the record cannot be read.
    """
    if not settings.open_keys:
        return settings
    try:
        records = Records.reading(settings.run_dir.absolute(), settings.storage)
    except RecordError:
        # A run that has not started yet; one that is damaged is refused where it is opened for writing.
        return settings
    plan = kept_plan(records)
    if plan is None:
        return settings
    if plan.hours != settings.hours:
        was = "no time" if plan.hours is None else f"{plan.hours:g} hours"
        raise SettingsError(
            f"hours is {settings.hours}, but the run {settings.name!r} was planned for {was}",
            hint="restore it, change the settings.yaml in the run's folder, or give this run another name",
        )
    return with_plan(settings, plan)


def whole_plan(plan: RunPlan, settings: Settings) -> RunPlan:
    """Return a plan that has what is given as well: a later start may leave out what the first one gave."""
    given = settings.model_dump(mode="json")
    values = {f"{part}.{name}": given[part][name] for part, names in SCHEDULE.items() for name in names}
    return replace(plan, settings={**values, **plan.settings})


def with_plan(settings: Settings, plan: RunPlan) -> Settings:
    """Return settings of which what is open has the values of a plan.

    Raises:
        SettingsError: the plan and what is given contradict each other.
    """
    parts: dict[str, dict[str, Any]] = {}
    for key in settings.open_keys:
        part, name = key.split(".")
        if key not in plan.settings:
            raise SettingsError(
                f"the plan of the run {settings.name!r} has no {key}",
                hint=f"give {key}, as when the run was started",
            )
        parts.setdefault(part, {})[name] = plan.settings[key]
    try:
        changed = {}
        for part, values in parts.items():
            own = getattr(settings, part)
            changed[part] = type(own).model_validate({**dict(own), **values})
        planned = settings.model_copy(update=changed)
        planned.check_schedule()
    except ValueError as error:
        words = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise SettingsError(
            f"what is given does not fit the plan of the run {settings.name!r}: {words}",
            hint="leave it out, or give this run another name",
        ) from error
    return planned


def wish_of(settings: Settings, most_trials: int) -> Wish:
    """Return what a plan has to keep to.

    Args:
        settings: settings of the run.
        most_trials: number of networks of the space.
    """
    still_open = set(settings.open_keys)

    def given(part: str, name: str) -> Any:
        return None if f"{part}.{name}" in still_open else getattr(getattr(settings, part), name)

    budgets = settings.family.budgets
    limits: Mapping[str, object] | None = None if budgets is None else budgets.macs
    return Wish(
        hours=settings.hours,
        workers=settings.search.workers,
        reduction=settings.search.reduction,
        family_members=len(limits) if limits else _FAMILY,
        most_trials=most_trials,
        rungs=given("search", "rungs"),
        trials=given("search", "trials"),
        startup=given("search", "startup"),
        # Trainings of several GPUs are not repeated.
        repeats=1 if settings.search.gpus_per_trial > 1 else given("search", "repeats"),
        epochs=given("confirmation", "epochs"),
        seeds=given("confirmation", "seeds"),
        members=given("confirmation", "members"),
        family_epochs=given("family", "epochs"),
    )
