"""The videos of a run: prepared once for each input of its space, and what the driver does with them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from proxy_train.augmentation import evaluation_batch
from proxy_train.dataset import Dataset, DataSettings, load_dataset
from proxy_train.evaluation import evaluate
from proxy_train.store import PreparedData, prepare
from search_space.architecture import Input
from search_space.space import SearchSpace
from searcher.video_evaluator import inputs

_LOG = logging.getLogger(__name__)

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class RunData:
    """A data set, decoded for every clip that the networks of a run take.

    Args:
        dataset: as listed.
        stores: prepared data by input.
    """

    dataset: Dataset
    stores: Mapping[Input, PreparedData]

    @classmethod
    def open(
        cls, settings: DataSettings, space: SearchSpace, *, workers: int, making: Report, preparing: Report
    ) -> RunData:
        """List the videos (or make MovingDigits-16), and decode them; at once if an earlier run did.

        Args:
            settings: which videos.
            space: whose inputs to decode them for.
            workers: processes that decode.
            making: told of the clips of MovingDigits-16 that are made.
            preparing: told of the videos that are decoded.

        Raises:
            DataError: no usable videos.
        """
        dataset = load_dataset(settings, workers=workers, progress=making)
        stores = {clip: prepare_clip(dataset, settings, clip, workers, preparing) for clip in inputs(space)}
        return cls(dataset, stores)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        return self.dataset.classes

    @property
    def paths(self) -> dict[Input, Path]:
        """Folders of the prepared data, as workers open them."""
        return {clip: data.path for clip, data in self.stores.items()}

    @property
    def final_split(self) -> str:
        """What finished networks are measured on: ``test``, which no choice has seen, or else ``val``."""
        return final_split(self.dataset)

    def measure(
        self, model: nn.Module, clip: Input, *, streaming: bool, device: str = "cpu"
    ) -> dict[str, float]:
        """Top-1, top-5 and loss of a finished network, whole clips and (``stream_``) frame by frame."""
        return finished_metrics(
            model, self.stores[clip], self.final_split, streaming=streaming, device=device
        )

    def example(self, clip: Input) -> NDArray[np.uint8]:
        """Frames (T, size, size, 3) of one real video, for comparing an export with its network."""
        split = self.stores[clip].split(self.final_split)
        pixels = evaluation_batch(split, range(1), clip.frames, clip.size)[0].permute(1, 2, 3, 0)
        frames: NDArray[np.uint8] = (pixels * 255).round().byte().numpy()
        return frames


def final_split(dataset: Dataset) -> str:
    """What finished networks are measured on: ``test``, which no choice has seen, or else ``val``."""
    return "test" if dataset.items.get("test") else "val"


def finished_metrics(
    model: nn.Module, data: PreparedData, split: str, *, streaming: bool, device: str = "cpu"
) -> dict[str, float]:
    """Top-1, top-5 and loss of a finished network, whole clips and (``stream_``) frame by frame."""
    found = evaluate(model, data, split, device=device)
    metrics = {"top1": found.top1, "top5": found.top5, "loss": found.loss, "clips": float(found.count)}
    if streaming:
        stepped = evaluate(model, data, split, streaming=True, device=device)
        metrics |= {"stream_top1": stepped.top1, "stream_top5": stepped.top5}
    return metrics


def prepare_clip(
    dataset: Dataset, settings: DataSettings, clip: Input, workers: int, progress: Report
) -> PreparedData:
    """The data set decoded for networks that take ``clip``; videos left out are in the log by name."""
    data = prepare(
        dataset,
        frames=clip.frames,
        size=clip.size,
        fps=clip.fps,
        cache=settings.cache_folder,
        workers=workers,
        progress=progress,
        refuse_broken=settings.broken == "refuse",
    )
    for file, reason in data.broken:
        _LOG.warning("left out %s: %s", file, reason)
    return data
