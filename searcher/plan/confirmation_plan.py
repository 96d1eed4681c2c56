"""The confirmation as a plan: a training of each member, then one by one where they tell most."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from proxy_train.measurement import Measurement, mean_metrics
from proxy_train.metric_names import TOP1
from search_space.cost.closed_form import macs
from searcher.plan.events import Measured, OnEvent, PhaseProgress, ignore
from searcher.plan.front_posterior import Contender, FrontPosterior
from searcher.plan.job import EpochResult, Job
from searcher.plan.plan import Plan
from searcher.record.records import Records
from searcher.record.trials import succeeded

MOST_SEEDS = 3
"""Most trainings of one member, in multiples of their mean number."""
_LEAST_GAIN = 1e-6


@dataclass(frozen=True, slots=True)
class Member:
    """A candidate to confirm.

    Args:
        trainings: its possible trainings in the order in which they are used; they differ in their seed.
        metrics: its latest metrics of the search, whose costs count until it is confirmed once.
    """

    trainings: Sequence[Job]
    metrics: Mapping[str, float]

    @property
    def digest(self) -> str:
        """Digest of the architecture."""
        return self.trainings[0].architecture.digest


@dataclass(frozen=True, slots=True)
class LaterMembers:
    """Members that are chosen once the first training of every other member has ended.

    Args:
        count: most of them.
        choose: function that returns them, given the metrics of the first training of each member that has
            them, by digest. It returns the same for the same metrics, since a resumed plan asks again.
    """

    count: int
    choose: Callable[[Mapping[str, Mapping[str, float]]], Sequence[Member]]


@dataclass(frozen=True, slots=True)
class _Standing:
    """How far the confirmation of a member is.

    Args:
        member: the member.
        measured: its successful trainings in the record.
        running: number of its trainings that run now.
        left: its trainings that can still start.
    """

    member: Member
    measured: Sequence[Measurement]
    running: int
    left: Sequence[Job]

    @property
    def means(self) -> Mapping[str, float]:
        """Means of its trainings; its metrics of the search before the first."""
        measured = [measurement.metrics for measurement in self.measured]
        return mean_metrics(measured) if measured else self.member.metrics

    @property
    def count(self) -> int:
        """Number of trainings, finished or running."""
        return len(self.measured) + self.running


def most_telling(contenders: Sequence[Contender], allowed: Sequence[int]) -> int:
    """Return the index of the candidate whose next training is expected to decide most about the frontier.

    Where nothing is left to decide, it is the one with the fewest trainings.

    Args:
        contenders: what is known of all candidates.
        allowed: indices of those that may be trained, at least one.
    """
    gains = FrontPosterior.of(contenders).gains()
    best = max(allowed, key=lambda index: (gains[index], -index))
    if gains[best] >= _LEAST_GAIN:
        return best
    return min(allowed, key=lambda index: (len(contenders[index].logits) + contenders[index].pending, index))


class ConfirmationPlan(Plan):
    """A plan that trains every member once, and then the one whose training tells most about the frontier.

    The first trainings start with the most expensive member, so that no long one is left for the end; then
    come trainings that an interruption stopped. What is chosen follows from the record and from what runs
    now. A member whose training failed in this session gets no more, and the training counts as used; one
    that failed in an earlier session is tried again. Later members join once all others have ended their
    first training; what else is free until then is used as before.

    Args:
        records: record of the run, open for writing.
        classes: number of classes of the data set.
        members: candidates to confirm, all at the same number of epochs.
        total: number of all trainings, those in the record included.
        later: members that are chosen by what the first ones tell; None for none.
        workers: number of jobs that run at a time, for the estimate of the time left.
        on_event: function that receives every start and measurement.
    """

    def __init__(
        self,
        records: Records,
        classes: int,
        members: Sequence[Member],
        total: int,
        *,
        later: LaterMembers | None = None,
        workers: int = 1,
        on_event: OnEvent = ignore,
    ) -> None:
        super().__init__(records, "confirmation", classes, workers, on_event)
        self._members, self._total, self._later = list(members), total, later
        self._broken: set[str] = set()
        self._epochs = members[0].trainings[0].fidelity.epochs if members else 0
        self._reached: dict[str, int] = {}

    def choose(self) -> Job | None:
        """Return the next training; None if all are under way or done, or no member may have more."""
        self._add_later()
        standings = self._standings()
        new = [standing.left[0] for standing in standings if standing.left and not standing.count]
        if new:
            return max(new, key=lambda job: macs(job.architecture, self._classes))
        if not self._count_left(standings):
            return None
        allowed = [index for index, standing in enumerate(standings) if standing.left]
        begun = [job for index in allowed if (job := standings[index].left[0]).folder.is_dir()]
        return begun[0] if begun else standings[most_telling(self._contenders(standings), allowed)].left[0]

    def _add_later(self) -> None:
        """Let the later members join if every member has ended its first training, or can have none."""
        if self._later is None:
            return
        first: dict[str, Mapping[str, float]] = {}
        for standing in self._standings():
            seed = standing.member.trainings[0].seed
            of_first = next((each.metrics for each in standing.measured if each.seed == seed), None)
            if of_first is not None:
                first[standing.member.digest] = of_first
            elif standing.running or standing.left:
                return
        self._members += self._later.choose(first)
        self._later = None

    def _standings(self) -> list[_Standing]:
        """Return how far each member is."""
        return [self._standing(member) for member in self._members]

    def _standing(self, member: Member) -> _Standing:
        fidelity = member.trainings[0].fidelity
        measured = [
            measurement
            for measurement in self.records.of_network(member.digest)
            if measurement.purpose == self.purpose
            and measurement.fidelity == fidelity
            and succeeded(measurement)
        ]
        running = {job.seed for job in self.running if job.architecture.digest == member.digest}
        used = running | {measurement.seed for measurement in measured}
        left = [job for job in member.trainings if job.seed not in used]
        return _Standing(member, measured, len(running), [] if member.digest in self._broken else left)

    def _count_left(self, standings: Sequence[_Standing]) -> int:
        """Return the number of trainings that are still to start, as far as can be told now."""
        used = sum(standing.count for standing in standings) + self.failed
        new = sum(1 for standing in standings if standing.left and not standing.count)
        # Each of the later members has its first training kept for it.
        free = self._total - used - self._awaited
        return min(max(free, new), sum(len(standing.left) for standing in standings))

    @property
    def _awaited(self) -> int:
        """Number of members that have not joined yet."""
        return 0 if self._later is None else self._later.count

    def _contenders(self, standings: Sequence[_Standing]) -> list[Contender]:
        """Return what is known of the members; one that only failed is no rival of the others."""
        return [
            Contender.of(
                [measurement.metrics[TOP1] for measurement in standing.measured],
                standing.means,
                self.records.objectives,
                pending=standing.running,
                lost=not standing.count and not standing.left,
            )
            for standing in standings
        ]

    def observe(self, job: Job, result: EpochResult) -> bool:
        """Record the measurement at the end of the schedule."""
        self.count(job, result)
        self._reached[job.name] = result.epoch
        if result.metrics is not None:
            measurement = self.measure(job, result)
            if not math.isfinite(measurement.metrics.get(TOP1, math.nan)):
                self.fail(job, f"{TOP1} is {measurement.metrics.get(TOP1)} after {result.epoch} epochs")
                return False
            self.records.append(measurement)
            self.on_event(Measured(measurement))
        return result.epoch < job.fidelity.epochs

    def fail(self, job: Job, reason: str) -> None:
        """Record that a training failed; its member gets no more in this session."""
        super().fail(job, reason)
        self._broken.add(job.architecture.digest)

    def progress(self) -> PhaseProgress:
        """Return the progress of the confirmation."""
        standings = self._standings()
        done = sum(len(standing.measured) for standing in standings)
        left = self._count_left(standings) + self._awaited
        epochs = [self._epochs - self._reached.get(job.name, 0) for job in self.running]
        return PhaseProgress(
            phase=self.purpose,
            planned=done + len(self.running) + self.failed + left,
            done=done,
            running=len(self.running),
            failed=self.failed,
            epochs=self.epochs,
            seconds=self.seconds(),
            seconds_left=self.seconds_for(left * self._epochs + sum(epochs)),
            ended=self.ended_count,
        )
