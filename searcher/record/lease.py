"""One driver a run: a lock that the operating system releases with the process, whatever ends it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from search_space.errors import RecordError


class Lease:
    """The right to write one run's record, held from creation to ``release``.

    The lock is the kernel's (flock), so a killed driver leaves no stale one; the text of the file only names
    the holder.

    Args:
        run_dir: folder of the run; it must exist.

    Raises:
        RecordError: another process holds it, or the folder cannot be written.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "driver.lease"
        self._lock = FileLock(self.path, blocking=False, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            # A driver that took the lock a moment ago may not have written its name yet.
            writer = _name(_read(self.path)) or "another process"
            raise RecordError(
                f"{run_dir} is being written by {writer}",
                hint="wait for it, stop it, or give this run another name",
            ) from None
        except OSError as error:
            raise RecordError(
                f"{self.path} cannot be written: {error.strerror}", hint="choose a writable output"
            ) from error
        holder = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.path.write_text(json.dumps(holder), encoding="utf-8")

    def release(self) -> None:
        """Release the lock, so that another driver can write; a second call does nothing."""
        if self._lock.is_locked:
            if _read(self.path).get("pid") == os.getpid():
                self.path.write_text("", encoding="utf-8")
            self._lock.release()


def holder(run_dir: Path) -> str | None:
    """Return the process that writes the run, such as ``process 12 on host since ...``, or None.

    The lock itself is not tried: a driver that starts at this moment would find it taken.
    """
    data = _read(run_dir / "driver.lease")
    name = _name(data)
    if name is None or data["host"] != socket.gethostname():
        return name
    try:
        os.kill(int(data["pid"]), 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        # The process exists, and belongs to another user.
        return name
    return name


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _name(data: Mapping[str, Any]) -> str | None:
    if not {"pid", "host", "since"} <= data.keys():
        return None
    return f"process {data['pid']} on {data['host']} since {data['since']}"
