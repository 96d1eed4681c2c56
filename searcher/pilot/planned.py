"""Findings and plan of a run, as its record keeps them, and settings with a plan filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_space.errors import MovinasError, RecordError, SettingsError
from search_space.files import write_json
from search_space.json_files import from_json, to_json
from searcher.pilot.findings import Findings
from searcher.pilot.planner import RunPlan, Wish
from searcher.promotion.rung import Rung
from searcher.record.channel import Channel
from searcher.record.records import Records
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
        records = Records.reading(settings.run_dir.absolute())
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


def with_plan(settings: Settings, plan: RunPlan) -> Settings:
    """Return settings of which what is open has the values of a plan."""
    parts: dict[str, dict[str, Any]] = {}
    for key in settings.open_keys:
        part, name = key.split(".")
        value = plan.settings[key]
        parts.setdefault(part, {})[name] = (
            tuple(Rung(epochs=epochs) for epochs in value) if key == "search.rungs" else value
        )
    changed = {part: getattr(settings, part).model_copy(update=values) for part, values in parts.items()}
    return settings.model_copy(update=changed)


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
        repeats=settings.search.repeats,
        family_members=len(limits) if limits else _FAMILY,
        most_trials=most_trials,
        rungs=given("search", "rungs"),
        trials=given("search", "trials"),
        startup=given("search", "startup"),
        epochs=given("confirmation", "epochs"),
        seeds=given("confirmation", "seeds"),
        members=given("confirmation", "members"),
        family_epochs=given("family", "epochs"),
    )
