"""The evaluator of real runs: trains networks on prepared videos, going on from a job's own folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from proxy_train.recipe import Recipe
from proxy_train.store import PreparedData
from proxy_train.training import Training
from search_space.architecture import Input
from search_space.errors import SettingsError
from search_space.network import save_weights
from search_space.space import SearchSpace
from searcher.jobs import EpochResult, EvaluatorSpec, Job, Stage
from searcher.latency import latency


def inputs(space: SearchSpace) -> tuple[Input, ...]:
    """The clips that networks of a space take: the data has to be prepared for each."""
    choices = space.choices
    return tuple(
        Input(frames, size, fps)
        for frames in choices.frames
        for size in choices.sizes
        for fps in choices.rates
    )


def video_evaluator(
    stores: Mapping[Input, Path], recipe: Recipe, device: str = "cpu", *, timed: bool = False
) -> EvaluatorSpec:
    """The evaluator by name, as workers get it.

    Args:
        stores: the folder of prepared data for each input.
        recipe: of every training whose job has none of its own.
        device: of torch.
        timed: whether measurements have a latency.
    """
    return EvaluatorSpec(
        "searcher.video_evaluator:VideoEvaluator",
        {
            "stores": {str(clip): str(path.absolute()) for clip, path in stores.items()},
            "recipe": recipe.model_dump(mode="json"),
            "device": device,
            "timed": timed,
        },
    )


class VideoEvaluator:
    """Trains one job after the other; the prepared data stays mapped between them."""

    def __init__(
        self, stores: Mapping[str, str], recipe: Mapping[str, Any], device: str = "cpu", timed: bool = False
    ) -> None:
        self._stores, self._timed = stores, timed
        self._recipe = Recipe.model_validate(recipe)
        self._device = device
        self._open: dict[str, PreparedData] = {}

    def __call__(self, job: Job) -> Iterator[EpochResult]:
        """See ``searcher.jobs.Evaluator``."""
        before: Path | None = None
        for stage in job.stages:
            if not set(stage.rungs) <= set(job.measured):
                yield from self._stage(job, stage, before)
            before = stage.folder

    def _stage(self, job: Job, stage: Stage, before: Path | None) -> Iterator[EpochResult]:
        """What is left of a stage, which goes on from the folder of the one before it."""
        horizon = stage.horizon
        clip = Input(horizon.frames, horizon.size, job.architecture.input.fps)
        training = Training(
            job.architecture,
            self._data(str(clip)),
            self._recipe if job.recipe is None else Recipe.model_validate(job.recipe),
            horizon=horizon,
            seed=job.seed,
            folder=stage.folder,
            device=self._device,
            promoted_from=before,
        )
        began = time.perf_counter()
        if training.epoch in stage.rungs and training.epoch not in job.measured:
            yield self._result(job, training, began)
        while training.epoch < stage.rungs[-1]:
            began = time.perf_counter()
            training.train_epoch()
            # Before the evaluation: what was trained is never trained again.
            training.save()
            yield self._result(job, training, began)

    def _data(self, clip: str) -> PreparedData:
        if clip not in self._stores:
            raise SettingsError(
                f"no data is prepared for clips of {clip}", hint=f"there is {', '.join(self._stores)}"
            )
        if clip not in self._open:
            self._open[clip] = PreparedData.open(Path(self._stores[clip]))
        return self._open[clip]

    def _result(self, job: Job, training: Training, began: float) -> EpochResult:
        if training.epoch not in job.rungs:
            return EpochResult(training.epoch, time.perf_counter() - began)
        metrics = training.evaluate()
        if training.epoch == job.fidelity.epochs and job.purpose != "search":
            save_weights(training.model, job.weights)
        found = {"top1": metrics.score, "top5": metrics.top5, "loss": metrics.loss, **metrics.more}
        if self._timed:
            found |= latency(training.model, job.architecture.input)
        return EpochResult(training.epoch, time.perf_counter() - began, found)
