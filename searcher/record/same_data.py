"""A run measures on one data set: what it holds is recorded, and another one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from proxy_train.data.contents import CONTENTS, Contents
from search_space.errors import SettingsError
from searcher.record.records import Records

DATA = "data"
"""Folder of a run with facts about its data."""


def check_same_data(run_dir: Path, now: Contents) -> None:
    """Check what a run's folder tells of its data, before anything is decoded.

    Args:
        run_dir: folder of the run, which need not exist.
        now: contents of the data set as it is now.

    Raises:
        SettingsError: the run has measured on other videos, labels or splits; tells which.
        RecordError: the file that tells of them is damaged.
    """
    before = Contents.read(run_dir / DATA)
    changes = [] if before is None else before.differences(now)
    if changes:
        _refuse(run_dir.name, "; ".join(changes))


def keep_same_data(records: Records, run_dir: Path, now: Contents) -> None:
    """Record what a run measures on, or check it against the record.

    Args:
        records: record of the run, open for writing.
        run_dir: folder of the run, which gets the list of all videos.
        now: contents of the data set as it is now.

    Raises:
        SettingsError: the run has measured on other videos, labels or splits.
    """
    if records.data is None:
        records.keep_data({"digest": now.digest, "videos": now.counts, "classes": len(now.classes)})
    elif records.data["digest"] != now.digest:
        check_same_data(run_dir, now)
        then = ", ".join(f"{count} {split}" for split, count in records.data["videos"].items())
        _refuse(
            records.name,
            f"then {then} videos of {records.data['classes']} classes, now"
            f" {', '.join(f'{count} {split}' for split, count in now.counts.items())} of {len(now.classes)}",
        )
    if not (run_dir / DATA / CONTENTS).is_file():
        now.write(run_dir / DATA)


def data_differences(one: Path, other: Path) -> list[str]:
    """Return how the data of two runs differ, in phrases; none if they are the same, or a run does not tell.

    Raises:
        RecordError: the file that tells of a run's data is damaged.
    """
    before, after = Contents.read(one / DATA), Contents.read(other / DATA)
    if before is None or after is None or not (changes := before.differences(after)):
        return []
    return [f"from the first one's data to the second one's, {changes[0]}", *changes[1:]]


def _refuse(name: str, changes: str) -> NoReturn:
    raise SettingsError(
        f"the run {name!r} has measured on other data: {changes}",
        hint="restore the data, or give this run another name: accuracies on different data do not compare",
    )
