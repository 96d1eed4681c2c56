"""Where a run's record lies: a journal file in its folder, or a PostgreSQL database that runs share.

A record in a database has a file of one line in the run's folder with its address, and a study name that no
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
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from search_space.errors import RecordError, SettingsError
from search_space.files import write_text
from search_space.json_files import read_json, to_json
from searcher.record import journal_repair
from searcher.record.bulk_storage import BulkStorage
from searcher.record.optuna_logging import quiet_optuna

FILE = "record.journal"
POINTER = "record.json"
SCHEMES = ("postgresql", "postgresql+psycopg")
_PASSWORD_PARAMETERS = ("password", "sslpassword")
_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|ACCESS_KEY|ACCOUNT_KEY)(_ID)?$")
_SHORTEST_SECRET = 6
_EXTRA = "pip install 'movinas[postgresql]'"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """A record in a database.

    Args:
        url: address of the database, without a password.
        study: name of the run's own study in it.
    """

    url: str
    study: str

    @classmethod
    def of(cls, run_dir: Path) -> Database | None:
        """Return the database that the run's folder names; None if its record is a journal or is new.

        Raises:
            RecordError: the file that names it is damaged.
        """
        path = run_dir / POINTER
        if not path.is_file():
            return None
        hint = 'it must hold {"url": "postgresql://...", "study": "..."}'
        return read_json(path, cls, error=RecordError, hint=hint)

    @classmethod
    def create(cls, run_dir: Path, url: str) -> Database:
        """Choose a study name for a new run, and write both into its folder."""
        database = cls(without_password(url), f"{run_dir.name}-{uuid.uuid4().hex[:12]}")
        write_text(run_dir / POINTER, json.dumps(to_json(database)) + "\n")
        return database


def without_password(url: str) -> str:
    """Return an address without its password, as files of a run keep it.

    The password comes from PGPASSWORD or ~/.pgpass.
    """
    bare = make_url(url)._replace(password=None).difference_update_query(_PASSWORD_PARAMETERS)
    return bare.render_as_string(hide_password=False)


def passwords_of(url: str) -> list[str]:
    """Return the passwords in an address, before its host and among its parameters."""
    made = make_url(url)
    found = [made.password, *(made.query.get(name) for name in _PASSWORD_PARAMETERS)]
    return [str(each) for each in found if each]


def redacted(text: str, *urls: str | None) -> str:
    """Return a text in which stars replace the secrets of the environment and the passwords of ``urls``."""
    named = [value for name, value in os.environ.items() if _SECRET_NAME.search(name)]
    given = [password for url in urls if url for password in passwords_of(url)]
    # A short value is a flag or a path, and no secret; the longest first, since one may hold another.
    secrets = {secret for secret in named if len(secret) >= _SHORTEST_SECRET} | set(given)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def stored_runs(storage: BaseStorage, name: str) -> list[str]:
    """Return the names of the studies of all runs of that name, or the study of exactly that name."""
    studies = {study.study_name for study in storage.get_all_studies()}
    of_run = re.compile(rf"{re.escape(name)}(-[0-9a-f]{{12}})?")
    return sorted(study for study in studies if of_run.fullmatch(study))


def check_database(url: str) -> None:
    """Connect to a database once.

    Raises:
        SettingsError: there is no driver for PostgreSQL.
        RecordError: the database cannot be reached.
    """
    with _connected(url):
        pass


class DatabaseLock:
    """The run's lock in the database, which the server releases with the connection; a context manager.

    Args:
        database: record of the run.
        url: address of the database, with a password if it needs one.

    Raises:
        RecordError: another driver holds the lock, perhaps on another machine that shares the folder.
    """

    def __init__(self, database: Database, url: str) -> None:
        self._database, self._url = database, url
        self._connection: Connection | None = None

    def __enter__(self) -> DatabaseLock:
        try:
            acquired = self._acquire()
        except SQLAlchemyError as error:
            raise _unreachable(self._url, error) from error
        if not acquired:
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
        """Acquire the lock again if the server has lost it, as when it restarts.

        Raises:
            OSError: another driver holds it, or the server still counts our lost connection as open.
            SQLAlchemyError: the server cannot be reached.
        """
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
                return
            except SQLAlchemyError:
                self._release()
        if not self._acquire():
            raise OSError(self._held_by_another())

    def _held_by_another(self) -> str:
        return f"{self._database.study} in {self._database.url} is being written by another process"

    def _acquire(self) -> bool:
        """Ask for the lock; return False if another driver holds it."""
        connection = _engine(self._url).connect()
        acquired = connection.exec_driver_sql(
            "SELECT pg_try_advisory_lock(hashtext('movinas'), hashtext(%s))", (self._database.study,)
        ).scalar_one()
        if acquired:
            self._connection = connection
        else:
            connection.close()
        return bool(acquired)


def _engine(url: str) -> Engine:
    """Return an engine whose connections are not pooled and commit every statement."""
    try:
        return create_engine(_with_driver(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    except ImportError as error:
        raise SettingsError(
            f"storage is {without_password(url)}: there is no PostgreSQL driver ({error})", hint=_EXTRA
        ) from error


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Yield a connection of its own that commits every statement."""
    try:
        connection = _engine(url).connect()
    except SQLAlchemyError as error:
        raise _unreachable(url, error) from error
    try:
        yield connection
    finally:
        connection.close()


def open_database(url: str) -> BaseStorage:
    """Open Optuna's storage in a database, and create its tables if they do not exist.

    Raises:
        SettingsError: there is no driver for PostgreSQL.
        RecordError: the database cannot be reached or used.
    """
    with _connected(url):
        pass
    for attempt in range(5):
        try:
            with quiet_optuna():
                return BulkStorage(_with_driver(url), engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError) as error:
            # Two drivers create the tables at the same moment: the second finds them at its next attempt.
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
    """Open Optuna's storage in a journal file, and create the file if it does not exist.

    Raises:
        RecordError: the file cannot be opened, or is damaged.
    """
    try:
        if path.exists():
            journal_repair.check(path)
        with quiet_optuna():
            return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError as error:
        raise RecordError(
            f"{path} cannot be opened: {error.strerror}", hint="check its permissions"
        ) from error
