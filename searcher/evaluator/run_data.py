"""The videos of a run: prepared once for each input of its space, and what the driver does with them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from proxy_train.clips.augmentation import evaluation_batch
from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.evaluation import evaluate
from proxy_train.store.prepared_data import PreparedData, prepare
from search_space.architecture.parts import ClipShape
from search_space.errors import SettingsError
from search_space.space.space import SearchSpace
from searcher.cluster.machine import cpus
from searcher.evaluator.video_evaluator import inputs
from searcher.promotion.rung import Rung

_LOG = logging.getLogger(__name__)

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class RunData:
    """A data set, decoded for every clip that the networks of a run take.

    Args:
        dataset: as listed.
        stores: prepared data by input.
        smaller: of the smaller clips that candidates see at lower rungs.
    """

    dataset: Dataset
    stores: Mapping[ClipShape, PreparedData]
    smaller: Mapping[ClipShape, PreparedData] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        settings: DataSettings,
        space: SearchSpace,
        *,
        workers: int,
        making: Report,
        preparing: Report,
        rungs: Sequence[Rung] = (),
    ) -> RunData:
        """List the videos (or make MovingDigits-16), and decode them; at once if an earlier run did.

        Args:
            settings: which videos.
            space: whose inputs to decode them for.
            workers: processes that decode.
            making: told of the clips of MovingDigits-16 that are made.
            preparing: told of the videos that are decoded.
            rungs: whose smaller clips they are decoded for as well.

        Raises:
            DataError: no usable videos.
        """
        dataset = load_dataset(settings, workers=workers, progress=making)
        wanted = inputs(space)
        smaller = {rung.clip(clip) for rung in rungs for clip in wanted} - set(wanted)
        prepared = {
            clip: prepare_clip(dataset, settings, clip, workers, preparing)
            for clip in (*wanted, *sorted(smaller, key=str))
        }
        stores, others = ({clip: prepared[clip] for clip in clips} for clips in (wanted, smaller))
        return cls(dataset, stores, others)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        return self.dataset.classes

    def write_report(self, folder: Path) -> None:
        """Writes the class map and the list of what is not used: ``classes.json``, ``left_out.json``."""
        broken = {entry for data in self.stores.values() for entry in data.broken}
        self.dataset.write_report(folder, tuple(sorted(broken)))

    @property
    def paths(self) -> dict[ClipShape, Path]:
        """Folders of the prepared data, as workers open them."""
        return {clip: data.path for clip, data in (*self.stores.items(), *self.smaller.items())}

    @property
    def final_split(self) -> str:
        """What finished networks are measured on: ``test``, which no choice has seen, or else ``val``."""
        return final_split(self.dataset)

    def measure(
        self, model: nn.Module, clip: ClipShape, *, streaming: bool, device: str = "cpu"
    ) -> dict[str, float]:
        """Top-1, top-5 and loss of a finished network, whole clips and (``stream_``) frame by frame."""
        return finished_metrics(
            model, self.stores[clip], self.final_split, streaming=streaming, device=device
        )

    def example(self, clip: ClipShape) -> NDArray[np.uint8]:
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
    metrics = {"top1": found.score, "top5": found.top5, "loss": found.loss, "clips": float(found.count)}
    metrics |= found.more
    if streaming:
        stepped = evaluate(model, data, split, streaming=True, device=device)
        metrics |= {"stream_top1": stepped.score, "stream_top5": stepped.top5}
    return metrics


def prepare_clips(
    settings: DataSettings, space: str | None, clips: Sequence[str], progress: Report
) -> Iterator[str]:
    """Prepares a data set ahead of a run, and says for each clip where, and how many videos there are.

    Args:
        settings: which videos.
        space: a preset's name or a YAML file, whose clips are prepared.
        clips: more of them, as FRAMESxSIZExFPS.
        progress: told of the videos that are decoded.

    Raises:
        SettingsError: no clip is given, or one that is none. DataError: no usable videos.
    """
    wanted = list(inputs(SearchSpace.from_yaml(space))) if space else []
    wanted += [ClipShape.parse(text) for text in clips]
    if not wanted:
        raise SettingsError("no clips to prepare", hint="give --space NAME, or --clip 8x32x4")
    dataset = load_dataset(settings, workers=cpus(), progress=progress)
    for clip in wanted:
        data = prepare_clip(dataset, settings, clip, cpus(), progress)
        counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
        yield f"{data.path}: {counts}, {len(data.broken)} unreadable, {len(dataset.missing)} missing"


def prepare_clip(
    dataset: Dataset, settings: DataSettings, clip: ClipShape, workers: int, progress: Report
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
        on_demand=settings.source == "videos",
    )
    for file, reason in data.broken:
        _LOG.warning("left out %s: %s", file, reason)
    for file, fault in data.doubtful:
        _LOG.warning("used %s: %s", file, fault)
    return data
