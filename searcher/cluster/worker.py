"""The worker's side of the cluster: a long-lived process that trains one job after another."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import torch
from ray import tune

from proxy_train.store.clip_origins import LostVideoError
from search_space.errors import MovinasError
from search_space.network.allocator import retain_freed_memory
from search_space.termination import LeftEarly, is_leaving
from searcher.cluster.background_push import BackgroundPush
from searcher.cluster.checkpoint_mirror import Mirror, StoreError
from searcher.cluster.departure import end_with_the_node, heed_departure
from searcher.cluster.leaving import mark_left
from searcher.cluster.machine import sweep, temporary_folder
from searcher.plan.job import EpochResult, EvaluatorSpec, Job

_PAUSE_SECONDS, _TOLD_SECONDS = 2.0, 6.0
_MOST_LINES = 50


class TrialWorker(tune.Trainable):  # type: ignore[misc]
    """A Ray Tune trainable whose step is one epoch of a job; Ray reuses it for the next job.

    Its configuration is ``{"job": JSON, "evaluator": JSON, "threads": int, "retry_seconds": seconds,
    "mirror": address or None}``. Training writes its own checkpoint into the job's folder: Ray's
    checkpoints are empty, and the job of a lost worker resumes on any other.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare a new process; called by Ray, which does not retry it if it fails."""
        torch.set_num_threads(int(config["threads"]))
        retain_freed_memory()
        self._evaluators: dict[str, Any] = {}
        self._epochs: Iterator[EpochResult] | None = None
        self._trained: EpochResult | None = None
        self._copy: BackgroundPush | None = None
        self._waiting_since = 0.0
        self._warnings = _Warnings()
        logging.getLogger().addHandler(self._warnings)
        self._training, self._left = False, False
        # With copies under way, the next step waits for them.
        heed_departure(lambda: not self._training and self._copy is None, mark_left)

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        Returns:
            A result as ``epoch``; as ``failure`` the reason why the job cannot succeed; as ``waiting`` the
            reason why the epoch has to wait, which the next step waits for as well; or as ``interrupted`` how
            far it came, if this process has to go. Other exceptions go to Ray, which retries the job.
        """
        self._training = True
        try:
            return self._leave("between epochs") if is_leaving() else self._step()
        except LeftEarly as left:
            return self._leave(str(left))
        finally:
            self._training = False

    def _step(self) -> dict[str, Any]:
        """Train one epoch; see ``step``."""
        try:
            result = self._epoch()
        except StopIteration:
            return {"failure": "the training ended before its last rung", **self._origin_and_warnings()}
        except (MovinasError, MemoryError, torch.OutOfMemoryError) as error:
            # A retry would end the same way.
            return {"failure": f"{type(error).__name__}: {error}"[:500], **self._origin_and_warnings()}
        if isinstance(result, str):
            return {"waiting": result[:500], **self._origin_and_warnings()}
        return {"epoch": result.to_dict(), **self._origin_and_warnings()}

    def _leave(self, how_far: str) -> dict[str, Any]:
        """Bring the checkpoint to where others find it; once that is said, wait for the end of the node."""
        if self._left:
            end_with_the_node()
        if self._copy is not None:
            self._copy.keep(measured=True)
        self._left = True
        mark_left()
        return {"interrupted": how_far, **self._origin_and_warnings()}

    def _epoch(self) -> EpochResult | str:
        """Return the job's next epoch; what it waits for, while a disk is full or a video or a store away."""
        end = time.monotonic() + _TOLD_SECONDS
        while True:
            try:
                result = self._trained_and_kept()
            except Exception as error:
                # Without a retry, all trainings of the run would fail, one after another.
                may_pass = _disk_is_full(error) or isinstance(error, LostVideoError | StoreError)
                self._waiting_since = self._waiting_since or time.monotonic()
                if not may_pass or time.monotonic() - self._waiting_since > self.config["retry_seconds"]:
                    raise
                logging.getLogger(__name__).warning("%s: waiting, and trying again", error)
                if self._trained is None:
                    self._end_epochs()
                if time.monotonic() > end:
                    return str(error)
                time.sleep(_PAUSE_SECONDS)
            else:
                self._waiting_since = 0.0
                return result

    def _trained_and_kept(self) -> EpochResult:
        """Train an epoch, and keep its checkpoint; if only that failed before, only that is done again."""
        if self._trained is None:
            if self._epochs is None:
                self._epochs = self._evaluator()(self._job())
            self._trained = next(self._epochs)
        if self._copy is not None:
            # Before a measurement is reported: what counts as done is never trained again.
            self._copy.keep(measured=self._trained.metrics is not None)
        result, self._trained = self._trained, None
        return result

    def _job(self) -> Job:
        """Return the job, in a folder of this machine if its checkpoints are in a store."""
        job = Job.from_json(self.config["job"])
        if self.config["mirror"] is None:
            return job
        sweep()
        folder = temporary_folder("job")
        # Not for as long as the job may wait, so that what it waits for is told.
        patience = min(_TOLD_SECONDS, float(self.config["retry_seconds"]))
        self._copy = BackgroundPush(Mirror(self.config["mirror"]), folder, job.folder.name, patience)
        self._copy.begin()
        return replace(job, folder=folder)

    def _origin_and_warnings(self) -> dict[str, Any]:
        """Return host and process of this worker, and the warnings since the last epoch."""
        lines, self._warnings.lines = self._warnings.lines, []
        return {"where": f"{socket.gethostname()}:{os.getpid()}", "log": lines}

    def _evaluator(self) -> Any:
        """Return the evaluator that the configuration names, created once a process."""
        name = self.config["evaluator"]
        if name not in self._evaluators:
            self._evaluators[name] = EvaluatorSpec.from_json(name).build()
        return self._evaluators[name]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Switch to the next job; called by Ray."""
        self.cleanup()
        self.config = new_config
        return True

    def cleanup(self) -> None:
        """End the job; its folder keeps the checkpoint."""
        self._waiting_since = 0.0
        self._end_epochs()

    def _end_epochs(self) -> None:
        """End the training, which can begin again at its checkpoint."""
        self._trained = None
        if isinstance(self._epochs, Generator):
            self._epochs.close()
        self._epochs = None
        if self._copy is not None:
            self._copy.close()
            shutil.rmtree(self._copy.folder, ignore_errors=True)
            self._copy = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: see the class."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: see the class."""


def _disk_is_full(error: Exception) -> bool:
    """Return whether an error says that the disk is full.

    Libraries in other languages pass on the text of the system's error, but not its number.
    """
    full = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError):
        return error.errno in full
    return any(os.strerror(number) in str(error) for number in full)


class _Warnings(logging.Handler):
    """The latest warnings of this process, until they are sent to the driver."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning, up to a limit."""
        if len(self.lines) < _MOST_LINES:
            self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}"[:1000])
