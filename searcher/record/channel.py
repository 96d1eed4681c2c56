"""Small values beside the record of a run, which every process that can read the record can read and write.

A record in a journal has a file for each in the run's folder, one in a database an attribute of its study.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import text

from search_space.files import replacing

_NOW = text("SELECT extract(epoch FROM clock_timestamp())")


class Channel(Protocol):
    """Small values beside a run's record: the driver's heartbeat and requests to stop."""

    def now(self) -> float:
        """Return the seconds since 1970 by a clock that readers and writers share."""

    def write(self, key: str, value: Mapping[str, Any] | None) -> None:
        """Replace a value; None removes it."""

    def read(self, key: str) -> Mapping[str, Any] | None:
        """Return the value; None if there is none."""


@dataclass(frozen=True)
class FolderChannel:
    """Values as files in the run's folder.

    Args:
        run_dir: folder of the run.
    """

    run_dir: Path

    def now(self) -> float:
        """Return the seconds since 1970 by this machine's clock."""
        return time.time()

    def write(self, key: str, value: Mapping[str, Any] | None) -> None:
        """Replace the file of a value; None removes it."""
        path = self.run_dir / f"{key}.json"
        if value is None:
            path.unlink(missing_ok=True)
            return
        with replacing(path, durable=False) as temporary:
            temporary.write_text(json.dumps(value), encoding="utf-8")

    def read(self, key: str) -> Mapping[str, Any] | None:
        """Return the content of the file; None if there is none, or it is damaged."""
        try:
            data = json.loads((self.run_dir / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None


@dataclass(frozen=True)
class StudyChannel:
    """Values as attributes of the run's study.

    Args:
        storage: Optuna storage of the record.
        study_id: number of the study in the storage.
        guard: function called before every write, which raises if this process may not write.
    """

    storage: BaseStorage
    study_id: int
    guard: Callable[[], None]

    def now(self) -> float:
        """Return the seconds since 1970 by the database's clock, which all who use it share."""
        if not isinstance(self.storage, RDBStorage):
            return time.time()
        with self.storage.engine.connect() as connection:
            return float(connection.execute(_NOW).scalar_one())

    def write(self, key: str, value: Mapping[str, Any] | None) -> None:
        """Replace the attribute; None removes its value."""
        self.guard()
        self.storage.set_study_user_attr(self.study_id, key, None if value is None else dict(value))

    def read(self, key: str) -> Mapping[str, Any] | None:
        """Return the attribute; None if there is none."""
        data = self.storage.get_study_user_attrs(self.study_id).get(key)
        return data if isinstance(data, dict) else None
