"""The worker's side of the cluster: one long-lived process that trains one job after the other."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator
from typing import Any

import torch
from ray import tune

from search_space.errors import MovinasError
from search_space.network import retain_freed_memory
from searcher.jobs import EpochResult, EvaluatorSpec, Job


class TrialWorker(tune.Trainable):  # type: ignore[misc]
    """A Ray Tune trainable whose step is one epoch of a job; Ray reuses it for the next job.

    Its configuration is ``{"job": JSON, "evaluator": JSON, "threads": int}``. Training checkpoints itself in
    the job's folder, so that Ray's own checkpoints are empty and a lost worker's job goes on wherever it is
    restarted.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Called by Ray in a new process; nothing here may fail, for Ray would not try again."""
        torch.set_num_threads(int(config["threads"]))
        retain_freed_memory()
        self._evaluators: dict[str, Any] = {}
        self._epochs: Iterator[EpochResult] | None = None

    def step(self) -> dict[str, Any]:
        """Trains one epoch.

        Returns:
            ``epoch`` is a result, or ``failure`` says why the job is hopeless. Other exceptions go to Ray,
            which tries the job again.
        """
        try:
            if self._epochs is None:
                self._epochs = self._evaluator()(Job.from_json(self.config["job"]))
            result = next(self._epochs)
        except StopIteration:
            return {"failure": "the training ended before its last rung"}
        except (MovinasError, MemoryError, torch.OutOfMemoryError) as error:
            # Training again would end the same way.
            return {"failure": f"{type(error).__name__}: {error}"[:500]}
        return {"epoch": result.to_dict(), "where": f"{socket.gethostname()}:{os.getpid()}"}

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

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: see the class."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: see the class."""
