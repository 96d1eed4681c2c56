"""Where a run's record lies: a journal file in its folder, or a PostgreSQL database that runs share.

A record in a database has a file of one line in the run's folder that says where, and a study name that no
other run has, so that two runs of the same name in one database never meet.
"""

from __future__ import annotations

import json
import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from search_space.errors import RecordError, SettingsError
from searcher.record import journal

FILE = "record.journal"
POINTER = "record.json"
SCHEMES = ("postgresql", "postgresql+psycopg")
_EXTRA = "pip install 'movinas[postgresql]'"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """A record in a database: its address without a password, and the run's own study in it."""

    url: str
    study: str

    @classmethod
    def of(cls, run_dir: Path) -> Database | None:
        """What the run's folder says; None if its record is a journal, or is yet to be made.

        Raises:
            RecordError: the file that says it is damaged.
        """
        path = run_dir / POINTER
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(data["url"], data["study"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RecordError(
                f"{path} is damaged: {error}", hint='it holds {"url": "postgresql://...", "study": "..."}'
            ) from error

    @classmethod
    def create(cls, run_dir: Path, url: str) -> Database:
        """A place for a new run."""
        made = cls(without_password(url), f"{run_dir.name}-{uuid.uuid4().hex[:12]}")
        temporary = run_dir / f".{POINTER}.part"
        temporary.write_text(json.dumps(asdict(made)) + "\n", encoding="utf-8")
        temporary.replace(run_dir / POINTER)
        return made


def without_password(url: str) -> str:
    """The address as files of a run keep it; the password is left to PGPASSWORD or ~/.pgpass."""
    return make_url(url)._replace(password=None).render_as_string(hide_password=False)


def redacted(text: str, *urls: str | None) -> str:
    """The text without a password, should somebody have put one into it."""
    secrets = [os.environ.get("PGPASSWORD"), *(make_url(url).password for url in urls if url)]
    for secret in secrets:
        if secret:
            text = text.replace(str(secret), "***")
    return text


def stored_runs(storage: BaseStorage, name: str) -> list[str]:
    """Studies of the runs of that name, or of that very study name."""
    known = {study.study_name for study in storage.get_all_studies()}
    return sorted(
        each for each in known if each == name or re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{12}}", each)
    )


def check_database(url: str) -> None:
    """Connects once.

    Raises:
        SettingsError: there is no driver. RecordError: the database cannot be reached.
    """
    with _connected(url):
        pass


class DatabaseLock:
    """The run's lock in the database, which the server releases with the connection; a context manager.

    Raises:
        RecordError: another driver holds it, perhaps from another machine that has the folder, too.
    """

    def __init__(self, database: Database, url: str) -> None:
        self._database, self._url = database, url
        self._connection: Connection | None = None

    def __enter__(self) -> DatabaseLock:
        try:
            taken = self._take()
        except SQLAlchemyError as error:
            raise _unreachable(self._url, error) from error
        if not taken:
            raise RecordError(
                self._held_by_another(), hint="wait for it, stop it, or give this run another name"
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self._release()

    def _release(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.close()
        self._connection = None

    def ensure(self) -> None:
        """Takes the lock again if the server has let it go, as a restart of the server does.

        Raises:
            OSError: another driver has it, or the server has not noticed yet that our old connection is gone.
            SQLAlchemyError: the server is away.
        """
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
                return
            except SQLAlchemyError:
                self._release()
        if not self._take():
            raise OSError(self._held_by_another())

    def _held_by_another(self) -> str:
        return f"{self._database.study} in {self._database.url} is being written by another process"

    def _take(self) -> bool:
        connection = _engine(self._url).connect()
        taken = connection.exec_driver_sql(
            "SELECT pg_try_advisory_lock(hashtext('movinas'), hashtext(%s))", (self._database.study,)
        ).scalar_one()
        if taken:
            self._connection = connection
        else:
            connection.close()
        return bool(taken)


def _engine(url: str) -> Engine:
    """Connections of our own in autocommit mode."""
    try:
        return create_engine(_with_driver(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    except ImportError as error:
        raise SettingsError(
            f"storage is {without_password(url)}: there is no PostgreSQL driver ({error})", hint=_EXTRA
        ) from error


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """A connection of our own in autocommit mode."""
    try:
        connection = _engine(url).connect()
    except SQLAlchemyError as error:
        raise _unreachable(url, error) from error
    try:
        yield connection
    finally:
        connection.close()


def open_database(url: str) -> BaseStorage:
    """Optuna's storage in a database; its tables are made if they are not there.

    Raises:
        SettingsError: there is no driver. RecordError: the database cannot be reached or used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _connected(url):
        pass
    for attempt in range(5):
        try:
            return RDBStorage(_with_driver(url), engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError) as error:
            # Two drivers that make the tables at the same moment: the second finds them when it looks again.
            if attempt == 4:
                raise _unreachable(url, error) from error
            _LOG.info("%s: %s; trying again", without_password(url), error)
        except SQLAlchemyError as error:
            raise _unreachable(url, error) from error
        except RuntimeError as error:
            raise RecordError(
                f"{without_password(url)} was written by another version of Optuna: {error}",
                hint="use an empty database, or `optuna storage upgrade`",
            ) from error
    raise AssertionError("unreachable")


def _with_driver(url: str) -> str:
    return "postgresql+psycopg://" + url.partition("://")[2]


def _unreachable(url: str, error: Exception) -> RecordError:
    reason = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
    return RecordError(
        f"storage {without_password(url)} cannot be used: {redacted(reason, url)}",
        hint="is the server running, does the database exist, is the password in PGPASSWORD or ~/.pgpass?",
    )


def open_journal(path: Path) -> BaseStorage:
    """Optuna's storage in a file; it is made if it is not there.

    Raises:
        RecordError: it cannot be opened, or is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if path.exists():
            journal.check(path)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError as error:
        raise RecordError(
            f"{path} cannot be opened: {error.strerror}", hint="check its permissions"
        ) from error
