"""The evaluator of real runs: it trains networks on prepared videos, and resumes from a job's own folder."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.distributed import Group
from proxy_train.evaluation.evaluation import evaluate
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.supernet.training import SupernetTraining
from proxy_train.training.distillation import Teacher
from proxy_train.training.initial_weights import WeightSource
from proxy_train.training.pretrained import InheritedWeights
from proxy_train.training.training import Training
from search_space.architecture.parts import ClipShape
from search_space.cost.latency_table import LatencyTable
from search_space.errors import DataError, SettingsError
from search_space.network.model import MoViNet
from search_space.network.weights import save_weights
from search_space.progress import ignore_progress
from searcher.evaluator.clips import prepare_clip
from searcher.evaluator.latency import latency
from searcher.evaluator.noted_epochs import note_epoch, noted_epochs
from searcher.evaluator.pretrained import pretrained
from searcher.evaluator.repeats import together
from searcher.evaluator.shared_weights import SharedWeights, SupernetSpec
from searcher.evaluator.team import team
from searcher.evaluator.watched import watched_metric
from searcher.plan.job import EpochResult, EvaluatorSpec, Job, JobStage


def video_evaluator(
    stores: Mapping[ClipShape, Path],
    recipe: Recipe,
    device: str = "cpu",
    *,
    timed: bool = False,
    data: DataSettings | None = None,
    latency_table: Path | None = None,
    processes: int = 1,
    weights: str | None = None,
    teacher: str | None = None,
    supernet: SupernetSpec | None = None,
) -> EvaluatorSpec:
    """Return the evaluator by name, as it is sent to workers; its parameters are the parts of the settings.

    Args:
        stores: folder of prepared data for each clip shape.
        recipe: recipe of every training whose job has none of its own.
        device: torch's name of the device.
        timed: whether measurements have a latency.
        data: settings of the data set; a worker whose machine lacks a folder of ``stores`` prepares it.
        latency_table: file of a table that predicts latencies; by default workers measure them.
        processes: number of processes that train one network together on the worker's machine, each on a GPU
            if there are any.
        weights: trained network that candidates inherit from, if their fidelity says so.
        teacher: trained network that finished networks learn from, if their fidelity says so.
        supernet: weights that the networks share; candidates are then measured with them.
    """
    return EvaluatorSpec(
        "searcher.evaluator.video_evaluator:VideoEvaluator",
        {
            "stores": {str(clip): str(path.absolute()) for clip, path in stores.items()},
            "recipe": recipe.model_dump(mode="json"),
            "device": device,
            "timed": timed,
            "data": None if data is None else data.model_dump(mode="json"),
            "latency_table": None if latency_table is None else str(latency_table.absolute()),
            "processes": processes,
            "weights": weights,
            "teacher": teacher,
            "supernet": None if supernet is None else supernet.to_json(),
        },
    )


class VideoEvaluator:
    """An evaluator that trains one job after another; prepared data stays mapped between them.

    Its parameters are those of :func:`video_evaluator`, in JSON types.
    """

    def __init__(
        self,
        stores: Mapping[str, str],
        recipe: Mapping[str, Any],
        device: str = "cpu",
        timed: bool = False,
        data: Mapping[str, Any] | None = None,
        latency_table: str | None = None,
        processes: int = 1,
        weights: str | None = None,
        teacher: str | None = None,
        supernet: Mapping[str, Any] | None = None,
    ) -> None:
        self._arguments = {
            "stores": dict(stores), "recipe": dict(recipe), "device": device, "timed": timed, "data": data,
            "latency_table": latency_table, "weights": weights, "teacher": teacher,
            "supernet": supernet,
        }  # fmt: skip
        self._weights, self._teacher = weights, teacher
        self._processes = processes
        self._table = None if latency_table is None else LatencyTable.read(Path(latency_table))
        self._stores, self._timed = stores, timed
        self._settings = None if data is None else DataSettings.model_validate(data)
        self._recipe = Recipe.model_validate(recipe)
        self._device = device
        self._shared: SharedWeights | None = None
        if supernet is not None:
            self._shared = SharedWeights(SupernetSpec.from_json(supernet), self._recipe, device)
        self._open: dict[str, PreparedData] = {}

    def __call__(self, job: Job) -> Generator[EpochResult, None, None]:
        """Train a job, as ``searcher.plan.job.Evaluator`` describes; yield the result of every epoch."""
        if job.repeats > 1:
            yield from together([self(training) for training in job.trainings])
            return
        # In a study, only what is measured so has weights.
        in_supernet = job.purpose == "search" or (job.purpose == "validity" and job.fidelity.weights)
        if in_supernet and self._shared is not None:
            yield self._measure(job, self._shared)
            return
        for number, stage in enumerate(job.stages):
            if not set(stage.rungs) <= set(job.measured):
                with team(self._arguments, job, number, self._processes, self._device) as group:
                    yield from self._run_stage(job, stage, self.training(job, number, group))

    def training(self, job: Job, number: int, group: Group | None = None) -> Training | SupernetTraining:
        """Return the training of a stage, which resumes from its own folder or that of the stage before.

        Args:
            job: job that is trained.
            number: index of the stage in ``job.stages``.
            group: processes that train together, if there are several.
        """
        stage = job.stages[number]
        horizon = stage.horizon
        if job.purpose == "supernet":
            return self._supernet_training(job, group)
        clip = ClipShape(horizon.frames, horizon.size, job.architecture.input.fps)
        data = self._data(str(clip))
        teacher = pretrained(self._teacher, horizon.teacher, "family.teacher")
        return Training(
            job.architecture,
            data,
            self._recipe if job.recipe is None else Recipe.model_validate(job.recipe),
            horizon=horizon,
            seed=job.seed,
            folder=stage.folder,
            device=self._device,
            promoted_from=job.stages[number - 1].folder if number else None,
            group=group,
            initial=self._initial(horizon.weights, data),
            teacher=None if teacher is None else Teacher(teacher, data.classes, self._device),
        )

    def _initial(self, digest: str, data: PreparedData) -> WeightSource | None:
        """Return the weights that a fidelity names by a digest; None if it names none."""
        if digest and self._shared is not None:
            return self._shared.initial(digest, data)
        weights = pretrained(self._weights, digest, "weights")
        return None if weights is None else InheritedWeights(weights)

    def _supernet_training(self, job: Job, group: Group | None) -> SupernetTraining:
        assert self._shared is not None, "only runs with a supernet train one"
        stores = {ClipShape.parse(clip): self._data(clip) for clip in self._stores}
        weights = pretrained(self._weights, job.fidelity.weights, "weights")
        return self._shared.training(
            job, stores, None if weights is None else InheritedWeights(weights), group
        )

    def _measure(self, job: Job, shared: SharedWeights) -> EpochResult:
        """Return the result of a candidate with the shared weights, which is not trained."""
        started = time.perf_counter()
        clip = ClipShape(job.fidelity.frames, job.fidelity.size, job.architecture.input.fps)
        data = self._data(str(clip))
        network = shared.network(job, data)
        figures = evaluate(network, data, device=self._device).by_name
        figures |= {"top1": figures.get("mean_ap", figures["top1"])}
        if job.purpose == "validity":
            save_weights(network, job.weights)
        if self._timed:
            figures |= self._latency(network, job)
        return EpochResult(job.fidelity.epochs, time.perf_counter() - started, figures)

    def _run_stage(
        self, job: Job, stage: JobStage, training: Training | SupernetTraining
    ) -> Iterator[EpochResult]:
        """Run the rest of a stage; yield the result of every epoch."""
        started = time.perf_counter()
        if training.epoch in stage.rungs and training.epoch not in job.measured:
            yield self._result(job, training, started)
        while training.epoch < stage.rungs[-1]:
            started = time.perf_counter()
            report = training.train_epoch()
            if job.purpose == "pilot":
                note_epoch(stage.folder, report)
            # Before the evaluation, so that no epoch is trained twice.
            training.save()
            yield self._result(job, training, started)

    def _data(self, clip: str) -> PreparedData:
        """Return the prepared data of a clip shape, opened once."""
        if clip not in self._stores:
            raise SettingsError(
                f"no data is prepared for clips of {clip}",
                hint=f"there is data for {', '.join(self._stores)}",
            )
        if clip not in self._open:
            path = Path(self._stores[clip])
            is_local = self._settings is None or path.exists()
            self._open[clip] = PreparedData.open(path) if is_local else self._prepared(clip, path.name)
        return self._open[clip]

    def _prepared(self, clip: str, name: str) -> PreparedData:
        """Prepare the data on this machine; the first of its workers does, and the others wait for it."""
        assert self._settings is not None
        dataset = load_dataset(self._settings)
        data = prepare_clip(
            dataset, self._settings, ClipShape.parse(clip), max(2, torch.get_num_threads()), ignore_progress
        )
        if data.path.name != name:
            raise DataError(
                f"the videos on {socket.gethostname()} are not those that the run was started with:"
                f" they make {data.path.name}, not {name}",
                hint="let all nodes read the same folder, or copies with the files' own times (cp -a)",
            )
        return data

    def _result(self, job: Job, training: Training | SupernetTraining, started: float) -> EpochResult:
        """Return the result of the last epoch; at a rung, evaluate the network and keep final weights."""
        if training.epoch not in job.rungs:
            return EpochResult(training.epoch, time.perf_counter() - started)
        evaluated = time.perf_counter()
        metrics = training.evaluate()
        if training.epoch == job.fidelity.epochs and job.purpose not in ("search", "pilot"):
            save_weights(training.model, job.weights)
        figures = {"top1": metrics.score, "top5": metrics.top5, "loss": metrics.loss, **metrics.more}
        if isinstance(training, SupernetTraining):
            figures |= {
                watched_metric(name): training.evaluate(network).score
                for name, network in training.watched.items()
            }
        elif job.purpose == "pilot":
            figures |= noted_epochs(job.folder, training.epoch, time.perf_counter() - evaluated)
        elif self._timed and isinstance(training, Training):
            figures |= self._latency(training.model, job)
        return EpochResult(training.epoch, time.perf_counter() - started, figures)

    def _latency(self, network: MoViNet, job: Job) -> dict[str, float]:
        if self._table is None:
            return latency(network, job.architecture.input)
        return {"latency_ms": self._table.predict(job.architecture), "latency_frames": 1.0}
