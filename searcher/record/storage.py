"""Where a run's record lies: a journal file in its folder, or a PostgreSQL database that runs share.

A record in a database has a file of one line in the run's folder with its address and the name of its study.
Two runs of the same name in one database have different studies, unless they have the same checkpoints in an
object store: then they are one run, which drivers on different machines continue.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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
from searcher.record.batched_storage import BatchedStorage
from searcher.record.optuna_logging import quiet_optuna

FILE = "record.journal"
POINTER = "record.json"
SCHEMES = ("postgresql", "postgresql+psycopg")
# A server that vanishes, as behind a cut cable, closes no connection: the kernel would wait a quarter of an
# hour for an answer, and for ever where none is due. All of it is shorter than a lost driver keeps its lock.
_LIMITS = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
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
    def create(cls, run_dir: Path, url: str, checkpoints: str | None = None) -> Database:
        """Choose the study's name of a run that this machine does not know, and write it into its folder.

        Args:
            run_dir: folder of the run.
            url: address of the database.
            checkpoints: address of the run's checkpoints in an object store. Database and store are the whole
                run then, wherever its driver works: on every machine, the study has the same name.
        """
        own = uuid.uuid4().hex if checkpoints is None else hashlib.sha256(checkpoints.encode()).hexdigest()
        database = cls(without_password(url), f"{run_dir.name}-{own[:12]}")
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


def single_connections(url: str) -> Engine:
    """Return an engine whose connections are not pooled and commit every statement.

    Raises:
        SettingsError: there is no driver for PostgreSQL.
    """
    try:
        return create_engine(
            _with_driver(url),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=_limits(url),
        )
    except ImportError as error:
        raise SettingsError(
            f"storage is {without_password(url)}: there is no PostgreSQL driver ({error})", hint=_EXTRA
        ) from error


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Yield a connection of its own that commits every statement."""
    try:
        connection = single_connections(url).connect()
    except SQLAlchemyError as error:
        raise unreachable(url, error) from error
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
                return BatchedStorage(
                    _with_driver(url), engine_kwargs={"pool_pre_ping": True, "connect_args": _limits(url)}
                )
        except (IntegrityError, ProgrammingError) as error:
            # Two drivers create the tables at the same moment: the second finds them at its next attempt.
            if attempt == 4:
                raise unreachable(url, error) from error
            _LOG.info("%s: %s; trying again", without_password(url), error)
        except SQLAlchemyError as error:
            raise unreachable(url, error) from error
        except RuntimeError as error:
            raise RecordError(
                f"{without_password(url)} was written by another version of Optuna: {error}",
                hint="use an empty database, or `optuna storage upgrade`",
            ) from error
    raise AssertionError("unreachable")


def _limits(url: str) -> dict[str, int]:
    """Return the limits of connections, but for those that the address gives itself."""
    return {name: value for name, value in _LIMITS.items() if name not in make_url(url).query}


def _with_driver(url: str) -> str:
    return "postgresql+psycopg://" + url.partition("://")[2]


def unreachable(url: str, error: Exception) -> RecordError:
    """Return the error that a database cannot be used, with the reason."""
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
