"""The search as a plan: proposals, rungs, promotions, all rebuilt from the record at every start."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from search_space.architecture.architecture import Architecture
from search_space.space.space import SearchSpace
from searcher.plan.events import Measured, OnEvent, Progress, frontier_so_far, ignore
from searcher.plan.job import EpochResult, Job, job_folder
from searcher.plan.plan import Plan
from searcher.promotion.features import architecture_features
from searcher.promotion.halving import SURPLUS, ParetoHalving, RungResult
from searcher.promotion.rung import Rung
from searcher.record.candidate import Candidate, Decision
from searcher.record.records import Records
from searcher.strategies.optuna_samplers import distributions, params
from searcher.strategies.strategy import Observation, SpaceExhaustedError, Strategy

_LOG = logging.getLogger(__name__)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


class SearchPlan(Plan):
    """Hands out candidates: first those that an interruption cut off, then promotions, then new proposals.

    Args:
        records: of the run; candidates, measurements and decisions in it are taken up.
        strategy: what proposes.
        halving: what promotes.
        space: what proposals are of; its ``classes`` count for costs.
        rungs: what trainings spend up to each of ``halving``'s; by default everything but epochs.
        trials: how many proposals in all.
        seed: of every training.
        run_dir: the run's folder, for checkpoints.
        minutes: the most that one training may take; None is no limit.
        drop: takes away the checkpoints of a candidate that never goes on.
        budget: minutes of this session after which the search ends; None is no limit.
    """

    def __init__(
        self,
        records: Records,
        strategy: Strategy,
        halving: ParetoHalving,
        space: SearchSpace,
        *,
        rungs: Sequence[Rung] = (),
        trials: int,
        seed: int,
        run_dir: Path,
        minutes: float | None = None,
        budget: float | None = None,
        workers: int = 1,
        on_event: OnEvent = ignore,
        drop: Callable[[Path], None] = _remove,
    ) -> None:
        super().__init__(records, "search", space.classes, workers, on_event)
        self._strategy, self._halving, self._space = strategy, halving, space
        self._rungs = tuple(rungs) or tuple(Rung(epochs=epochs) for epochs in halving.rungs)
        self._trials, self._seed, self._run_dir = trials, seed, run_dir
        self._drop = drop
        self._minutes, self._budget = minutes, budget
        self._objectives = records.objectives
        self._distributions = distributions(space.genes)
        self._exhausted = False
        self._active: dict[str, Candidate] = {}
        # Made once and kept, for a long search is asked thousands of times: only speed depends on them.
        self._features: dict[int, tuple[float, ...]] = {}
        self._rung_results: dict[tuple[int, int], RungResult] = {}
        self._observations: dict[int, tuple[tuple[str, int], Observation]] = {}
        self._frontier = (-1, frontier_so_far([], self._objectives, strategy.low, strategy.high))
        self._reconcile()

    def _reconcile(self) -> None:
        """Makes up for what a killed driver had measured but not decided."""
        for candidate in self.records.candidates():
            if candidate.state in ("failed", "cancelled"):
                self.records.close(candidate.number, candidate.state)
            elif candidate.state == "open" and candidate.metrics:
                self._settle(candidate)

    # What is next

    def choose(self) -> Job | None:
        """The next training of the search."""
        if self._over():
            return None
        candidate = self._interrupted() or self._promotion() or self._proposal() or self._last_promotion()
        if candidate is None:
            return None
        architecture = Architecture.parse(candidate.architecture)
        rungs, known = self._halving.rungs, tuple(sorted(candidate.metrics))
        job = Job(
            architecture=architecture,
            fidelity=self._rungs[-1].fidelity(architecture.input),
            seed=self._seed,
            purpose="search",
            folder=job_folder(self._run_dir, candidate.digest, self._seed, "search"),
            rungs=rungs,
            fidelities=tuple(rung.fidelity(architecture.input) for rung in self._rungs),
            measured=known,
        )
        self._active[job.name] = candidate
        return job

    def _running_numbers(self) -> set[int]:
        return {each.number for each in self._active.values()}

    def _interrupted(self) -> Candidate | None:
        """A candidate that should be on a worker and is not."""
        running = self._running_numbers()
        for each in self.records.candidates():
            if each.state == "open" and each.number not in running and not each.waits:
                return each
        return None

    def _promotion(self) -> Candidate | None:
        """A candidate held at a rung that is now among its best; the highest rung goes first."""
        for rung in range(len(self._halving.rungs) - 2, -1, -1):
            candidate = self._promote(rung, complete=False)
            if candidate is not None:
                return candidate
        return None

    def _last_promotion(self) -> Candidate | None:
        """When nothing new comes to a rung any more: whom the guard of its cost strata still lets through."""
        for rung, epochs in enumerate(self._halving.rungs[:-1]):
            on_the_way = [
                each
                for each in self.records.candidates()
                if each.state == "open" and each.epochs < epochs and not each.waits
            ]
            if on_the_way:
                return None
            candidate = self._promote(rung, complete=True)
            if candidate is not None:
                return candidate
        return None

    def _promote(self, rung: int, *, complete: bool) -> Candidate | None:
        candidates = self.records.candidates()
        epochs, running = self._halving.rungs[rung], self._running_numbers()
        survivors = self._halving.survivors(self._results(epochs), self._promoted(epochs), complete=complete)
        for number, reason in survivors.items():
            candidate = candidates[number]
            if candidate.waits and candidate.epochs == epochs and number not in running:
                self.records.decide(number, epochs, Decision(True, f"promoted later: {reason}", later=True))
                return candidate
        return None

    def _proposal(self) -> Candidate | None:
        candidates = self.records.candidates()
        if self._exhausted or len(candidates) >= self._trials:
            return None
        history = [self._observation(each) for each in candidates]
        try:
            design = self._strategy.propose(history, {each.digest for each in candidates})
        except SpaceExhaustedError as error:
            _LOG.warning("the search ends with %d of %d trials: %s", len(candidates), self._trials, error)
            self._exhausted = True
            return None
        candidate = Candidate(
            number=len(candidates),
            genotype=design.genotype,
            digest=design.digest,
            architecture=design.architecture.text,
            macs=int(design.cost),
        )
        self.records.propose(candidate, params(self._space.genes, candidate.genotype), self._distributions)
        return candidate

    # What came of it

    def observe(self, job: Job, result: EpochResult) -> bool:
        """Records a rung, decides, and records the decision."""
        self.count(job, result)
        candidate = self._active[job.name]
        if result.metrics is not None:
            measurement = self.measure(job, result)
            strange = self._strange(measurement.metrics)
            if strange:
                self.fail(job, f"{strange} after {result.epoch} epochs")
                return False
            self.records.append(measurement)
            goes_on = self._settle(candidate)
            self.on_event(Measured(measurement, candidate.decisions.get(result.epoch)))
            return goes_on and not self._cancelled(job)
        if self._minutes is not None and self._seconds[job.name] > 60 * self._minutes:
            self.fail(job, f"it took more than {self._minutes:g} minutes")
            return False
        return not self._cancelled(job)

    def allowed(self, job: Job) -> float | None:
        """See ``search.time_limit_minutes``."""
        del job
        return None if self._minutes is None else 60 * self._minutes

    def _over(self) -> bool:
        """Whether the time of the search is used up."""
        return self._budget is not None and self.seconds() > 60 * self._budget

    def _cancelled(self, job: Job) -> bool:
        """Ends a job for which there is no time left; answers whether it did."""
        if not self._over():
            return False
        self.cancel(job, f"the search's {self._budget:g} minutes were over")
        return True

    def _strange(self, metrics: Mapping[str, float]) -> str:
        """What is wrong with a measurement: an objective that is no number; empty if nothing is."""
        for name in self._objectives.metrics:
            value = metrics.get(name, math.nan)
            if not math.isfinite(value):
                return f"{name} is {value}"
        return ""

    def _settle(self, candidate: Candidate) -> bool:
        """Decides at the highest rung that the candidate was measured at; answers whether it goes on."""
        epochs = candidate.epochs
        if epochs == self._halving.rungs[-1]:
            self.records.close(candidate.number, "complete")
            return False
        if epochs not in candidate.decisions:
            decision = self._halving.decide(candidate.number, self._results(epochs), self._promoted(epochs))
            self.records.decide(candidate.number, epochs, decision)
        return candidate.decisions[epochs].goes_on

    def fail(self, job: Job, reason: str) -> None:
        """Records the failure and ends the candidate."""
        candidate = self._active[job.name]
        super().fail(job, reason)
        self.records.close(candidate.number, "failed")

    def cancel(self, job: Job, reason: str) -> None:
        """Records that a running job was stopped unjudged, and ends the candidate."""
        candidate = self._active[job.name]
        super().cancel(job, reason)
        self.records.close(candidate.number, "cancelled")

    def ended(self, job: Job) -> None:
        """Takes a job off the list of running ones."""
        super().ended(job)
        self._active.pop(job.name, None)

    def finish(self) -> None:
        """Ends the candidates that are held at a rung for good, and drops their checkpoints."""
        for candidate in self.records.candidates():
            if candidate.waits:
                self.records.close(candidate.number, "pruned")
                folder = job_folder(self._run_dir, candidate.digest, self._seed, "search")
                self._drop(folder)

    # What is known

    def _observation(self, candidate: Candidate) -> Observation:
        """What the strategy is told of a candidate."""
        stand = candidate.state, candidate.epochs
        known = self._observations.get(candidate.number)
        if known is None or known[0] != stand:
            known = self._observations[candidate.number] = stand, self._new_observation(candidate)
        return known[1]

    def _new_observation(self, candidate: Candidate) -> Observation:
        values = None if candidate.state == "failed" else self._objectives.latest(candidate)
        return Observation(
            genotype=candidate.genotype,
            macs=candidate.macs,
            values=values,
            rungs_left=sum(rung > candidate.epochs for rung in self._halving.rungs),
            pending=candidate.state == "open" and values is None,
            violation=self._objectives.violation(candidate.latest) if values is not None else 0.0,
        )

    def _results(self, epochs: int) -> list[list[RungResult]]:
        """What is known at every rung up to ``epochs``."""
        candidates = self.records.candidates()
        return [
            [self._result(each, rung) for each in candidates if rung in each.metrics]
            for rung in self._halving.rungs
            if rung <= epochs
        ]

    def _result(self, candidate: Candidate, epochs: int) -> RungResult:
        known = self._rung_results.get((candidate.number, epochs))
        if known is None:
            known = self._rung_results[candidate.number, epochs] = self._new_result(candidate, epochs)
        return known

    def _new_result(self, candidate: Candidate, epochs: int) -> RungResult:
        if candidate.number not in self._features:
            architecture = Architecture.parse(candidate.architecture)
            self._features[candidate.number] = architecture_features(architecture)
        metrics = candidate.metrics[epochs]
        return RungResult(
            candidate.number,
            self._objectives.values(metrics),
            candidate.macs,
            self._features[candidate.number],
            self._objectives.violation(metrics),
        )

    def _promoted(self, epochs: int) -> set[int]:
        return {
            each.number
            for each in self.records.candidates()
            if epochs in each.decisions and each.decisions[epochs].goes_on
        }

    def progress(self) -> Progress:
        """Where the search stands, with the frontier so far."""
        candidates = self.records.candidates()
        failed = sum(each.state in ("failed", "cancelled") for each in candidates)
        stopped = sum(each.waits or each.state == "pruned" for each in candidates)
        running = len(self._active)
        count = len(self.records.measurements())
        if self._frontier[0] != count:
            low, high = self._strategy.low, self._strategy.high
            self._frontier = count, frontier_so_far(candidates, self._objectives, low, high)
        frontier, volume = self._frontier[1]
        return Progress(
            phase="search",
            planned=len(candidates) if self._exhausted else max(self._trials, len(candidates)),
            done=sum(each.state == "complete" for each in candidates) + stopped,
            running=running,
            failed=failed,
            stopped=stopped,
            epochs=self.epochs,
            frontier=frontier,
            hypervolume=volume,
            seconds=self.seconds(),
            seconds_left=self.seconds_for(self._epochs_left(candidates)),
            objectives=self._objectives.names,
            ended=self.through,
        )

    def _epochs_left(self, candidates: list[Candidate]) -> float:
        """Epochs of a whole search, as halving goes, less those that the record has."""
        rungs = (0, *self._halving.rungs)
        share, total = 1.0, 0.0
        for before, after in pairwise(rungs):
            total += (after - before) * share
            share *= SURPLUS / self._halving.reduction
        return total * self._trials - sum(each.epochs for each in candidates)
