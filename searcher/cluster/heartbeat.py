"""The heartbeat of a driver, and the request to stop that it obeys, beside the run's record.

Every process that can read the record can see the driver and can stop it, from any machine.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from search_space.errors import RecordError
from search_space.json_files import from_json, to_json
from searcher.cluster.nodes import Node
from searcher.plan.events import PhaseProgress
from searcher.record.channel import Channel

_LOG = logging.getLogger(__name__)
_BEAT, _STOP = "driver", "stop"


@dataclass(frozen=True)
class Beat:
    """The state of a run at a moment.

    Args:
        time: seconds since 1970, by the channel's clock.
        driver: name of the driver, such as ``process 12 on host``.
        phase: phase of the run.
        planned: number of trainings of the phase.
        done: number of trainings that succeeded.
        running: number of trainings on a worker.
        failed: number of trainings that failed.
        seconds: seconds since the phase started in this session.
        seconds_left: estimate of the seconds left; None before the first epoch.
        hourly: trainings an hour that ended in this phase and session.
        nodes: machines of the cluster.
        waiting: reason why nothing is trained, empty if something is.
        waiting_seconds: seconds for which nothing has been trained.
        obstacles: what single trainings wait for, and machines that cannot be reached, for people.
        state: ``working``, ``stopping`` while running trainings end, or ``ended``.
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
    obstacles: tuple[str, ...] = ()
    state: str = "working"


class Heartbeat:
    """The driver's side of a channel: its state, and requests to stop.

    A full disk or an unavailable database does not stop a run here: only the record must be whole.

    Args:
        channel: channel of the run.
        seconds: seconds between two beats.

    Attributes:
        stopping: whether a stop was requested.
    """

    def __init__(self, channel: Channel, seconds: float = 2.0) -> None:
        self._channel, self._seconds = channel, seconds
        self._driver = f"process {os.getpid()} on {socket.gethostname()}"
        self._last = -float("inf")
        self._beat: Beat | None = None
        self.stopping = False
        # A request from before this session was meant for an earlier one.
        self._write(_STOP, None)

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
        obstacles: Sequence[str] = (),
    ) -> None:
        """Write the state of the run, and read whether a stop was requested.

        Args:
            progress: progress of the phase.
            nodes: machines of the cluster.
            waiting: reason why nothing is trained, empty if something is.
            waiting_seconds: seconds for which nothing has been trained.
            obstacles: what single trainings wait for, and machines that cannot be reached.
        """
        self._last = time.monotonic()
        try:
            self.stopping = self.stopping or self._channel.read(_STOP) is not None
            now = self._channel.now()
        except (OSError, SQLAlchemyError, OptunaError) as error:
            _LOG.warning("cannot read requests to stop: %s", error)
            self._last = time.monotonic()
            return
        self._beat = Beat(
            time=now,
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
            obstacles=tuple(obstacles),
            state="stopping" if self.stopping else "working",
        )
        self._write(_BEAT, to_json(self._beat))

    def end(self) -> None:
        """Write that the driver has ended."""
        if self._beat is not None:
            last = replace(self._beat, state="ended", waiting="", obstacles=(), running=0)
            self._write(_BEAT, to_json(last))
        if self.stopping:
            self._write(_STOP, None)

    def _write(self, key: str, value: Mapping[str, Any] | None) -> None:
        try:
            self._channel.write(key, value)
        except (OSError, SQLAlchemyError, OptunaError) as error:
            _LOG.warning("cannot write the heartbeat: %s", error)


def last_beat(channel: Channel) -> Beat | None:
    """Return the last state that a run's driver wrote; None if there is none, or one of another version."""
    content = channel.read(_BEAT)
    if content is None:
        return None
    try:
        return from_json(
            content, Beat, where="the heartbeat", error=RecordError, hint="wait for the next one"
        )
    except RecordError:
        return None


def ask_to_stop(channel: Channel) -> None:
    """Request that a run's driver stops."""
    channel.write(_STOP, {"time": time.time(), "by": f"process {os.getpid()} on {socket.gethostname()}"})
