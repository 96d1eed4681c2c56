"""What is to be trained next: the questions that a cluster asks of the search and of a list of jobs alike.

A plan decides and records; whoever runs its jobs (Ray here, a simulation, a loop in a test) only trains.
Plans are plain Python without threads: one driver asks and tells.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from proxy_train.measurement import Measurement, Purpose, Status
from search_space.cost.closed_form import compute_cost
from searcher.plan.events import Measured, OnEvent, Progress, Started, ignore
from searcher.plan.job import EpochResult, Job
from searcher.record.records import Records


class Plan(ABC):
    """Hands out jobs and takes what comes of them.

    Args:
        records: where measurements go.
        purpose: the part of the run.
        classes: of the data set, for the cost of a network.
        workers: how many jobs run at a time, for the estimate of the time left.
        on_event: told of every start and measurement.
    """

    def __init__(
        self, records: Records, purpose: Purpose, classes: int, workers: int = 1, on_event: OnEvent = ignore
    ) -> None:
        self.records = records
        self.purpose = purpose
        self.on_event = on_event
        self.epochs = 0
        self.failed = 0
        self.through = 0
        self._classes = classes
        self._workers = workers
        self._busy = 0.0
        self._running: dict[str, Job] = {}
        self._seconds: dict[str, float] = {}
        self._began = time.monotonic()

    @abstractmethod
    def choose(self) -> Job | None:
        """The next job; None if there is none now, and for good if nothing is running."""

    @abstractmethod
    def observe(self, job: Job, result: EpochResult) -> bool:
        """Takes one epoch of a running job; answers whether the job goes on."""

    @abstractmethod
    def progress(self) -> Progress:
        """Where the plan stands."""

    def next(self) -> Job | None:
        """Starts the next job, or answers None; see ``choose``."""
        job = self.choose()
        if job is not None:
            self._running[job.name] = job
            self._seconds[job.name] = self._seconds_before(job)
            self.on_event(Started(self.purpose, job.architecture.digest, job.architecture.text, job.seed))
        return job

    def finish(self) -> None:  # noqa: B027 - most plans have nothing to do here
        """Called once when nothing is left to do; not after an interruption."""

    def fail(self, job: Job, reason: str) -> None:
        """Takes the end of a running job that cannot go on."""
        self.failed += 1
        self._end(job, "failed", reason)

    def cancel(self, job: Job, reason: str) -> None:
        """Takes the end of a running job that could have gone on."""
        self._end(job, "cancelled", reason)

    def _end(self, job: Job, status: Status, reason: str) -> None:
        """Records it at the first fidelity of the job's that is not measured."""
        known = {each.fidelity for each in self._same(job)}
        left = [rung for rung in job.rungs if job.fidelity_at(rung) not in known]
        measurement = self._measurement(job, left[0] if left else job.rungs[-1], status, reason=reason)
        self.records.append(measurement)
        self.on_event(Measured(measurement))
        self.ended(job)

    @property
    def running(self) -> list[Job]:
        """The jobs that were handed out and have not ended."""
        return list(self._running.values())

    def count(self, job: Job, result: EpochResult) -> None:
        """Adds an epoch to the accounts."""
        self.epochs += 1
        self._busy += result.seconds
        self._seconds[job.name] += result.seconds

    def spent(self, job: Job) -> float:
        """Seconds that finished epochs of a running job took, those of earlier sessions included."""
        return self._seconds.get(job.name, 0.0)

    def allowed(self, job: Job) -> float | None:
        """The most seconds that a job may take in all; None is no limit."""
        del job
        return None

    def ended(self, job: Job) -> None:
        """Takes a job off the list of running ones; its seconds are forgotten."""
        self.through += self._running.pop(job.name, None) is not None
        self._seconds.pop(job.name, None)

    def _seconds_before(self, job: Job) -> float:
        """What the record says was spent on this training in earlier sessions."""
        return max((each.seconds for each in self._same(job)), default=0.0)

    def _same(self, job: Job) -> list[Measurement]:
        """What is known of earlier parts of the job's own training."""
        known = self.records.of_network(job.architecture.digest)
        return [each for each in known if each.purpose == self.purpose and each.seed == job.seed]

    def measure(self, job: Job, result: EpochResult) -> Measurement:
        """The measurement that an epoch with metrics is."""
        assert result.metrics is not None
        return self._measurement(job, result.epoch, "complete", metrics=result.metrics)

    def _measurement(
        self,
        job: Job,
        epochs: int,
        status: Status,
        *,
        metrics: Mapping[str, float] | None = None,
        reason: str = "",
    ) -> Measurement:
        found = dict(metrics or {})
        if status == "complete":
            known = compute_cost(job.architecture, self._classes)
            found |= {
                "macs": float(known.macs),
                "parameters": float(known.parameters),
                "state_bytes": float(known.state_bytes),
                "activation_bytes": float(known.activation_bytes),
            }
        return Measurement(
            digest=job.architecture.digest,
            architecture=job.architecture.text,
            fidelity=job.fidelity_at(epochs),
            seed=job.seed,
            purpose=self.purpose,
            status=status,
            metrics=found,
            seconds=self._seconds.get(job.name, 0.0),
            reason=reason,
        )

    def seconds(self) -> float:
        """Since this plan was made."""
        return time.monotonic() - self._began

    def seconds_for(self, epochs: float) -> float | None:
        """How long so many more epochs take, going by those behind us."""
        if not self.epochs:
            return None
        return self._busy / self.epochs * max(epochs, 0.0) / self._workers
