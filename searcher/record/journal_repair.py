"""Repairs of the record's journal file that only the one driver may do, before it writes.

A journal is one JSON object a line. Power loss or a full disk can leave a torn last line: it reads well, but
the next append would be glued to it and destroy both. A writer killed while it held the journal's own lock
file would block the next one for half a minute.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from search_space.errors import RecordError

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 16


def repair(path: Path) -> Path | None:
    """Cut a torn end off the journal and remove its stale lock; the caller must hold the run's lease.

    Args:
        path: journal file; it may not exist yet.

    Returns:
        File with the bytes that were cut off, or None if the journal was whole.
    """
    for stale in path.parent.glob(f"{path.name}.lock*"):
        stale.unlink(missing_ok=True)
    if not path.exists():
        return None
    good = _good_end(path)
    return None if good == path.stat().st_size else _cut(path, good)


def _good_end(path: Path) -> int:
    """Return the number of bytes up to the end of the last whole line."""
    good = path.stat().st_size
    while good:
        line_start, line = _last_line(path, good)
        if line.endswith(b"\n") and _is_json(line):
            break
        good = line_start
    return good


def mend(path: Path) -> None:
    """Cut a torn end off the journal of a driver that keeps writing, and discard it.

    The remains of a failed write are of no use: the same entry is written again.
    """
    for stale in path.parent.glob(f"{path.name}.lock*"):
        stale.unlink(missing_ok=True)
    good = _good_end(path)
    if good < path.stat().st_size:
        os.truncate(path, good)


def check(path: Path) -> None:
    """Check every line of the journal.

    Raises:
        RecordError: a line before the last is not JSON, which no interrupted write can cause.
    """
    with path.open("rb") as file:
        damaged = 0
        for number, line in enumerate(file, start=1):
            if damaged:
                raise RecordError(
                    f"{path}: line {damaged} is damaged",
                    hint="restore the file, or start a run of another name",
                )
            if not line.endswith(b"\n") or not _is_json(line):
                damaged = number


def _cut(path: Path, good: int) -> Path:
    """Move the bytes from ``good`` on to a file of their own beside the journal, and return it."""
    number = 1
    while (backup := path.with_name(f"{path.name}.torn-{number}")).exists():
        number += 1
    with path.open("rb+") as file:
        file.seek(good)
        with backup.open("xb") as kept:
            kept.write(file.read())
            kept.flush()
            os.fsync(kept.fileno())
        file.truncate(good)
        file.flush()
        os.fsync(file.fileno())
    _LOG.warning("the end of %s was torn; it was cut off and kept in %s", path, backup)
    return backup


def _last_line(path: Path, end: int) -> tuple[int, bytes]:
    """Return the start of the last line before byte ``end``, and the line with its newline if it has one."""
    with path.open("rb") as file:
        start, tail = end, b""
        while start:
            size = min(_BLOCK, start)
            start -= size
            file.seek(start)
            tail = file.read(size) + tail
            newline = tail.rfind(b"\n", 0, len(tail) - 1)
            if newline >= 0:
                return start + newline + 1, tail[newline + 1 :]
        return 0, tail


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False
