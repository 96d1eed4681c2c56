"""Writing to a storage that may be unavailable for a while: a full disk, a database that restarts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from search_space.errors import RecordError
from searcher.record.storage import redacted

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0

T = TypeVar("T")

UNAVAILABLE = (OSError, StorageInternalError, SQLAlchemyError)
"""Errors of storages that cannot be used."""

Action = Callable[[], None]


def _nothing() -> None:
    """Do nothing."""


class Retrying:
    """Retries writes until a storage can be used.

    A write that failed may have been done all the same: a database may lose its client after the commit, a
    file may be whole although the disk did not answer. So the storage is read before
    anything is written again.

    Args:
        name: name of the run.
        retry_seconds: seconds for which a write is retried; 0 for a single attempt.
        guard: function called before every write, which raises if this driver may no longer write.
        mend: function that repairs the storage after a failure, such as a torn line.
    """

    def __init__(
        self, name: str, retry_seconds: float = 0.0, *, guard: Action = _nothing, mend: Action = _nothing
    ) -> None:
        self._name, self._retry_seconds, self.guard, self._mend = name, retry_seconds, guard, mend

    def do(
        self, write: Callable[[], T], done: Callable[[], T | None] = lambda: None, *, fenced: bool = False
    ) -> T:
        """Return the result of ``write``, or of ``done`` if a failed attempt turns out to have been written.

        Args:
            write: function that writes.
            done: function that reads the result of an earlier attempt; it returns None if nothing was
                written.
            fenced: whether the write fails by itself where this driver may no longer write.

        Raises:
            RecordError: the storage was unavailable for too long.
        """
        started, pause = time.monotonic(), _FIRST_PAUSE
        try:
            if not fenced:
                self.guard()
            return write()
        except UNAVAILABLE as error:
            failure: Exception = error
        while time.monotonic() - started < self._retry_seconds:
            _LOG.warning("the record of %s cannot be written, trying again: %s", self._name, _text(failure))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                self.guard()
                self._mend()
                earlier = done()
                return write() if earlier is None else earlier
            except UNAVAILABLE as error:
                failure = error
        raise RecordError(
            f"the record of {self._name!r} cannot be written: {_text(failure)}",
            hint="once the disk or the database can be used again, run the same command to resume",
        ) from failure


def _text(error: Exception) -> str:
    return redacted(" ".join(str(error.__cause__ or error).split())[:300])
