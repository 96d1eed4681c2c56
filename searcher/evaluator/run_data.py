"""The videos of a run: prepared once for each clip shape of its space, and the driver's own uses of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from proxy_train.clips.augmentation import evaluation_batch
from proxy_train.data.contents import Contents
from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.evaluation import evaluate
from proxy_train.store.prepared_data import PreparedData
from search_space.architecture.parts import ClipShape
from search_space.progress import ProgressCallback
from search_space.space.space import SearchSpace
from searcher.evaluator.clips import clip_shapes, prepare_clip
from searcher.promotion.rung import Rung

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """A data set, decoded for every clip shape of a run's networks.

    Args:
        dataset: data set as listed.
        contents: what it held when it was listed.
        stores: prepared data by the shape of its clips.
        smaller: prepared data of the smaller clips that candidates see at lower rungs.
    """

    dataset: Dataset
    contents: Contents
    stores: Mapping[ClipShape, PreparedData]
    smaller: Mapping[ClipShape, PreparedData] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        settings: DataSettings,
        space: SearchSpace,
        *,
        workers: int,
        making: ProgressCallback,
        preparing: ProgressCallback,
        rungs: Sequence[Rung] = (),
        check: Callable[[Contents], None] = lambda _: None,
    ) -> RunData:
        """List the videos, or make MovingDigits-16, and decode them unless an earlier run did.

        Args:
            settings: settings of the data set.
            space: space whose clips the videos are decoded for.
            workers: number of processes that decode.
            making: function that receives the number of MovingDigits-16 clips that are made.
            preparing: function that receives the number of videos that are decoded.
            rungs: rungs whose smaller clips the videos are decoded for as well.
            check: function that receives what the data set holds, and may refuse it before anything is
                decoded.

        Raises:
            DataError: there are no usable videos, or their labels cannot tell networks apart.
        """
        dataset = load_dataset(settings, workers=workers, progress=making)
        contents = Contents.of(dataset)
        check(contents)
        shapes = clip_shapes(space)
        smaller = {rung.clip(clip) for rung in rungs for clip in shapes} - set(shapes)
        prepared = {
            clip: prepare_clip(dataset, settings, clip, workers, preparing)
            for clip in (*shapes, *sorted(smaller, key=str))
        }
        stores, others = ({clip: prepared[clip] for clip in clips} for clips in (shapes, smaller))
        return cls(dataset, contents, stores, others)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.dataset.classes

    @cached_property
    def readable(self) -> Dataset:
        """The data set without the videos that cannot be read."""
        readable = self.dataset
        for data in self.stores.values():
            readable = data.readable(readable)
        return readable

    def write_report(self, folder: Path) -> None:
        """Write the class map and the list of videos that are not used: ``classes.json``,
        ``left_out.json``."""
        broken = {entry for data in self.stores.values() for entry in data.broken}
        self.dataset.write_report(folder, tuple(sorted(broken)))

    @property
    def largest_store(self) -> PreparedData:
        """Prepared data of the largest clips."""
        return self.stores[max(self.stores, key=lambda clip: (clip.size, clip.frames))]

    @property
    def paths(self) -> dict[ClipShape, Path]:
        """Folders of the prepared data, by the shape of its clips."""
        return {clip: data.path for clip, data in (*self.stores.items(), *self.smaller.items())}

    @property
    def final_split(self) -> str:
        """Split that finished networks are measured on: ``test`` if one can be read, else ``val``."""
        return final_split(self.readable)

    def measure(
        self, model: nn.Module, clip: ClipShape, *, streaming: bool, device: str = "cpu"
    ) -> dict[str, float]:
        """Return figures of a finished network on whole clips and (``stream_``) frame by frame."""
        return finished_metrics(
            model, self.stores[clip], self.final_split, streaming=streaming, device=device
        )

    def example(self, clip: ClipShape) -> NDArray[np.uint8]:
        """Return frames (T, size, size, 3) of one real video, for comparing an export with its network."""
        split = self.stores[clip].split(self.final_split)
        pixels = evaluation_batch(split, range(1), clip.frames, clip.size)[0].permute(1, 2, 3, 0)
        frames: NDArray[np.uint8] = (pixels * 255).round().byte().numpy()
        return frames


def final_split(dataset: Dataset) -> str:
    """Return the split that finished networks are measured on: ``test`` if there is one, else ``val``.

    Args:
        dataset: the videos that can be read: a test split of which none can be read is none.
    """
    return "test" if dataset.items.get("test") else "val"


def finished_metrics(
    model: nn.Module, data: PreparedData, split: str, *, streaming: bool, device: str = "cpu"
) -> dict[str, float]:
    """Return top-1, top-5 and loss of a finished network, on whole clips and (``stream_``) frame by frame."""
    whole = evaluate(model, data, split, device=device)
    metrics = {"top1": whole.score, "top5": whole.top5, "loss": whole.loss, "clips": float(whole.count)}
    metrics |= whole.more
    if streaming:
        stepped = evaluate(model, data, split, streaming=True, device=device)
        metrics |= {"stream_top1": stepped.score, "stream_top5": stepped.top5}
    return metrics
