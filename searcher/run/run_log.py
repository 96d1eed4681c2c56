"""The log of a run as JSON lines: one file for the run, and one for each training, named by its digest.

``logs/run.jsonl`` has sessions, starts, losses and measurements; ``logs/trials/`` has a file a training with
its epochs, warnings and tracebacks. Logs are for people and may have gaps, as on a full disk: no result
depends on them.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from proxy_train.measurement import Purpose
from searcher.plan.events import EpochTrained, Event, Lost, Measured, OnEvent, PhaseProgress, Started
from searcher.record.storage import redacted
from searcher.settings.settings import Settings

FOLDER = "logs"
_LOG = logging.getLogger(__name__)


class RunLog:
    """The log of a session; a context manager that notes its start and its end.

    Args:
        run_dir: folder of the run.
        settings: settings of the run.
    """

    def __init__(self, run_dir: Path, settings: Settings) -> None:
        self._folder = run_dir / FOLDER
        self._settings = settings
        self._file: IO[str] | None = None
        self._broken = False

    def __enter__(self) -> RunLog:
        self._write(
            None,
            "session",
            host=socket.gethostname(),
            pid=os.getpid(),
            settings=self._settings.digest,
            version=sys.version.split()[0],
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del trace
        how = "through" if kind is None else "stopped" if kind.__name__ == "Stopped" else kind.__name__
        self._write(None, "end", how=how, error=None if error is None else str(error)[:2000])
        if self._file is not None:
            self._file.close()

    def before(self, listener: OnEvent) -> OnEvent:
        """Return a function that logs every event and passes it on to ``listener``."""

        def log_and_pass_on(event: Event) -> None:
            self.log(event)
            listener(event)

        return log_and_pass_on

    def log(self, event: Event) -> None:
        """Write an event; progress is not logged."""
        match event:
            case PhaseProgress():
                return
            case Started(phase, digest, architecture, seed):
                trial = trial_name(digest, seed, phase)
                self._write(None, "start", phase=phase, digest=digest, seed=seed, architecture=architecture)
                self._write(trial, "start", digest=digest, seed=seed, architecture=architecture)
            case EpochTrained():
                trial = trial_name(event.digest, event.seed, event.phase)
                facts: dict[str, Any] = {"epoch": event.epoch, "seconds": round(event.seconds, 3)}
                self._write(trial, "epoch", **facts, where=event.where, log=list(event.log))
            case Lost():
                trial = trial_name(event.digest, event.seed, event.phase)
                training = {"phase": event.phase, "digest": event.digest, "seed": event.seed}
                self._write(None, "lost", **training, reason=event.reason)
                self._write(trial, "lost", reason=event.reason, details=event.details)
            case Measured(measurement, decision):
                trial = trial_name(measurement.digest, measurement.seed, measurement.purpose)
                facts = {
                    "status": measurement.status,
                    "fidelity": measurement.fidelity.key,
                    "seconds": round(measurement.seconds, 3),
                    "metrics": dict(measurement.metrics),
                    "reason": measurement.reason,
                    "decision": "" if decision is None else decision.reason,
                }
                training = {
                    "phase": measurement.purpose,
                    "digest": measurement.digest,
                    "seed": measurement.seed,
                }
                self._write(None, "measured", **training, **facts)
                self._write(trial, "measured", **facts)

    def _write(self, trial: str | None, name: str, **facts: Any) -> None:
        """Append an event to the log of a training, or of the run."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": name, **facts}, ensure_ascii=False)
        line = redacted(line, self._settings.storage) + "\n"
        try:
            if trial is not None:
                path = self._folder / "trials" / f"{trial}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(line)
                return
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                path = self._folder / "run.jsonl"
                self._file = path.open("a", encoding="utf-8", errors="backslashreplace")
            self._file.write(line)
            self._file.flush()
            self._broken = False
        except OSError as error:
            if not self._broken:
                _LOG.warning("the log of the run has a gap: %s", error)
            self._broken = True


def trial_name(digest: str, seed: int, phase: Purpose) -> str:
    """Return the name of a training's log file without its ending."""
    return f"{digest}-s{seed}-{phase}"


def read_log(run_dir: Path, digest: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the lines of a run's log, or of the logs of some of its trainings, file by file.

    Args:
        run_dir: folder of the run.
        digest: first characters of the trainings' digests; empty for the log of the run.

    Yields:
        Name of the file without its ending, and the content of a line; torn lines are left out.
    """
    folder = run_dir / FOLDER
    files = sorted((folder / "trials").glob(f"{digest}*.jsonl")) if digest else [folder / "run.jsonl"]
    for path in files:
        if not path.is_file():
            continue
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    yield path.stem, json.loads(line)
                except json.JSONDecodeError:
                    continue
