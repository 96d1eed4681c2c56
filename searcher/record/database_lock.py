"""One driver a run in a database: a lock that the server releases with the driver's connection.

A driver that vanishes without a word, as behind a cut cable or with its machine, keeps its lock until the
server notices, about 30 seconds later. By then the driver's own connections have given up: what it wrote last
is written or never will be.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from search_space.errors import RecordError
from searcher.record.storage import Database, single_connections, unreachable

_LOG = logging.getLogger(__name__)
# A driver at work uses its lock's connection at every heartbeat.
_SILENT_SECONDS, _TAKEOVER_SECONDS, _PAUSE_SECONDS = 10.0, 90.0, 1.0
# Of the server, for the lock's connection: seconds without a sign of the driver's machine.
_NOTICE = """
SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '4', false), set_config('tcp_user_timeout', '30000', false),
       set_config('application_name', %s, false)
"""
_ACQUIRE = "SELECT pg_try_advisory_lock(hashtext('movinas'), hashtext(%s))"
_HOLDER = """
SELECT pid, application_name, coalesce(extract(epoch FROM clock_timestamp() - state_change), -1)::float,
       client_addr IS DISTINCT FROM inet_client_addr()
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = (hashtext('movinas')::bigint & 4294967295)::oid
  AND objid = (hashtext(%s)::bigint & 4294967295)::oid
"""


class DatabaseLock:
    """The run's lock in the database, which the server releases with the connection; a context manager.

    Args:
        database: record of the run.
        url: address of the database, with a password if it needs one.

    Raises:
        RecordError: another driver holds the lock, perhaps on another machine.
    """

    def __init__(self, database: Database, url: str) -> None:
        self._database, self._url = database, url
        self._connection: Connection | None = None
        # No longer than the 63 bytes that a server keeps.
        self._name = f"movinas process {os.getpid()} on {socket.gethostname()[:20]} {uuid.uuid4().hex[:8]}"

    def __enter__(self) -> DatabaseLock:
        try:
            holder = self._acquire()
            if holder is not None and holder.may_be_lost:
                holder = self._await(holder)
        except SQLAlchemyError as error:
            raise unreachable(self._url, error) from error
        if holder is not None:
            raise RecordError(
                self._held_by(holder), hint="wait for it, stop it, or give this run another name"
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self._release()

    def _await(self, holder: _Holder) -> _Holder | None:
        """Wait for the server to notice that the lock's holder is lost; return it if it is not."""
        _LOG.warning("%s: waiting for a sign of life, or for the server to give it up", self._held_by(holder))
        end = time.monotonic() + _TAKEOVER_SECONDS
        last, silent = holder, holder.silent
        while silent <= last.silent and time.monotonic() < end:
            time.sleep(_PAUSE_SECONDS)
            silent, found = last.silent, self._acquire()
            if found is None:
                return None
            last = found
        return last

    def _release(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.close()
        self._connection = None

    def connection(self) -> Connection:
        """Return the connection that holds the lock; what is written on it needs no other guard.

        Raises:
            OSError: it was lost; ``ensure`` acquires the lock again.
        """
        if self._connection is None or self._connection.invalidated:
            raise OSError(f"the connection to {self._database.url} was lost")
        return self._connection

    def ensure(self) -> None:
        """Acquire the lock again if the connection was lost, as when the server restarts.

        Raises:
            OSError: another driver holds it.
            SQLAlchemyError: the server cannot be reached.
        """
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
                return
            except SQLAlchemyError:
                self._release()
        holder = self._acquire()
        if holder is not None:
            raise OSError(self._held_by(holder))

    def _held_by(self, holder: _Holder) -> str:
        place = f"{self._database.study} in {self._database.url}"
        return f"{place} is being written by another process, {holder.name}"

    def _acquire(self) -> _Holder | None:
        """Ask for the lock; return its holder if that is another driver."""
        connection = single_connections(self._url).connect()
        try:
            connection.exec_driver_sql(_NOTICE, (self._name,))
            for _ in range(3):
                if connection.exec_driver_sql(_ACQUIRE, (self._database.study,)).scalar_one():
                    self._connection = connection
                    return None
                found = connection.exec_driver_sql(_HOLDER, (self._database.study,)).first()
                holder = _Holder(0, "its driver", -1.0, False) if found is None else _Holder(*found)
                if holder.name != self._name:
                    return holder
                # Our own connection, which the server still counts as open.
                connection.exec_driver_sql("SELECT pg_terminate_backend(%s)", (holder.pid,))
                time.sleep(_PAUSE_SECONDS)
            return holder
        finally:
            if self._connection is not connection:
                connection.close()


@dataclass(frozen=True)
class _Holder:
    """The connection that holds a lock.

    Args:
        pid: number of its process on the server.
        name: name that its driver gave.
        silent: seconds since its last statement; negative if the server does not tell.
        elsewhere: whether it comes from another machine than ours.
    """

    pid: int
    name: str
    silent: float
    elsewhere: bool

    @property
    def may_be_lost(self) -> bool:
        """Whether the server may not know yet that its driver is gone; on one machine it knows at once."""
        return self.silent >= 0 and (self.elsewhere or self.silent > _SILENT_SECONDS)
