"""Writing to a storage that may be away for a while: a full disk, a database that is started again."""

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
_FIRST, _LONGEST = 0.5, 15.0

T = TypeVar("T")

AWAY = (OSError, StorageInternalError, SQLAlchemyError)
"""What storages raise when they cannot be used."""

Action = Callable[[], None]


def _nothing() -> None:
    """The default action."""


class Patience:
    """Tries again until a storage can be used.

    A write that failed may have been done all the same: a database may lose its client after the commit, a
    file may be whole although the disk did not answer. So nothing is written again before the storage was
    looked at.

    Args:
        name: of the run.
        seconds: for how long; 0 is not at all.
        guard: called before every write: whether this driver still has the right to.
        mend: brings the storage in order after a failure, such as a torn line.
    """

    def __init__(
        self, name: str, seconds: float = 0.0, *, guard: Action = _nothing, mend: Action = _nothing
    ) -> None:
        self._name, self._seconds, self._guard, self._mend = name, seconds, guard, mend

    def do(self, write: Callable[[], T], done: Callable[[], T | None] = lambda: None) -> T:
        """What ``write`` answers, or ``done`` if an attempt that failed turns out to have been written.

        Raises:
            RecordError: the storage was away for too long.
        """
        began, pause = time.monotonic(), _FIRST
        try:
            self._guard()
            return write()
        except AWAY as error:
            failure: Exception = error
        while time.monotonic() - began < self._seconds:
            _LOG.warning("the record of %s cannot be written, trying again: %s", self._name, _text(failure))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)
            try:
                self._guard()
                self._mend()
                found = done()
                return write() if found is None else found
            except AWAY as error:
                failure = error
        raise RecordError(
            f"the record of {self._name!r} cannot be written: {_text(failure)}",
            hint="when disk or database can be used again, the same command goes on",
        ) from failure


def _text(error: Exception) -> str:
    return redacted(" ".join(str(error.__cause__ or error).split())[:300])
