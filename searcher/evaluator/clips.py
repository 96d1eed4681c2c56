"""Data sets decoded for the clips that networks take."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.store.prepared_data import PreparedData, prepare
from search_space.architecture.parts import ClipShape
from search_space.errors import SettingsError
from search_space.progress import ProgressCallback
from search_space.space.space import SearchSpace
from searcher.cluster.machine import cpus, decoders

_LOG = logging.getLogger(__name__)


def clip_shapes(space: SearchSpace) -> tuple[ClipShape, ...]:
    """Return the shapes of the clips that networks of a space take: data is prepared for each."""
    return space.clips


def prepare_clips(
    settings: DataSettings, space: str | None, clips: Sequence[str], progress: ProgressCallback
) -> Iterator[str]:
    """Prepare a data set ahead of a run; yield a line for each clip shape, with its folder and its counts.

    Args:
        settings: settings of the data set.
        space: preset's name or YAML file of a space whose clips are prepared; None for no space.
        clips: further clip shapes, as FRAMESxSIZExFPS.
        progress: function that receives the number of videos that are decoded.

    Raises:
        SettingsError: no clip shape is given.
        ArchitectureError: a text is not a clip shape.
        DataError: there are no usable videos.
    """
    shapes = list(clip_shapes(SearchSpace.from_yaml(space))) if space else []
    shapes += [ClipShape.parse(text) for text in clips]
    if not shapes:
        raise SettingsError("no clips to prepare", hint="give --space NAME, or --clip 8x32x4")
    dataset = load_dataset(settings, workers=cpus(), progress=progress)
    for clip in shapes:
        data = prepare_clip(dataset, settings, clip, decoders(), progress)
        counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
        yield f"{data.path}: {counts}, {len(data.broken)} unreadable, {len(dataset.missing)} missing"


def prepare_clip(
    dataset: Dataset, settings: DataSettings, clip: ClipShape, workers: int, progress: ProgressCallback
) -> PreparedData:
    """Decode a data set for networks of one clip shape; log the names of the videos that are left out.

    Where no test video can be read, the log says that finished networks are measured on other ones.

    Args:
        dataset: data set as listed.
        settings: settings of the data set.
        clip: shape of the clips.
        workers: number of processes that decode.
        progress: function that receives the number of videos that are decoded.

    Raises:
        DataError: there are no usable videos, or one is unreadable and the settings refuse those; or labels,
            of all videos or of those that can be read, cannot tell networks apart.
    """
    dataset.require_scorable()
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
    data.require_scorable(dataset)
    tests = len(dataset.items.get("test", ()))
    if tests and not len(data.splits["test"]):
        _LOG.warning(
            "%s: none of its %d test videos can be read; finished networks are measured on val",
            dataset.name,
            tests,
        )
    return data
