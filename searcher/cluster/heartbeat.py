"""The sign of life that a driver gives, and the wish to stop that it hears: both beside the run's record.

A record in a journal has two small files in the run's folder, one in a database two attributes of its study,
so that whoever can read the record can see the driver and can stop it, from any machine.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage
from sqlalchemy.exc import SQLAlchemyError

from search_space.files import replacing
from searcher.cluster.nodes import Node
from searcher.plan.events import PhaseProgress

_LOG = logging.getLogger(__name__)
_BEAT, _STOP = "driver", "stop"


@dataclass(frozen=True)
class Beat:
    """How a run was at a moment.

    Args:
        time: seconds since 1970.
        driver: such as ``process 12 on host``.
        phase: of the run.
        planned: trainings of the phase; the next ones count them by state as ``Progress`` does.
        seconds: since the phase began in this session.
        seconds_left: an estimate, None while there is nothing to go by.
        hourly: trainings that ended in this phase and session, an hour.
        nodes: of the cluster.
        waiting: why nothing moves, empty if something does.
        waiting_seconds: for how long.
        state: ``working``, ``stopping`` while it ends what is under way, or ``ended``.
    """

    time: float
    driver: str
    phase: str
    planned: int
    done: int
    running: int
    failed: int
    seconds: float
    seconds_left: float | None
    hourly: float
    nodes: tuple[Node, ...] = ()
    waiting: str = ""
    waiting_seconds: float = 0.0
    state: str = "working"

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Beat | None:
        """The inverse of ``to_dict``; None for what is no beat, or one of another version."""
        try:
            return cls(**{**data, "nodes": tuple(Node(**node) for node in data["nodes"])})
        except (KeyError, TypeError):
            return None


class Channel(Protocol):
    """Where beats and wishes lie."""

    def write(self, key: str, value: Mapping[str, Any] | None) -> None:
        """Replaces a value; None takes it away."""

    def read(self, key: str) -> Mapping[str, Any] | None:
        """The value, or None if there is none."""


@dataclass(frozen=True)
class FolderChannel:
    """Two files in the run's folder."""

    run_dir: Path

    def write(self, key: str, value: Mapping[str, Any] | None) -> None:
        """Replaces the file."""
        path = self.run_dir / f"{key}.json"
        if value is None:
            path.unlink(missing_ok=True)
            return
        with replacing(path, durable=False) as temporary:
            temporary.write_text(json.dumps(value), encoding="utf-8")

    def read(self, key: str) -> Mapping[str, Any] | None:
        """What the file says."""
        try:
            data = json.loads((self.run_dir / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None


@dataclass(frozen=True)
class StudyChannel:
    """Two attributes of the run's study."""

    storage: BaseStorage
    study_id: int

    def write(self, key: str, value: Mapping[str, Any] | None) -> None:
        """Replaces the attribute."""
        self.storage.set_study_user_attr(self.study_id, key, None if value is None else dict(value))

    def read(self, key: str) -> Mapping[str, Any] | None:
        """What the attribute says."""
        data = self.storage.get_study_user_attrs(self.study_id).get(key)
        return data if isinstance(data, dict) else None


class Pulse:
    """A driver's side of a channel.

    A full disk or a database that is away does not stop a run here: it is the record that must be whole.

    Args:
        channel: of the run.
        seconds: between two beats.
    """

    def __init__(self, channel: Channel, seconds: float = 2.0) -> None:
        self._channel, self._seconds = channel, seconds
        self._driver = f"process {os.getpid()} on {socket.gethostname()}"
        self._last = -float("inf")
        self._beat: Beat | None = None
        self.stopping = False
        # A wish that nobody heard is not for this session.
        self._try(_STOP, None)

    @property
    def due(self) -> bool:
        """Whether it is time for the next beat."""
        return time.monotonic() - self._last >= self._seconds

    def beat(
        self,
        progress: PhaseProgress,
        *,
        nodes: Sequence[Node] = (),
        waiting: str = "",
        waiting_seconds: float = 0.0,
    ) -> None:
        """Tells how things are, and hears whether the run is to stop."""
        self._last = time.monotonic()
        try:
            self.stopping = self.stopping or self._channel.read(_STOP) is not None
        except (OSError, SQLAlchemyError, OptunaError) as error:
            _LOG.warning("nobody can be heard: %s", error)
        self._beat = Beat(
            time=time.time(),
            driver=self._driver,
            phase=progress.phase,
            planned=progress.planned,
            done=progress.done,
            running=progress.running,
            failed=progress.failed,
            seconds=progress.seconds,
            seconds_left=progress.seconds_left,
            hourly=3600 * progress.ended / progress.seconds if progress.seconds else 0.0,
            nodes=tuple(nodes),
            waiting=waiting,
            waiting_seconds=waiting_seconds,
            state="stopping" if self.stopping else "working",
        )
        self._try(_BEAT, self._beat.to_dict())

    def end(self) -> None:
        """The driver's last word."""
        if self._beat is not None:
            last = replace(self._beat, state="ended", time=time.time(), waiting="", running=0)
            self._try(_BEAT, last.to_dict())
        if self.stopping:
            self._try(_STOP, None)

    def _try(self, key: str, value: Mapping[str, Any] | None) -> None:
        try:
            self._channel.write(key, value)
        except (OSError, SQLAlchemyError, OptunaError) as error:
            _LOG.warning("no sign of life can be given: %s", error)


def last_beat(channel: Channel) -> Beat | None:
    """How the run was when its driver last said so; None if it never has."""
    data = channel.read(_BEAT)
    return None if data is None else Beat.from_dict(data)


def ask_to_stop(channel: Channel) -> None:
    """Asks whoever drives the run to end what is under way and leave."""
    channel.write(_STOP, {"time": time.time(), "by": f"process {os.getpid()} on {socket.gethostname()}"})
