"""The worker's side of the cluster: one long-lived process that trains one job after the other."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ray import tune

from proxy_train.store.clip_origins import LostVideoError
from search_space.errors import MovinasError
from search_space.network.allocator import retain_freed_memory
from searcher.cluster.checkpoint_mirror import Mirror
from searcher.cluster.machine import sweep, temporary_folder
from searcher.plan.job import EpochResult, EvaluatorSpec, Job

_PAUSE = 2.0
_LINES = 50


class TrialWorker(tune.Trainable):  # type: ignore[misc]
    """A Ray Tune trainable whose step is one epoch of a job; Ray reuses it for the next job.

    Its configuration is ``{"job": JSON, "evaluator": JSON, "threads": int, "retry_seconds": seconds,
    "mirror": address or None}``. Training checkpoints itself in the job's folder, so that Ray's own
    checkpoints are empty and a lost worker's job goes on wherever it is restarted.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Called by Ray in a new process; nothing here may fail, for Ray would not try again."""
        torch.set_num_threads(int(config["threads"]))
        retain_freed_memory()
        self._evaluators: dict[str, Any] = {}
        self._epochs: Iterator[EpochResult] | None = None
        self._copy: _Copy | None = None
        self._warnings = _Warnings()
        logging.getLogger().addHandler(self._warnings)

    def step(self) -> dict[str, Any]:
        """Trains one epoch.

        Returns:
            ``epoch`` is a result, or ``failure`` says why the job is hopeless. Other exceptions go to Ray,
            which tries the job again.
        """
        try:
            result = self._epoch()
        except StopIteration:
            return {"failure": "the training ended before its last rung", **self._told()}
        except (MovinasError, MemoryError, torch.OutOfMemoryError) as error:
            # Training again would end the same way.
            return {"failure": f"{type(error).__name__}: {error}"[:500], **self._told()}
        return {"epoch": result.to_dict(), **self._told()}

    def _epoch(self) -> EpochResult:
        """The job's next epoch; without space on the disk, or a video, it waits, and goes on from its
        checkpoint."""
        deadline = time.monotonic() + float(self.config["retry_seconds"])
        while True:
            try:
                if self._epochs is None:
                    self._epochs = self._evaluator()(self._job())
                result = next(self._epochs)
                if self._copy is not None:
                    # Before the epoch is told of: what counts as done is never trained again.
                    self._copy.mirror.push(self._copy.folder, self._copy.name)
                return result
            except Exception as error:
                # Else every training of the run would fail, one after the other.
                passing = _disk_is_full(error) or isinstance(error, LostVideoError)
                if not passing or time.monotonic() > deadline:
                    raise
                logging.getLogger(__name__).warning("%s: waiting for it", error)
                self.cleanup()
                time.sleep(_PAUSE)

    def _job(self) -> Job:
        """The job, in a folder of this machine if its checkpoints are in a store."""
        job = Job.from_json(self.config["job"])
        if self.config["mirror"] is None:
            return job
        sweep()
        folder = temporary_folder("job")
        self._copy = _Copy(Mirror(self.config["mirror"]), folder, job.folder.name)
        self._copy.mirror.pull(job.folder.name, folder)
        return replace(job, folder=folder)

    def _told(self) -> dict[str, Any]:
        """Who speaks, and the warnings since the last epoch."""
        lines, self._warnings.lines = self._warnings.lines, []
        return {"where": f"{socket.gethostname()}:{os.getpid()}", "log": lines}

    def _evaluator(self) -> Any:
        name = self.config["evaluator"]
        if name not in self._evaluators:
            self._evaluators[name] = EvaluatorSpec.from_json(name).build()
        return self._evaluators[name]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next job."""
        self.cleanup()
        self.config = new_config
        return True

    def cleanup(self) -> None:
        """Drops the job; its folder keeps what was trained."""
        if isinstance(self._epochs, Generator):
            self._epochs.close()
        self._epochs = None
        if self._copy is not None:
            shutil.rmtree(self._copy.folder, ignore_errors=True)
            self._copy = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: see the class."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: see the class."""


def _disk_is_full(error: Exception) -> bool:
    """Libraries in other languages have the system's words, but not its number."""
    full = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError):
        return error.errno in full
    return any(os.strerror(number) in str(error) for number in full)


@dataclass(frozen=True)
class _Copy:
    """A job's folder on this machine, and what it is called in the store."""

    mirror: Mirror
    folder: Path
    name: str


class _Warnings(logging.Handler):
    """Keeps warnings until they are fetched, at most so many."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one."""
        if len(self.lines) < _LINES:
            self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}"[:1000])
