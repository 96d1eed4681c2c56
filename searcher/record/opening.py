"""Opening the record of a run: its journal or its database, for its one driver or to look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage

from search_space.errors import RecordError, SettingsError
from searcher.record import journal_repair
from searcher.record.batched_storage import BatchedStorage
from searcher.record.channel import Channel, FolderChannel
from searcher.record.database_lock import DatabaseLock
from searcher.record.lease import Lease
from searcher.record.optuna_logging import quiet_optuna
from searcher.record.retrying import Retrying
from searcher.record.storage import (
    FILE,
    Database,
    open_database,
    open_journal,
    stored_runs,
    without_password,
)


@dataclass(frozen=True)
class OpenedRecord:
    """The storage of a run's record.

    Args:
        storage: Optuna storage that holds the run's studies.
        name: name of the run's study.
        retrying: how writes are retried.
        channel: values beside the record; None if they are attributes of the study.
    """

    storage: BaseStorage
    name: str
    retrying: Retrying
    channel: Channel | None = None


@contextmanager
def open_for_writing(
    run_dir: Path, storage: str | None, retry_seconds: float, checkpoints: str | None = None
) -> Iterator[OpenedRecord]:
    """Open or create the record of the run in ``run_dir``, and hold its lease while the block runs.

    Args:
        run_dir: folder of the run; it is created.
        storage: address of a PostgreSQL database, with a password if it needs one; by default where the
            record is, or a journal file in the folder.
        retry_seconds: seconds for which a write is retried on a full disk or an unavailable database.
        checkpoints: address of the run's checkpoints in an object store, if they are in one; see
            ``Database.create``.

    Raises:
        RecordError: another driver writes the record, or it is damaged, or cannot be reached.
        SettingsError: the record of the run is not in ``storage``, or its folder cannot be created.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the run folder {run_dir} cannot be created: {error.strerror}", hint="choose another output"
        ) from error
    with quiet_optuna(), ExitStack() as held:
        held.callback(Lease(run_dir).release)
        database = locate(run_dir, storage, checkpoints)
        if database is None:
            file = run_dir / FILE
            journal_repair.repair(file)
            opened = open_journal(file)
            name = _stored_name(opened) or run_dir.name
            retrying = Retrying(name, retry_seconds, mend=lambda: journal_repair.mend(file))
            yield OpenedRecord(opened, name, retrying, FolderChannel(run_dir))
            return
        url = storage or database.url
        lock = held.enter_context(DatabaseLock(database, url))
        opened = open_database(url)
        held.callback(opened.remove_session)
        if isinstance(opened, BatchedStorage):
            opened.writer = lock.connection
        yield OpenedRecord(opened, database.study, Retrying(database.study, retry_seconds, guard=lock.ensure))


def open_for_reading(run_dir: Path, storage: str | None = None) -> OpenedRecord:
    """Open the record of the run in ``run_dir`` to look at it, while a driver may be writing.

    Args:
        run_dir: folder of the run.
        storage: address of its database with the password, which the folder does not have.

    Raises:
        RecordError: there is none, or it cannot be read.
    """
    database = Database.of(run_dir)
    if database is not None:
        url = storage if storage and without_password(storage) == database.url else database.url
        return OpenedRecord(open_database(url), database.study, Retrying(database.study))
    path = run_dir / FILE
    if not path.is_file():
        raise RecordError(f"{run_dir} holds no run: there is no {FILE}", hint="give the folder of a run")
    journal = open_journal(path)
    name = _stored_name(journal)
    if name is None:
        raise RecordError(f"{path} holds no run yet", hint="wait until its search has started")
    return OpenedRecord(journal, name, Retrying(name), FolderChannel(run_dir))


def open_by_name(storage: str, name: str) -> OpenedRecord:
    """Open the record of the run of that name in a database, without the run's folder.

    Raises:
        RecordError: there is no such run, there are several, or the database cannot be used.
    """
    opened = open_database(storage)
    runs = stored_runs(opened, name)
    if len(runs) != 1:
        raise RecordError(
            f"{without_password(storage)} holds {len(runs)} runs named {name!r}"
            + "".join(f", {run}" for run in runs),
            hint="give the folder of the run, or one of these names" if runs else "check the name",
        )
    return OpenedRecord(opened, runs[0], Retrying(runs[0]))


def locate(run_dir: Path, storage: str | None, checkpoints: str | None = None) -> Database | None:
    """Return the database that the record of a run is in, or will be; None for a journal in its folder.

    Args:
        run_dir: folder of the run.
        storage: address of a database; by default where the record is.
        checkpoints: address of the run's checkpoints in an object store, if they are in one.

    Raises:
        SettingsError: the record of the run is not in ``storage``.
    """
    database = Database.of(run_dir)
    if database is None:
        if storage is None:
            return None
        if not (run_dir / FILE).exists():
            return Database.create(run_dir, storage, checkpoints)
    place = str(run_dir / FILE) if database is None else database.url
    if storage is not None and without_password(storage) != place:
        raise SettingsError(
            f"storage is {without_password(storage)}, but this run has its record in {place}",
            hint="restore it, or give this run another name",
        )
    return database


def _stored_name(storage: BaseStorage) -> str | None:
    """Return the run's name as its journal has it, since a folder may be renamed afterwards."""
    names = [study.study_name.removesuffix("/measurements") for study in storage.get_all_studies()]
    return next(iter(names), None)
