"""An evaluator that invents accuracies instead of training, fast and the same every time."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from proxy_train.training.updates import Diverged
from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import compute_cost, macs
from search_space.termination import LeftEarly, is_leaving
from searcher.plan.job import EpochResult, EvaluatorSpec, Job


def accuracy(architecture: Architecture, epochs: int, seed: int) -> float:
    """Grows with cost and epochs, likes some kernels, and jitters a little by digest, seed and epoch."""
    taste = sum(
        0.02 * (layer.kernel.time == 3) - 0.01 * (layer.kernel.space == 5)
        for stage in architecture.stages
        for layer in stage.layers
    )
    jitter = (int(architecture.digest[:6], 16) * (seed + 1) * (epochs + 1) % 1009) / 1009
    size = math.log10(macs(architecture, 16)) - 5
    return min(0.99, max(0.05, 0.12 * size + taste / 4 + 0.04 * math.log2(epochs + 1) + 0.02 * jitter))


def _write(state: Path, content: dict[str, int]) -> None:
    temporary = state.with_suffix(".tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(state)


class Invented:
    """Checkpoints its epoch like a real training, and writes a line to ``log`` for each epoch that it spends.

    Args:
        log: a file that collects ``digest epoch`` lines; None writes nothing.
        seconds: slept an epoch.
        broken: digests' first characters that diverge at epoch 2, or with ``kill`` end their process once.
        timed: whether results have a latency, which grows with the network's parameters.
        hang: digests' first characters that never finish epoch 2.
        updates: number of updates of an epoch, after each of which it may be asked to leave; more than one
            write a line each to ``log``.updates.
    """

    def __init__(
        self,
        log: str | None = None,
        seconds: float = 0.0,
        broken: str = "",
        kill: bool = False,
        timed: bool = False,
        hang: str = "",
        updates: int = 1,
    ) -> None:
        self._hang, self._updates = hang, updates
        self._log, self._seconds, self._broken, self._kill = log, seconds, broken, kill
        self._timed = timed

    def __call__(self, job: Job) -> Iterator[EpochResult]:
        job.folder.mkdir(parents=True, exist_ok=True)
        state = job.folder / "state.json"
        known = json.loads(state.read_text()) if state.exists() else {}
        epoch, update = known.get("epoch", 0), known.get("update", 0)
        if epoch in job.rungs and epoch not in job.measured:
            yield self._result(job, epoch)
        while epoch < job.fidelity.epochs:
            self._update(job, state, epoch, update)
            epoch, update = epoch + 1, 0
            if self._hang and epoch == 2 and job.architecture.digest[0] in self._hang:
                time.sleep(3600)
            if self._broken and epoch == 2 and job.architecture.digest[0] in self._broken:
                self._break(job)
            if self._log is not None:
                with Path(self._log).open("a") as file:
                    file.write(f"{job.architecture.digest} {epoch} {job.purpose} {job.seed}\n")
            if epoch == job.fidelity.epochs:
                job.weights.write_bytes(b"weights")
            _write(state, {"epoch": epoch})
            yield self._result(job, epoch)

    def _update(self, job: Job, state: Path, epoch: int, first: int) -> None:
        for update in range(first, self._updates):
            if is_leaving():
                _write(state, {"epoch": epoch, "update": update})
                raise LeftEarly(f"after update {update} of epoch {epoch + 1}")
            time.sleep(self._seconds / self._updates)
            if self._log is not None and self._updates > 1:
                with Path(f"{self._log}.updates").open("a") as file:
                    file.write(f"{job.architecture.digest} {job.purpose} {job.seed} {epoch} {update}\n")

    def _break(self, job: Job) -> None:
        if not self._kill:
            raise Diverged("the loss is nan")
        mark = job.folder / "was-killed"
        if not mark.exists():
            mark.touch()
            os._exit(9)

    def _result(self, job: Job, epoch: int) -> EpochResult:
        if epoch not in job.rungs:
            return EpochResult(epoch, self._seconds)
        top1 = accuracy(job.architecture, epoch, job.seed)
        found = {"top1": top1, "top5": min(1.0, top1 + 0.2), "loss": 2 - top1}
        if self._timed:
            found["latency_ms"] = latency_ms(job.architecture)
        return EpochResult(epoch, self._seconds, found)


def latency_ms(architecture: Architecture) -> float:
    """From 1 to about 10, and not in step with multiply-adds."""
    return compute_cost(architecture, 16).parameters / 5000 + int(architecture.digest[:2], 16) / 100


def invented(
    log: Path | None = None,
    seconds: float = 0.0,
    broken: str = "",
    kill: bool = False,
    timed: bool = False,
    hang: str = "",
    updates: int = 1,
) -> EvaluatorSpec:
    """The evaluator by name, as workers get it."""
    return EvaluatorSpec(
        "tests.searcher.invented:Invented",
        {
            "log": None if log is None else str(log),
            "seconds": seconds,
            "broken": broken,
            "kill": kill,
            "timed": timed,
            "hang": hang,
            "updates": updates,
        },
    )
