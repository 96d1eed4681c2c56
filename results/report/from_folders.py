"""The report of one run or of several merged, from their folders alone: while they work or long after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from results.analysis.candidates import check_objectives
from results.family.family import Family
from results.family.outcome import read_outcomes
from results.member import MEMBER, read_member
from results.report.class_map import ClassMap
from results.report.next_commands import next_commands
from results.report.plots import write_pictures
from results.report.report import write_report
from results.report.run_view import Run
from results.text.costs import space_text
from search_space.errors import MovinasError, RecordError, SettingsError
from search_space.space.profile import profile_space
from searcher.pilot.planned import kept_text
from searcher.record import Measurement
from searcher.record.records import Records
from searcher.record.same_data import data_differences
from searcher.record.trials import differences, without_places
from searcher.settings.reading import load_settings

_HEAD = 4096  # bytes that hold a page's first lines


def report_runs(
    folders: Sequence[Path],
    output: Path | None = None,
    *,
    pictures: Path | None = None,
    objectives: Sequence[str] = (),
    published: bool = False,
) -> Iterator[str]:
    """Write the page of one run or of several, and yield what was written as sentences.

    Args:
        folders: folders of runs; several are merged, and compared with each other.
        output: file of the page; by default ``report.html`` in the run's folder, or ``compared.html`` beside
            it.
        pictures: folder for every plot as PNG and SVG.
        objectives: objectives to show in place of the run's own.
        published: whether to lay the released networks over the frontier.

    Raises:
        RecordError: there is no run in a folder, or its record cannot be read.
        SettingsError: runs have different data or recipes, or an objective is unknown.
    """
    if objectives:
        check_objectives(objectives)
    run = merged([read_run(folder) for folder in folders], folders)
    run = replace(run, objectives=tuple(objectives) or run.objectives, published=published)
    output = output or page_path(folders)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_report(run, output)
    yield f"wrote {output}"
    if pictures is not None:
        written, failed = write_pictures(run, pictures)
        yield f"wrote {len(written)} pictures into {pictures}"
        yield from (f"not drawn: {reason}" for reason in failed)


def page_path(folders: Sequence[Path]) -> Path:
    """Return the file of the page of one run, or of several, if nothing else is said."""
    return folders[0] / "report.html" if len(folders) == 1 else folders[0].parent / "compared.html"


def is_page(path: Path) -> bool:
    """Return whether a file is an earlier page: it may be written anew."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    # The second is what pages of 0.1.0 have.
    return b'<meta name="generator" content="movinas report">' in head or b"\n:root { --font: " in head


def read_run(folder: Path, video: Path | None = None, storage: str | None = None) -> Run:
    """Read all that the report shows of a run, as far as its folder has it.

    Args:
        folder: folder of the run.
        video: a video of the run's data, for the commands to type next.
        storage: address of the record's database with the password; see ``Records.reading``.

    Raises:
        RecordError: there is no run in the folder, or its record cannot be read.
    """
    records = Records.reading(folder, storage)
    path = folder / "family.json"
    family = Family.read(path) if path.is_file() else None
    classes = _class_map(folder, family)
    chance = classes.chance if classes else None
    return Run(
        name=folder.resolve().name,
        measurements=records.measurements(),
        settings=_mapping(folder / "settings.yaml"),
        environment=_mapping(folder / "environment.json"),
        profile=_profile(folder, classes.outputs if classes else None),
        family=family,
        outcomes=read_outcomes(folder, family) if family else {},
        next_commands=next_commands(folder, family, video),
        references={} if chance is None else {"chance": chance},
        finished=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        objectives=records.objectives.names,
        constraints=records.objectives.constraints,
        origins={each.digest: each.origin for each in records.candidates() if each.origin},
        pilot="\n".join(kept_text(records)),
    )


def _mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML or JSON file of a run; the error of one that cannot be read stands in its place."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return {"cannot be read": " ".join(str(error).split())}


def _profile(folder: Path, classes: int | None) -> str:
    """Describe the run's space; the settings of an older version may not be readable any more."""
    try:
        settings = load_settings(folder / "settings.yaml")
        space = settings.space if classes is None else settings.space.with_classes(classes)
        budgets = settings.family.budgets
        return space_text(profile_space(space, budgets.macs if budgets else None))
    except MovinasError as error:
        return f"The space is not shown: {error}"


def _class_map(folder: Path, family: Family | None) -> ClassMap | None:
    """Read the classes of the run's data, or of a member if the folder has none; None if neither is there."""
    path = folder / "data" / "classes.json"
    try:
        if path.is_file():
            return ClassMap.read(path)
    except RecordError:
        return None
    for member in family.singles if family else ():
        if (folder / "family" / member.name / MEMBER).is_file():
            labels = read_member(folder / "family" / member.name).labels
            return ClassMap("single", {str(index): label for index, label in enumerate(labels)})
    return None


def _comparable(records: Records) -> dict[str, Any]:
    """Return what has to be the same for accuracies to be comparable."""
    if records.data is None:
        return {name: records.identity.get(name) for name in ("data", "recipe")}
    # What the videos are is recorded: where they are may differ.
    identity = without_places(records.identity)
    return {"data": {**identity["data"], "videos": records.data}, "recipe": identity.get("recipe")}


def merged(runs: Sequence[Run], folders: Sequence[Path]) -> Run:
    """Merge runs into one with all of their measurements, each experiment once; one run stays as it is.

    Raises:
        SettingsError: data or recipes differ, so that accuracies cannot be compared.
    """
    first = runs[0]
    if len(runs) == 1:
        return first
    facts = [_comparable(Records.reading(folder)) for folder in folders]
    for folder, other in zip(folders[1:], facts[1:], strict=True):
        unequal = differences(facts[0], other)
        if unequal:
            videos = data_differences(folders[0], folder)
            raise SettingsError(
                f"{folders[0]} and {folder} cannot be compared: {'; '.join(videos or unequal)}",
                hint="merge runs over the same data with the same recipe",
            )
    distinct = dict[tuple[str, str, int, str], Measurement]()
    for measurement in (measurement for run in runs for measurement in run.measurements):
        distinct.setdefault((*measurement.key, measurement.purpose), measurement)
    names = [run.name for run in runs]
    labels = names if len(set(names)) == len(names) else [str(folder) for folder in folders]
    common = [name for name in first.objectives if all(name in run.objectives for run in runs)]
    return replace(
        first,
        name=" + ".join(labels),
        measurements=list(distinct.values()),
        settings={label: run.settings for label, run in zip(labels, runs, strict=True)},
        family=None,
        outcomes={},
        next_commands=(),
        objectives=tuple(common) if len(common) > 1 else ("accuracy", "macs"),
        constraints=first.constraints if all(run.constraints == first.constraints for run in runs) else {},
        runs={label: run.measurements for label, run in zip(labels, runs, strict=True)},
        origins={digest: origin for run in runs for digest, origin in run.origins.items()},
    )
