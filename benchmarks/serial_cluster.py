"""A cluster in one process, for benchmarks: every training is charged by the CPU time that it takes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from search_space.errors import MovinasError
from search_space.files import write_json
from searcher.cluster.capacity import Capacity
from searcher.cluster.cluster import Cluster
from searcher.plan.confirmation import choose_members
from searcher.plan.job import Evaluator, EvaluatorSpec, Job
from searcher.plan.plan import Plan
from searcher.settings.settings import Settings


@dataclass
class Meter:
    """The CPU seconds that a search has spent, kept in a file.

    Args:
        path: file that keeps them.
        total: CPU seconds in all.
        networks: CPU seconds and epochs of each network's trainings, by digest.
    """

    path: Path
    total: float = 0.0
    networks: dict[str, tuple[float, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> Meter:
        """Read what an earlier session has spent."""
        if not path.is_file():
            return cls(path)
        kept = json.loads(path.read_text(encoding="utf-8"))
        return cls(path, kept["total"], {digest: (s, e) for digest, (s, e) in kept["networks"].items()})

    def add(self, seconds: float, digest: str = "", epochs: int = 0) -> None:
        """Add CPU seconds, of a network's training or of a proposal."""
        self.total += seconds
        if digest:
            before = self.networks.get(digest, (0.0, 0))
            self.networks[digest] = before[0] + seconds, before[1] + epochs
        write_json(self.path, {"total": self.total, "networks": self.networks})

    def seconds_an_epoch(self, digest: str) -> float:
        """Return the CPU seconds of an epoch of a network, or of the mean network if it was not trained."""
        own = self.networks.get(digest)
        spent = [own] if own is not None else list(self.networks.values())
        return sum(seconds for seconds, _ in spent) / max(sum(epochs for _, epochs in spent), 1)


class SerialCluster(Cluster):
    """A cluster that trains in this process, one network at a time, and ends a search when its time is over.

    Args:
        settings: settings of the run.
        meter: CPU seconds of the run.
        seconds: CPU seconds of search and confirmation together.
    """

    def __init__(self, settings: Settings, meter: Meter, seconds: float) -> None:
        super().__init__(Capacity(1, 1, 0))
        self._settings, self._meter, self._budget = settings, meter, seconds
        self._evaluators: dict[str, Evaluator] = {}

    def run(self, plan: Plan, evaluator: EvaluatorSpec) -> None:
        """Run every job of the plan, those of a search as long as there is time for its confirmation."""
        train = self._evaluators.setdefault(evaluator.to_json(), evaluator.build())
        while not self._is_over(plan):
            started = time.process_time()
            job = plan.next()
            self._meter.add(time.process_time() - started)
            if job is None:
                break
            self._train(plan, job, train)
        plan.close()

    def _is_over(self, plan: Plan) -> bool:
        """Return whether a search has left the time that its confirmation would take now."""
        if plan.purpose != "search":
            return False
        confirmation = self._settings.confirmation
        members = choose_members(plan.records.candidates(), confirmation.members, plan.records.objectives)
        # An epoch of the search is one of each repeat.
        epochs = confirmation.epochs * confirmation.seeds / self._settings.search.repeats
        reserved = sum(epochs * self._meter.seconds_an_epoch(member.digest) for member in members)
        return self._meter.total + reserved >= self._budget

    def _train(self, plan: Plan, job: Job, train: Evaluator) -> None:
        results = train(job)
        proceeds = True
        while proceeds:
            started = time.process_time()
            try:
                proceeds = plan.observe(job, next(results))
            except MovinasError as error:
                plan.fail(job, str(error))
                return
            finally:
                self._meter.add(time.process_time() - started, job.architecture.digest, 1)
            if proceeds and self._is_over(plan):
                plan.cancel(job, "the search's CPU time was over")
                return
        plan.on_job_end(job)
