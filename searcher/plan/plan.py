"""The plan of what is trained next: the interface between an engine and the search, or a list of jobs.

A plan decides and records; the engine that runs its jobs (Ray, or a loop in a test) only trains. Plans are
plain Python without threads: one driver asks and tells.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from proxy_train.measurement import Measurement, Purpose, Status
from searcher.plan.events import Measured, OnEvent, PhaseProgress, Started, ignore
from searcher.plan.job import EpochResult, Job
from searcher.record.records import Records
from searcher.strategies.space_domain import known_costs


class Plan(ABC):
    """A source of jobs that records their results.

    Args:
        records: record of the run, open for writing.
        purpose: part of the run that the jobs belong to.
        classes: number of classes of the data set, for the cost of a network.
        workers: number of jobs that run at a time, for the estimate of the time left.
        on_event: function that receives every start and measurement.

    Attributes:
        epochs: epochs trained in this session.
        failed: number of jobs that failed in this session.
        ended_count: number of jobs that ended in this session, with or without success.
    """

    def __init__(
        self, records: Records, purpose: Purpose, classes: int, workers: int = 1, on_event: OnEvent = ignore
    ) -> None:
        self.records = records
        self.purpose = purpose
        self.on_event = on_event
        self.epochs = 0
        self.failed = 0
        self.ended_count = 0
        self._classes = classes
        self._workers = workers
        self._busy = 0.0
        self._running: dict[str, Job] = {}
        self._seconds: dict[str, float] = {}
        self._started = time.monotonic()

    @abstractmethod
    def choose(self) -> Job | None:
        """Return the next job; None if there is none now, and for good if nothing is running."""

    @abstractmethod
    def observe(self, job: Job, result: EpochResult) -> bool:
        """Record one epoch of a running job; return whether the job continues."""

    @abstractmethod
    def progress(self) -> PhaseProgress:
        """Return the progress of the plan."""

    def next(self) -> Job | None:
        """Start the next job and return it; None if there is none now, see ``choose``."""
        job = self.choose()
        if job is not None:
            self._running[job.name] = job
            self._seconds[job.name] = self._seconds_before(job)
            self.on_event(Started(self.purpose, job.architecture.digest, job.architecture.text, job.seed))
        return job

    def close(self) -> None:  # noqa: B027 - most plans have nothing to do here
        """Clean up once nothing is left to do; not called after an interruption."""

    def fail(self, job: Job, reason: str) -> None:
        """Record that a running job failed."""
        self.failed += 1
        self._end(job, "failed", reason)

    def cancel(self, job: Job, reason: str) -> None:
        """Record that a running job was stopped before its end."""
        self._end(job, "cancelled", reason)

    def _end(self, job: Job, status: Status, reason: str) -> None:
        """Record the end of a job at its first fidelity that is not measured."""
        measured = {measurement.fidelity for measurement in self._measurements_of(job)}
        left = [rung for rung in job.rungs if job.fidelity_at(rung) not in measured]
        measurement = self._measurement(job, left[0] if left else job.rungs[-1], status, reason=reason)
        self.records.append(measurement)
        self.on_event(Measured(measurement))
        self.on_job_end(job)

    @property
    def running(self) -> list[Job]:
        """Jobs that were handed out and have not ended."""
        return list(self._running.values())

    def count(self, job: Job, result: EpochResult) -> None:
        """Add an epoch of a running job to the time that was spent."""
        self.epochs += 1
        self._busy += result.seconds
        self._seconds[job.name] += result.seconds

    def spent(self, job: Job) -> float:
        """Return the seconds that epochs of a running job took, those of earlier sessions included."""
        return self._seconds.get(job.name, 0.0)

    def allowed(self, job: Job) -> float | None:
        """Return the time limit of a job in seconds; None if there is no limit."""
        del job
        return None

    def on_job_end(self, job: Job) -> None:
        """Remove a job from the running ones and forget its seconds."""
        self.ended_count += self._running.pop(job.name, None) is not None
        self._seconds.pop(job.name, None)

    def _seconds_before(self, job: Job) -> float:
        """Return the seconds that the record says were spent on this training in earlier sessions."""
        return max((measurement.seconds for measurement in self._measurements_of(job)), default=0.0)

    def _measurements_of(self, job: Job) -> list[Measurement]:
        """Return the measurements of earlier parts of the job's own training."""
        return [
            measurement
            for measurement in self.records.of_network(job.architecture.digest)
            if measurement.purpose == self.purpose and measurement.seed == job.seed
        ]

    def measure(self, job: Job, result: EpochResult) -> Measurement:
        """Return the measurement of an epoch that has metrics."""
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
        """Return a measurement of a job after ``epochs``; a complete one has the known costs too."""
        all_metrics = dict(metrics or {})
        if status == "complete":
            all_metrics |= known_costs(job.architecture, self._classes)
        return Measurement(
            digest=job.architecture.digest,
            architecture=job.architecture.text,
            fidelity=job.fidelity_at(epochs),
            seed=job.seed,
            purpose=self.purpose,
            status=status,
            metrics=all_metrics,
            seconds=self._seconds.get(job.name, 0.0),
            reason=reason,
        )

    def seconds(self) -> float:
        """Return the seconds since this plan was created."""
        return time.monotonic() - self._started

    def seconds_for(self, epochs: float) -> float | None:
        """Estimate the seconds that ``epochs`` more epochs take, from those of this session."""
        if not self.epochs:
            return None
        return self._busy / self.epochs * max(epochs, 0.0) / self._workers
