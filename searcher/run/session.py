"""One run from the driver's side: search, confirmation and final trainings over one record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Purpose
from search_space.architecture.architecture import Architecture
from search_space.files import replacing
from search_space.space.space import SearchSpace
from searcher.cluster.capacity import Capacity, FaultTolerance
from searcher.cluster.checkpoint_mirror import Mirror
from searcher.cluster.cluster import Cluster
from searcher.cluster.heartbeat import Heartbeat
from searcher.plan.confirmation import Confirmed, choose_members, summarise
from searcher.plan.events import OnEvent, PhaseProgress, ignore
from searcher.plan.job import EvaluatorSpec, Job, job_folder
from searcher.plan.job_plan import JobOutcome, JobPlan
from searcher.plan.search_plan import CandidateTraining, SearchLimits, SearchPlan
from searcher.promotion.halving import ParetoHalving
from searcher.record.records import Records
from searcher.run.run_log import RunLog
from searcher.settings.settings import Settings
from searcher.strategies.registry import create_strategy
from searcher.strategies.space_domain import SpaceDomain


class Session:
    """A run that is being written; ``Session.open`` makes one.

    Each phase goes on where an earlier session left it, and costs nothing if the record has all of it.

    Args:
        settings: of the run.
        space: with the data set's number of classes.
        records: open for writing.
        cluster: where trainings run.
        evaluator: what trains.
        on_event: told of all that happens.
    """

    def __init__(
        self,
        settings: Settings,
        space: SearchSpace,
        records: Records,
        cluster: Cluster,
        evaluator: EvaluatorSpec,
        *,
        on_event: OnEvent = ignore,
    ) -> None:
        self.settings, self.space, self.records = settings, space, records
        self._cluster, self._evaluator, self._on_event = cluster, evaluator, on_event
        mirror = settings.mirror()
        self._mirror = None if mirror is None else Mirror(mirror)

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings,
        evaluator: EvaluatorSpec,
        *,
        classes: int,
        on_event: OnEvent = ignore,
        address: str | None = None,
    ) -> Iterator[Session]:
        """Takes the run's lease, brings its record in order, and writes ``settings.yaml``.

        Args:
            settings: of the run.
            evaluator: what trains.
            classes: of the data set.
            on_event: told of all that happens.
            address: of a cluster, ``auto`` or HOST:PORT; by default trainings run on this machine.

        Raises:
            RecordError: another driver writes the run, or its record is damaged.
            SettingsError: the run was started with other settings, or its folder cannot be written.
        """
        search = settings.search
        run_dir, retry_seconds = settings.run_dir.absolute(), 60 * settings.storage_patience_minutes
        capacity = Capacity(
            search.workers,
            search.cpus_per_trial,
            search.gpus_per_trial,
            address=address,
            elastic=search.elastic,
        )
        faults = FaultTolerance(search.retries, 60 * search.stall_minutes, retry_seconds)
        with ExitStack() as held:
            records = held.enter_context(
                Records.writing(run_dir, settings.identity(), settings.storage, retry_seconds=retry_seconds)
            )
            heartbeat = Heartbeat(records.channel)
            held.callback(heartbeat.end)
            log = held.enter_context(RunLog(run_dir, settings))
            cluster = Cluster(
                capacity,
                faults,
                heartbeat=heartbeat,
                trackers=settings.trackers,
                name=settings.name,
                mirror=settings.mirror(),
            )
            held.enter_context(cluster)
            with replacing(run_dir / "settings.yaml") as temporary:
                temporary.write_text(settings.to_yaml(), encoding="utf-8")
            space = settings.space.with_classes(classes)
            yield cls(settings, space, records, cluster, evaluator, on_event=log.before(on_event))

    @property
    def run_dir(self) -> Path:
        """The run's folder, absolute."""
        return self.settings.run_dir.absolute()

    def search(self) -> PhaseProgress:
        """Proposes, trains and promotes until all trials are through.

        Raises:
            KeyboardInterrupt: Ctrl-C; call it again in a new session to go on.
        """
        search = self.settings.search
        low, high = self.settings.window(self.space)
        domain = SpaceDomain(self.space, self.settings.windows(self.space), search.objectives)
        plan = SearchPlan(
            self.records,
            create_strategy(search.strategy, domain, seed=self.settings.seed, startup=search.startup),
            ParetoHalving([rung.epochs for rung in search.rungs], search.reduction, low, high),
            self.space,
            CandidateTraining(
                self.run_dir, self.settings.seed, search.rungs, search.time_limit_minutes, self._drop
            ),
            SearchLimits(search.trials, search.budget_minutes),
            search.workers,
            self._on_event,
        )
        self._cluster.run(plan, self._evaluator)
        return plan.progress()

    def _drop(self, folder: Path) -> None:
        """Takes away the checkpoints of a training that never goes on."""
        shutil.rmtree(folder, ignore_errors=True)
        if self._mirror is not None:
            self._mirror.drop(folder.name)

    def confirm(self) -> tuple[Confirmed, ...]:
        """Trains the provisional frontier again, longer and with other seeds.

        Returns:
            All confirmed candidates, the cheapest first; those with ``on_frontier`` are the run's frontier.

        Raises:
            KeyboardInterrupt: as in ``search``.
        """
        settings = self.settings.confirmation
        jobs = [
            self.job(
                Architecture.parse(member.architecture),
                settings.epochs,
                purpose="confirmation",
                seed=self.settings.seed + 1 + number,
            )
            for member in choose_members(self.records.candidates(), settings.members, self.records.objectives)
            for number in range(settings.seeds)
        ]
        self._run(jobs, "confirmation")
        return summarise(self.records.measurements("confirmation"), settings.epochs, self.records.objectives)

    def train(self, jobs: Sequence[Job]) -> list[JobOutcome]:
        """Trains final networks.

        Args:
            jobs: of purpose ``family``; see ``job``.

        Returns:
            For each job its last measurement; ``outcome.job.weights`` is the file of the trained weights.

        Raises:
            KeyboardInterrupt: as in ``search``.
        """
        return self._run(jobs, "family")

    def job(
        self,
        architecture: Architecture,
        epochs: int | None = None,
        *,
        purpose: Purpose = "family",
        seed: int | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> Job:
        """A training for ``train``.

        Args:
            architecture: the network.
            epochs: of the schedule; by default ``family.epochs``.
            purpose: the part of the run.
            seed: by default the run's own.
            recipe: JSON of a recipe in place of the run's.
        """
        length = self.settings.family.epochs if epochs is None else epochs
        own_seed = self.settings.seed if seed is None else seed
        fidelity = Fidelity(length, architecture.input.frames, architecture.input.size)
        folder = job_folder(
            self.run_dir, architecture.digest, own_seed, purpose, epochs=length, recipe=recipe
        )
        return Job(architecture, fidelity, own_seed, purpose, folder, recipe=recipe)

    def _run(self, jobs: Sequence[Job], purpose: Purpose) -> list[JobOutcome]:
        plan = JobPlan(
            self.records,
            purpose,
            self.space.classes,
            jobs,
            workers=self.settings.search.workers,
            on_event=self._on_event,
        )
        self._cluster.run(plan, self._evaluator)
        outcomes = plan.outcomes()
        for each in outcomes:
            if self._mirror is not None and not each.failed and not each.job.weights.is_file():
                self._mirror.pull(each.job.folder.name, each.job.folder)
        return outcomes


def run_search(
    settings: Settings, evaluator: EvaluatorSpec, *, classes: int, on_event: OnEvent = ignore
) -> tuple[Confirmed, ...]:
    """Searches and confirms in one go; a run that needs more opens a ``Session``."""
    with Session.open(settings, evaluator, classes=classes, on_event=on_event) as session:
        session.search()
        return session.confirm()
