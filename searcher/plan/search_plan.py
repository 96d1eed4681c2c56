"""The search as a plan: proposals, rungs, promotions, all rebuilt from the record at every start."""

from __future__ import annotations

import logging
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError
from search_space.space.space import SearchSpace
from searcher.plan.events import Measured, OnEvent, PhaseProgress, ignore
from searcher.plan.job import EpochResult, Job, job_folder
from searcher.plan.next_step import Promotion, next_step
from searcher.plan.plan import Plan
from searcher.plan.provisional_frontier import FrontierPoint
from searcher.plan.search_standing import SearchStanding
from searcher.promotion.halving import SURPLUS, ParetoHalving
from searcher.promotion.rung import Rung
from searcher.record.candidate import Candidate, Decision
from searcher.record.gene_params import distributions, params
from searcher.record.records import Records
from searcher.strategies.strategy import SpaceExhaustedError, Strategy

_LOG = logging.getLogger(__name__)
_FAILURES_ALIKE = 5
"""Number of failures, and nothing else, after which a search ends if all have the same reason."""
_NUMBER = re.compile(r"\d[\d.e+-]*")


def _remove(folder: Path) -> None:
    """Remove a folder of checkpoints, if it exists."""
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class CandidateTraining:
    """The trainings of a search's candidates: folder, seed, rungs, limits.

    Args:
        run_dir: folder of the run, for checkpoints.
        seed: seed of every training.
        rungs: fidelity of every rung, increasing.
        minutes: time limit of one training in minutes; None for no limit.
        drop: function that removes the checkpoints of a candidate that will not be resumed.
        repeats: number of trainings of each candidate, with seeds of their own, whose mean counts.
        weights: digest of the weights that candidates inherit, as ``Fidelity`` has it.
    """

    run_dir: Path
    seed: int
    rungs: Sequence[Rung]
    minutes: float | None = None
    drop: Callable[[Path], None] = _remove
    repeats: int = 1
    weights: str = ""

    def folder(self, candidate: Candidate) -> Path:
        """Return the folder of a candidate's checkpoints."""
        return job_folder(self.run_dir, candidate.digest, self.seed, "search")

    def job(self, candidate: Candidate) -> Job:
        """Return the training of a candidate, from its first rung to its last."""
        architecture = Architecture.parse(candidate.architecture)
        fidelities = tuple(
            replace(rung.fidelity(architecture.input), weights=self.weights) for rung in self.rungs
        )
        return Job(
            architecture=architecture,
            fidelity=fidelities[-1],
            seed=self.seed,
            purpose="search",
            folder=self.folder(candidate),
            rungs=tuple(rung.epochs for rung in self.rungs),
            fidelities=fidelities,
            measured=tuple(sorted(candidate.metrics)),
            repeats=self.repeats,
        )


@dataclass(frozen=True)
class SearchLimits:
    """The limits of a search.

    Args:
        trials: number of all proposals.
        minutes: minutes of this session after which the search ends; None for no limit.
    """

    trials: int
    minutes: float | None = None


class SearchPlan(Plan):
    """The plan of a search: first the candidates that an interruption stopped, then as ``next_step`` says.

    Args:
        records: record of the run; the search begins with its seeds, and resumes from what is in it.
        strategy: strategy that proposes candidates.
        halving: rule by which candidates are promoted.
        space: space of the proposals; costs are those for its number of classes.
        training: how candidates are trained, at the rungs of ``halving``.
        limits: limits of the search.
        workers: number of jobs that run at a time, for the estimate of the time left.
        on_event: function that receives every start, measurement and progress of the search.
    """

    def __init__(
        self,
        records: Records,
        strategy: Strategy,
        halving: ParetoHalving,
        space: SearchSpace,
        training: CandidateTraining,
        limits: SearchLimits,
        workers: int = 1,
        on_event: OnEvent = ignore,
    ) -> None:
        super().__init__(records, "search", space.classes, workers, on_event)
        self._strategy, self._halving, self._space = strategy, halving, space
        self._training, self._limits = training, limits
        self._objectives = records.objectives
        self._standing = SearchStanding(records, halving.rungs)
        self._distributions = distributions(space.genes)
        self._exhausted = False
        seeds = records.seeds
        self._seeds = () if seeds is None else seeds.networks
        self._active: dict[str, Candidate] = {}
        self._failures: list[str] = []
        self._frontier: tuple[int, tuple[FrontierPoint, ...], float] = (-1, (), 0.0)
        self._reconcile()

    def _reconcile(self) -> None:
        """Make the decisions that a killed driver had not recorded."""
        for candidate in self.records.candidates():
            if candidate.state in ("failed", "cancelled"):
                self.records.close(candidate.number, candidate.state)
            elif candidate.state == "open" and candidate.metrics:
                self._decide(candidate)

    # Proposals and promotions

    def choose(self) -> Job | None:
        """Return the next training of the search; None if there is none now."""
        if self._time_is_over() or self.common_failure is not None:
            return None
        candidate = self._standing.interrupted() or self._next_candidate()
        if candidate is None:
            return None
        job = self._training.job(candidate)
        self._active[job.name] = candidate
        self._standing.running.add(candidate.number)
        return job

    def _next_candidate(self) -> Candidate | None:
        step = next_step(self._halving, self._standing, self._propose)
        if not isinstance(step, Promotion):
            return step
        epochs = self._halving.rungs[step.rung]
        decision = Decision(True, f"promoted later: {step.reason}", was_held=True)
        self.records.decide(step.number, epochs, decision)
        return self.records.candidate(step.number)

    def _propose(self) -> Candidate | None:
        candidates = self.records.candidates()
        if self._exhausted or len(candidates) >= self._limits.trials:
            return None
        number, seeds = len(candidates), self._seeds
        candidate = seeds[number].candidate(number) if number < len(seeds) else self._designed(candidates)
        if candidate is not None:
            gene_params = params(self._space.genes, candidate.genotype)
            self.records.propose(candidate, gene_params, self._distributions)
        return candidate

    def _designed(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """Return the strategy's next proposal; None if nothing is left to propose."""
        try:
            design = self._strategy.propose(self._standing.history(), self.records.digests)
        except SpaceExhaustedError as error:
            _LOG.warning(
                "the search ends with %d of %d trials: %s", len(candidates), self._limits.trials, error
            )
            self._exhausted = True
            return None
        return Candidate(
            number=len(candidates),
            genotype=design.genotype,
            digest=design.digest,
            architecture=self._space.decode(design.genotype).text,
            macs=int(design.cost),
        )

    # Results

    def observe(self, job: Job, result: EpochResult) -> bool:
        """Record a rung and the decision about it; return whether the job continues."""
        self.count(job, result)
        candidate = self._active[job.name]
        if result.metrics is not None:
            measurement = self.measure(job, result)
            invalid = self._invalid_objective(measurement.metrics)
            if invalid:
                self.fail(job, f"{invalid} after {result.epoch} epochs")
                return False
            self.records.append(measurement)
            promoted = self._decide(candidate)
            self.on_event(Measured(measurement, candidate.decisions.get(result.epoch)))
            return promoted and not self._cancelled(job)
        minutes = self._training.minutes
        if minutes is not None and self._seconds[job.name] > 60 * minutes:
            self.fail(job, f"it took more than {minutes:g} minutes")
            return False
        return not self._cancelled(job)

    def allowed(self, job: Job) -> float | None:
        """Return the time limit of one training in seconds (``search.time_limit_minutes``)."""
        del job
        return None if self._training.minutes is None else 60 * self._training.minutes

    def _time_is_over(self) -> bool:
        return self._limits.minutes is not None and self.seconds() > 60 * self._limits.minutes

    def _cancelled(self, job: Job) -> bool:
        """Cancel a job if the search's time is over; return whether it was."""
        if not self._time_is_over():
            return False
        self.cancel(job, f"the search's {self._limits.minutes:g} minutes were over")
        return True

    def _invalid_objective(self, metrics: Mapping[str, float]) -> str:
        """Return the first objective that is not a number, in words; empty if there is none."""
        for name in self._objectives.metrics:
            measured = metrics.get(name, math.nan)
            if not math.isfinite(measured):
                return f"{name} is {measured}"
        return ""

    def _decide(self, candidate: Candidate) -> bool:
        """Decide at the highest rung that a candidate was measured at; return whether it is promoted."""
        epochs = candidate.epochs
        if epochs == self._halving.rungs[-1]:
            self.records.close(candidate.number, "complete")
            return False
        if epochs not in candidate.decisions:
            rung = self._halving.rungs.index(epochs)
            decision = self._halving.decide(
                candidate.number, self._standing.results(rung), self._standing.promoted(rung)
            )
            self.records.decide(candidate.number, epochs, decision)
        return candidate.decisions[epochs].promoted

    @property
    def common_failure(self) -> str | None:
        """The reason for which all candidates of this session failed, once that is clear; then it ends."""
        if len(self._failures) < _FAILURES_ALIKE or any(each.metrics for each in self.records.candidates()):
            return None
        alike = {_NUMBER.sub("#", reason) for reason in self._failures}
        return self._failures[0] if len(alike) == 1 else None

    def require_measured(self) -> None:
        """Refuse a search that ended without a measurement: what comes next would blame another cause.

        Raises:
            RecordError: all candidates failed, for one reason in this session, or none is trained after them.
        """
        candidates = self.records.candidates()
        no_more = self._exhausted or len(candidates) >= self._limits.trials
        hint = (
            "mend it and start a new run"
            if no_more
            else "mend it and run the same command again, which goes on"
        )
        hint += "; if the settings are at fault, start a new run with others"
        if self.common_failure is not None:
            raise RecordError(
                f"all {self.failed} candidates failed for one reason: {self.common_failure}", hint=hint
            )
        reasons = [each.reason for each in self.records.measurements("search") if each.status == "failed"]
        over = (no_more or self._time_is_over()) and all(each.state != "open" for each in candidates)
        if over and reasons and not any(each.metrics for each in candidates):
            raise RecordError(
                f"none of the {len(candidates)} candidates could be trained; the last failed: {reasons[-1]}",
                hint=hint,
            )

    def fail(self, job: Job, reason: str) -> None:
        """Record that a running job failed, and end its candidate."""
        candidate = self._active[job.name]
        self._failures.append(reason)
        super().fail(job, reason)
        self.records.close(candidate.number, "failed")

    def cancel(self, job: Job, reason: str) -> None:
        """Record that a running job was stopped before a decision, and end its candidate."""
        candidate = self._active[job.name]
        super().cancel(job, reason)
        self.records.close(candidate.number, "cancelled")

    def on_job_end(self, job: Job) -> None:
        """Remove a job from the running ones."""
        super().on_job_end(job)
        candidate = self._active.pop(job.name, None)
        if candidate is not None:
            self._standing.running.discard(candidate.number)

    def close(self) -> None:
        """End the candidates that are held at a rung, and drop their checkpoints."""
        for candidate in self.records.candidates():
            if candidate.waits:
                self.records.close(candidate.number, "pruned")
                self._training.drop(self._training.folder(candidate))

    def progress(self) -> PhaseProgress:
        """Return the progress of the search, with the frontier so far."""
        candidates = self.records.candidates()
        counts, changes = self._standing.counts(), len(self.records.changed)
        if self._frontier[0] != changes:
            self._frontier = changes, self._standing.frontier(), self._standing.hypervolume()
        return PhaseProgress(
            phase="search",
            planned=len(candidates) if self._exhausted else max(self._limits.trials, len(candidates)),
            done=counts["complete"] + counts["stopped"],
            running=len(self._active),
            failed=counts["failed"],
            stopped=counts["stopped"],
            epochs=self.epochs,
            frontier=self._frontier[1],
            hypervolume=self._frontier[2],
            seconds=self.seconds(),
            seconds_left=self.seconds_for(self._epochs_left()),
            objectives=self._objectives.names,
            ended=self.ended_count,
        )

    def _epochs_left(self) -> float:
        """Return the expected epochs of the whole search, less those in the record."""
        rungs = (0, *self._halving.rungs)
        share, total = 1.0, 0.0
        for before, after in pairwise(rungs):
            total += (after - before) * share
            share *= SURPLUS / self._halving.reduction
        return total * self._limits.trials - self._standing.epochs()
