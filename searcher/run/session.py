"""One run from the driver's side: search, confirmation and final trainings over one record."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from proxy_train.data.contents import Contents
from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Purpose
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError, SettingsError
from search_space.files import replacing
from search_space.space.space import SearchSpace
from searcher.cluster.capacity import Capacity, FaultTolerance
from searcher.cluster.checkpoint_mirror import Mirror, Removals
from searcher.cluster.cluster import Cluster
from searcher.cluster.heartbeat import Heartbeat
from searcher.evaluator.shared_weights import digest_of
from searcher.objectives import Score, score_of
from searcher.plan.confirmation import Confirmed, longest_epochs, summarise
from searcher.plan.events import OnEvent, PhaseProgress, ignore
from searcher.plan.job import EvaluatorSpec, Job, job_folder
from searcher.plan.job_plan import JobOutcome, JobPlan
from searcher.plan.plan import Plan
from searcher.plan.search_plan import CandidateTraining, SearchLimits, SearchPlan
from searcher.plan.seeding import check_same_seeds, find_seeds
from searcher.promotion.halving import ParetoHalving
from searcher.record.records import Records
from searcher.record.same_data import keep_same_data
from searcher.run.members import confirmation_plan
from searcher.run.run_log import RunLog
from searcher.settings.settings import Settings
from searcher.strategies.policy import PolicySampling
from searcher.strategies.registry import create_strategy
from searcher.strategies.space_domain import SpaceDomain
from searcher.supernet.supernet_job import fine_tuning_recipe, read_policy, supernet_job

_LOG = logging.getLogger(__name__)


class Session:
    """A run that is open for writing; ``Session.open`` creates one.

    Each phase resumes where an earlier session ended, and trains nothing if the record has all of it.

    Args:
        settings: settings of the run.
        space: search space with the data set's number of classes.
        records: record of the run, open for writing.
        cluster: engine that runs the trainings.
        evaluator: evaluator that trains.
        on_event: function that receives all events.
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
        self._removals = Removals(self._mirror)
        self._shared_digest = ""

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings,
        evaluator: EvaluatorSpec,
        *,
        classes: int,
        contents: Contents | None = None,
        on_event: OnEvent = ignore,
        address: str | None = None,
    ) -> Iterator[Session]:
        """Acquire the run's lease, repair its record, and write ``settings.yaml``.

        Args:
            settings: settings of the run.
            evaluator: evaluator that trains.
            classes: number of classes of the data set.
            contents: contents of the data set; None if there is none, as for an invented evaluator.
            on_event: function that receives all events.
            address: address of a cluster, ``auto`` or HOST:PORT; by default trainings run on this machine.

        Raises:
            RecordError: another driver writes the run, or its record is damaged.
            SettingsError: the run was started with other settings or data, or its folder cannot be written.
        """
        search = settings.search
        run_dir, retry_seconds = settings.run_dir.absolute(), 60 * settings.storage_patience_minutes
        cpus, gpus = search.cpus_per_trial, search.gpus_per_trial
        capacity = Capacity(search.workers, cpus, gpus, address=address, elastic=search.elastic)
        faults = FaultTolerance(search.retries, 60 * search.stall_minutes, retry_seconds)
        with ExitStack() as held:
            records = held.enter_context(
                Records.writing(
                    run_dir,
                    settings.identity(),
                    settings.storage,
                    retry_seconds=retry_seconds,
                    checkpoints=settings.checkpoints,
                )
            )
            check_same_seeds(records, search.seeds)
            if contents is not None:
                keep_same_data(records, run_dir, contents)
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
            _write_settings(settings)
            space = settings.space.with_classes(classes)
            session = cls(settings, space, records, cluster, evaluator, on_event=log.before(on_event))
            # Also after an interruption: nobody would remove them later.
            held.callback(session._removals.finish)
            yield session

    @property
    def on_event(self) -> OnEvent:
        """Function that receives all events."""
        return self._on_event

    @property
    def run_dir(self) -> Path:
        """Folder of the run, absolute."""
        return self.settings.run_dir.absolute()

    @property
    def score(self) -> Score:
        """What the run's measurements hold as ``top1``."""
        return score_of(measurement.metrics for measurement in self.records.measurements())

    def adopt(self, settings: Settings) -> None:
        """Continue with settings of which the open parts are planned now; write them to ``settings.yaml``.

        Raises:
            SettingsError: something else differs from what the run was started with.
        """
        self.records.settle(settings.identity())
        self.settings = settings
        _write_settings(settings)

    def run(self, plan: Plan) -> None:
        """Run a plan of trainings on the session's workers.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C; see ``search``.
        """
        self._cluster.run(plan, self._evaluator)

    def train_supernet(self) -> JobOutcome | None:
        """Train the weights that all networks share, if the settings ask for them.

        Returns:
            The outcome, whose metrics are the largest network's; None without a supernet.

        Raises:
            RecordError: the training failed; gives the reason.
            KeyboardInterrupt: the user pressed Ctrl-C; see ``search``.
        """
        if self.settings.supernet is None:
            return None
        outcome = self._train("supernet", [supernet_job(self.settings, self.space)])[0]
        if outcome.failed:
            raise RecordError(
                f"the supernet could not be trained: {outcome.measurement.reason}",
                hint="mend it and run the same command again; if the settings are at fault, start a new run",
            )
        return outcome

    @property
    def _shared(self) -> str:
        """Digest of the trained supernet's weights as a fidelity has it; empty if the run has none."""
        if self.settings.supernet is not None and not self._shared_digest:
            weights = supernet_job(self.settings, self.space).weights
            self._shared_digest = digest_of(weights) if weights.is_file() else ""
        return self._shared_digest

    def search(self) -> PhaseProgress:
        """Propose, train and promote candidates until the search ends.

        Returns:
            Progress at the end.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C; call it in a new session to resume.
            SettingsError: the pilot has not planned yet what the settings leave open.
            RecordError: the first candidates, and all of them, failed for the same reason, or all did.
        """
        if self.settings.open_keys:
            raise SettingsError(
                f"{', '.join(self.settings.open_keys)} are not planned yet", hint="run the pilot first"
            )
        self.train_supernet()
        search = self.settings.search
        low, high = self.settings.window(self.space)
        domain = SpaceDomain(self.space, self.settings.windows(self.space), search.objectives)
        self._begin(domain)
        strategy = create_strategy(search.strategy, domain, seed=self.settings.seed, startup=search.startup)
        if isinstance(strategy, PolicySampling) and self.settings.supernet is not None:
            strategy.follow(read_policy(supernet_job(self.settings, self.space), self.space))
        plan = SearchPlan(
            self.records,
            strategy,
            ParetoHalving([rung.epochs for rung in search.rungs], search.reduction, low, high),
            self.space,
            CandidateTraining(
                self.run_dir,
                self.settings.seed,
                search.rungs,
                search.time_limit_minutes,
                self.drop,
                search.repeats,
                self._shared or self.settings.inherited,
            ),
            SearchLimits(search.trials, search.budget_minutes),
            search.workers,
            self._on_event,
        )
        self._cluster.run(plan, self._evaluator)
        plan.require_measured()
        return plan.progress()

    def _begin(self, domain: SpaceDomain) -> None:
        """Decide what the search begins with, once: later starts find it in the record."""
        if self.records.seeds is not None or self.records.candidates():
            return
        search = self.settings.search
        inside = self.settings.supernet is not None
        seeds = find_seeds(search.seeds, domain, startup=search.startup, inside=inside)
        self.records.begin(seeds)
        for seed in seeds.networks:
            _LOG.info("the search begins with %s: %s", seed.origin, seed.architecture)
        for sentence in seeds.left_out:
            _LOG.warning("left out of the seeds, %s", sentence)
        if len(seeds.networks) > search.trials:
            _LOG.warning("search.trials is %d: only as many seeds are trained", search.trials)

    def drop(self, folder: Path) -> None:
        """Remove the checkpoints of a training that will not be resumed."""
        shutil.rmtree(folder, ignore_errors=True)
        self._removals.add(folder.name)

    def confirm(self) -> tuple[Confirmed, ...]:
        """Train the provisional frontier again, longer and with other seeds; see ``ConfirmationPlan``.

        Returns:
            All confirmed candidates, the cheapest first; those with ``on_frontier`` are the run's frontier.

        Raises:
            SettingsError: the record has a longer confirmation, which is the one that counts.
            KeyboardInterrupt: the user pressed Ctrl-C; see ``search``.
        """
        settings = self.settings.confirmation
        longest = longest_epochs(self.records.measurements("confirmation"))
        if longest > settings.epochs:
            raise SettingsError(
                f"confirmation.epochs is {settings.epochs}, but {self.settings.name!r} has a confirmation of"
                f" {longest} epochs, and the longest one counts",
                hint=f"set confirmation.epochs to {longest} or more, or give this run another name",
            )
        domain = SpaceDomain(self.space, self.settings.windows(self.space), self.settings.search.objectives)
        training = partial(self.job, epochs=settings.epochs, purpose="confirmation")
        plan = confirmation_plan(self.settings, self.records, domain, training, self._on_event)
        self._cluster.run(plan, self._evaluator)
        return summarise(self.records.measurements("confirmation"), settings.epochs, self.records.objectives)

    def train(self, jobs: Sequence[Job]) -> list[JobOutcome]:
        """Train final networks, and fetch the weights that are only in an object store.

        Args:
            jobs: trainings of purpose ``family``; see ``job``.

        Returns:
            Outcome of each job; ``outcome.job.weights`` is the file of its trained weights.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C; see ``search``.
        """
        return self._train("family", jobs)

    def _train(self, purpose: Purpose, jobs: Sequence[Job]) -> list[JobOutcome]:
        """Train a list of jobs; see ``train``."""
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
        for outcome in outcomes:
            if self._mirror is not None and not outcome.failed and not outcome.job.weights.is_file():
                patience = 60 * self.settings.storage_patience_minutes
                self._mirror.pull(outcome.job.folder.name, outcome.job.folder, patience)
        return outcomes

    def job(
        self,
        architecture: Architecture,
        epochs: int | None = None,
        *,
        purpose: Purpose = "family",
        seed: int | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> Job:
        """Return a training of a network, for ``train``.

        Args:
            architecture: architecture of the network.
            epochs: epochs of the schedule; by default ``family.epochs``.
            purpose: part of the run that the training belongs to.
            seed: seed of the training; by default the run's.
            recipe: JSON of a recipe that replaces the run's own.
        """
        length = self.settings.family.epochs if epochs is None else epochs
        job_seed = self.settings.seed if seed is None else seed
        clip, teacher = architecture.input, self.settings.taught if purpose == "family" else ""
        weights = self.settings.inherited
        part = self.settings.confirmation if purpose == "confirmation" else self.settings.family
        if self._shared and part.inherit and self.space.contains(architecture):
            weights = self._shared
            recipe = fine_tuning_recipe(self.settings) if recipe is None else recipe
        fidelity = Fidelity(length, clip.frames, clip.size, weights=weights, teacher=teacher)
        folder = job_folder(
            self.run_dir,
            architecture.digest,
            job_seed,
            purpose,
            epochs=length,
            recipe=recipe,
            origin=(weights, teacher),
        )
        return Job(architecture, fidelity, job_seed, purpose, folder, recipe=recipe)


def _write_settings(settings: Settings) -> None:
    with replacing(settings.run_dir.absolute() / "settings.yaml") as temporary:
        temporary.write_text(settings.to_yaml(), encoding="utf-8")


def run_search(
    settings: Settings, evaluator: EvaluatorSpec, *, classes: int, on_event: OnEvent = ignore
) -> tuple[Confirmed, ...]:
    """Search and confirm; a run that needs more opens a ``Session``.

    Args:
        settings: settings of the run.
        evaluator: evaluator that trains.
        classes: number of classes of the data set.
        on_event: function that receives all events.

    Returns:
        All confirmed candidates, the cheapest first.
    """
    with Session.open(settings, evaluator, classes=classes, on_event=on_event) as session:
        session.search()
        return session.confirm()
