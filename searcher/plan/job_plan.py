"""A plan that is a list of trainings: confirmation and the family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy_train.measurement import Measurement, Purpose
from search_space.cost.closed_form import macs
from searcher.plan.events import Measured, OnEvent, PhaseProgress, ignore
from searcher.plan.job import EpochResult, Job
from searcher.plan.plan import Plan
from searcher.record.records import Records


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """A job and its last measurement, failed or not.

    Args:
        job: the training; ``job.weights`` exists if it did not fail.
        measurement: last measurement.
    """

    job: Job
    measurement: Measurement

    @property
    def failed(self) -> bool:
        """Whether there are neither metrics nor weights."""
        return self.measurement.status == "failed"


class JobPlan(Plan):
    """A plan that trains every job once, the most expensive first, so that no long one is left for the end.

    Jobs whose measurement is in the record are not trained. A job that failed in an earlier session is
    retried.

    Args:
        records: record of the run, open for writing.
        purpose: part of the run that the jobs belong to.
        classes: number of classes of the data set.
        jobs: trainings in the order of their outcomes.
        workers: number of jobs that run at a time, for the estimate of the time left.
        on_event: function that receives every start and measurement.
    """

    def __init__(
        self,
        records: Records,
        purpose: Purpose,
        classes: int,
        jobs: Sequence[Job],
        *,
        workers: int = 1,
        on_event: OnEvent = ignore,
    ) -> None:
        super().__init__(records, purpose, classes, workers, on_event)
        self.jobs = list(jobs)
        self._outcomes = {job.name: outcome for job in jobs if (outcome := self._recorded(job)) is not None}
        open_jobs = {job.name: job for job in jobs if job.name not in self._outcomes}
        self._queue = sorted(
            open_jobs.values(), key=lambda job: -macs(job.architecture, classes) * job.fidelity.epochs
        )
        self._left = sum(job.fidelity.epochs for job in self._queue)

    def _recorded(self, job: Job) -> JobOutcome | None:
        """Return the outcome in the record; weights that were deleted are trained again."""
        recorded = self.records.find(job.architecture.digest, job.fidelity, job.seed, job.purpose)
        return JobOutcome(job, recorded) if recorded is not None and job.weights.is_file() else None

    def choose(self) -> Job | None:
        """Return the most expensive job that is left."""
        return self._queue.pop(0) if self._queue else None

    def observe(self, job: Job, result: EpochResult) -> bool:
        """Record the measurement at the end of the schedule, and at every rung before."""
        self.count(job, result)
        if result.metrics is not None:
            measurement = self.measure(job, result)
            self.records.append(measurement)
            if result.epoch >= job.fidelity.epochs:
                self._outcomes[job.name] = JobOutcome(job, measurement)
                self.on_event(Measured(measurement))
        return result.epoch < job.fidelity.epochs

    def fail(self, job: Job, reason: str) -> None:
        """Record that a job failed; the others continue."""
        super().fail(job, reason)
        self._outcomes[job.name] = JobOutcome(job, self.records.measurements(self.purpose)[-1])

    def outcomes(self) -> list[JobOutcome]:
        """Return the outcomes of the jobs in their order, once all have ended."""
        return [self._outcomes[job.name] for job in self.jobs]

    def progress(self) -> PhaseProgress:
        """Return the progress of the list of jobs."""
        failed = sum(outcome.failed for outcome in self._outcomes.values())
        names = {job.name for job in self.jobs}
        return PhaseProgress(
            phase=self.purpose,
            planned=len(names),
            done=len(self._outcomes) - failed,
            running=len(self.running),
            failed=failed,
            epochs=self.epochs,
            seconds=self.seconds(),
            seconds_left=self.seconds_for(self._left - self.epochs),
            ended=self.ended_count,
        )
