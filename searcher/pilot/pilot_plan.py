"""The pilot as a plan for the cluster: a curriculum over the record, which resumes from the record alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from proxy_train.recipe import Recipe
from search_space.architecture.architecture import Architecture
from searcher.pilot.curriculum import Curriculum, PilotTask
from searcher.pilot.trials import Results, Trial
from searcher.plan.events import Measured, OnEvent, PhaseProgress, ignore
from searcher.plan.job import EpochResult, Job, job_folder
from searcher.plan.plan import Plan
from searcher.record.records import Records


@dataclass(frozen=True)
class PilotTraining:
    """How the networks of a pilot are trained.

    Args:
        run_dir: folder of the run, for checkpoints.
        seed: seed of the run.
        recipe: recipe of the run.
        drop: function that removes the folder of a training that has ended.
        weights: digest of the weights that networks inherit, as ``Fidelity`` has it.
    """

    run_dir: Path
    seed: int
    recipe: Recipe
    drop: Callable[[Path], None]
    weights: str = ""


class PilotPlan(Plan):
    """A plan that trains what a curriculum calls for, and records it with purpose ``pilot``.

    Args:
        records: record of the run, open for writing.
        task: what is trained, and what may be spent.
        networks: networks of the task, the cheapest first.
        training: how they are trained.
        classes: number of classes of the data set.
        on_event: function that receives every start and measurement.
    """

    def __init__(
        self,
        records: Records,
        task: PilotTask,
        networks: Sequence[Architecture],
        training: PilotTraining,
        classes: int,
        on_event: OnEvent = ignore,
    ) -> None:
        super().__init__(records, "pilot", classes, 1, on_event)
        self.task, self._networks, self._training = task, tuple(networks), training
        self._curriculum = Curriculum(task)
        self._trials: dict[str, Trial] = {}

    @property
    def results(self) -> Results:
        """Results in the record."""
        digests = [network.digest for network in self._networks]
        measured, entropy = self.records.measurements("pilot"), self.task.chance.entropy
        return Results.of(measured, digests, self._training.seed, entropy)

    def choose(self) -> Job | None:
        """Return the next training that the curriculum calls for."""
        running = {self._trials[job.name] for job in self.running}
        trial = self._curriculum.next(self.results, running)
        if trial is None:
            return None
        job = self._job(trial)
        self._trials[job.name] = trial
        return job

    def _job(self, trial: Trial) -> Job:
        architecture, seed = self._networks[trial.network], self._training.seed + trial.offset
        clip, own = architecture.input, self._training.recipe
        recipe: dict[str, Any] | None = None
        if trial.rate != 1:
            changed = own.model_copy(update={"learning_rate": own.learning_rate * trial.rate})
            recipe = changed.identity()
        run_dir, digest = self._training.run_dir, architecture.digest
        return Job(
            architecture,
            Fidelity(trial.epochs, clip.frames, clip.size, weights=self._training.weights),
            seed,
            "pilot",
            job_folder(run_dir, digest, seed, "pilot", epochs=trial.epochs, recipe=recipe),
            rungs=trial.measured_at,
            measured=tuple(result.epochs for result in self.results.of_trial(trial)),
            recipe=recipe,
        )

    def observe(self, job: Job, result: EpochResult) -> bool:
        """Record a measurement; return whether the training has more to tell."""
        self.count(job, result)
        if result.metrics is not None:
            measurement = self.measure(job, result)
            self.records.append(measurement)
            self.on_event(Measured(measurement))
            return not self._curriculum.ended(self._trials[job.name], self.results)
        return result.epoch < job.fidelity.epochs

    def fail(self, job: Job, reason: str) -> None:
        """Record that a training failed; it is not tried again in this session."""
        self._curriculum.given_up.add(self._trials[job.name])
        super().fail(job, reason)

    def on_job_end(self, job: Job) -> None:
        """Remove a training from the running ones, and the checkpoints of one that has ended."""
        super().on_job_end(job)
        trial = self._trials[job.name]
        if self._curriculum.ended(trial, self.results):
            self._training.drop(job.folder)

    def _measurements_of(self, job: Job) -> list[Measurement]:
        """Return the measurements of this training: those of other lengths are other trainings."""
        return [m for m in super()._measurements_of(job) if m.fidelity.epochs in job.rungs]

    def progress(self) -> PhaseProgress:
        """Return the progress of the pilot, whose length is not known before its end."""
        trainings = self.records.measurements("pilot")
        done = sum(measurement.status == "complete" for measurement in trainings)
        failed = len(trainings) - done
        return PhaseProgress(
            phase="pilot",
            planned=done + failed + len(self.running),
            done=done,
            running=len(self.running),
            failed=failed,
            epochs=self.epochs,
            seconds=self.seconds(),
            ended=self.ended_count,
        )
