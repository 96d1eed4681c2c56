"""The settings of the videos to train on, and the one way from them to a ``Dataset``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proxy_train.data import moving_digits
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.data.formats.listing import Listing, split_items
from proxy_train.data.formats.modalities import two_cameras
from proxy_train.data.formats.registry import FORMATS, detect
from proxy_train.data.formats.request import Column, Request
from search_space.collection import without_collection
from search_space.errors import SettingsError
from search_space.files import DEFAULT_CACHE
from search_space.progress import ProgressCallback, ignore_progress

_LOG = logging.getLogger(__name__)
MARGIN = 0.125  # fraction of the clip's side that is kept around it for random crops

Kind = Literal[
    "moving-digits",
    "auto",
    "folder",
    "list",
    "kinetics",
    "something-something",
    "epic-kitchens",
    "charades",
    "moments-in-time",
    "ucf101",
    "hmdb51",
]


class DataSettings(BaseModel):
    """The ``data`` part of a run's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = Field(
        default="moving-digits",
        description="the embedded data set, or your videos' format; auto tells by the annotation files",
    )
    preset: Literal["default", "tiny", "medium", "hard", "graded"] = Field(
        default="default", description="preset of MovingDigits-16"
    )
    root: Path | None = Field(default=None, description="the folder of your videos")
    annotations: Path | None = Field(
        default=None, description="file or folder of the annotations; by default they are looked for in root"
    )
    split: int = Field(default=1, ge=1, le=3, description="number of the official split of UCF101 or HMDB51")
    frame_rate: float = Field(
        default=25.0, gt=0, description="frames a second of folders of images, if no annotation tells"
    )
    columns: tuple[Column, ...] = Field(
        default=(),
        description="columns of lists without a header, from the left, such as [path, frames, label];"
        " by default numbers of frames are told from labels by counting images",
    )
    segments: bool = Field(
        default=False, description="Charades: train on each action's stretch, not on whole videos"
    )
    cache: Path = Field(default=DEFAULT_CACHE, description="folder of made and prepared data")
    flips: bool = Field(
        default=True,
        description="a mirrored video keeps its label; never so in MovingDigits-16, Something-Something",
    )
    seconds: float | None = Field(
        default=None,
        gt=0,
        description="seconds that are kept of each video, around its middle; by default 10, of Charades 40",
    )
    broken: Literal["skip", "refuse"] = Field(
        default="skip", description="treatment of videos that cannot be read"
    )
    seed: int = Field(default=0, ge=0, description="seed of MovingDigits-16's clips")
    source: Literal["store", "videos"] = Field(
        default="store",
        description="videos decodes each clip on demand, for data too large to be stored as frames",
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _words(cls, columns: Any) -> Any:
        return tuple(columns.split()) if isinstance(columns, str) else columns

    @field_validator("columns")
    @classmethod
    def _with_a_path(cls, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        named = [column for column in columns if column != "-"]
        if columns and (columns.count("path") != 1 or len(set(named)) != len(named)):
            raise ValueError(
                "data.columns has one path and every other column once, such as [path, frames, label]"
            )
        return columns

    @model_validator(mode="after")
    def _root_where_needed(self) -> Self:
        if self.kind != "moving-digits" and self.root is None:
            raise ValueError(f"data.root is needed for kind {self.kind}: the folder of the videos")
        if self.kind == "moving-digits" and (self.root is not None or self.annotations is not None):
            raise ValueError("data.root is for your own videos: set data.kind to auto, folder, list, ...")
        return self

    @property
    def cache_folder(self) -> Path:
        """``cache`` with the home folder filled in, absolute."""
        return self.cache.expanduser().absolute()

    @classmethod
    def parse(
        cls, text: str, *, cache: Path, annotations: Path | None = None, on_demand: bool = False
    ) -> DataSettings:
        """Return settings from ``moving-digits[:preset]``, a folder, or ``format:folder``.

        Args:
            text: name of the data set.
            cache: folder of made and prepared data.
            annotations: file or folder of the annotations.
            on_demand: read clips from the videos, not from a store.

        Raises:
            SettingsError: there is no such preset or folder.
        """
        kind, _, rest = text.partition(":")
        source = "videos" if on_demand else "store"
        if kind == "moving-digits":
            if rest not in ("", *moving_digits.PRESETS):
                known = ", ".join(f"moving-digits:{name}" for name in moving_digits.PRESETS)
                raise SettingsError(f"there is no data set {text!r}", hint=f"use moving-digits, {known}")
            return cls.model_validate({"preset": rest or "default", "cache": cache, "source": source})
        named = kind in FORMATS and rest
        root = Path(rest if named else text).expanduser()
        if not root.is_dir():
            raise SettingsError(
                f"--data {text}: there is no such folder", hint="give a folder of videos, or format:folder"
            )
        given = {"kind": kind if named else "auto", "root": root, "annotations": annotations}
        return cls.model_validate(given | {"cache": cache, "source": source})


def load_dataset(
    settings: DataSettings,
    *,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
    trainable: bool = True,
) -> Dataset:
    """List the videos of a data set; write MovingDigits-16 first if it does not exist yet.

    Args:
        settings: the settings of the data.
        workers: processes that write MovingDigits-16.
        progress: callback that gets the number of clips that are written.
        trainable: require what training needs; otherwise, a data set of one class or split is listed too.

    Raises:
        DataError: no videos, fewer than two classes, annotations that cannot be read, or a folder that cannot
            be read or written.
    """
    if settings.kind == "moving-digits":
        return moving_digits.load(
            settings.preset, settings.cache_folder, seed=settings.seed, workers=workers, progress=progress
        )
    with without_collection():
        dataset = _list_videos(settings)
    if trainable:
        # Once by whatever trains on the data; a check tells it among its findings.
        _LOG.warning("%s is read as: %s", dataset.name, "; ".join(dataset.notes))
        dataset.require_trainable()
    return dataset


def _list_videos(settings: DataSettings) -> Dataset:
    assert settings.root is not None, "validated with the settings"
    root = settings.root.expanduser()
    annotations = None if settings.annotations is None else settings.annotations.expanduser()
    request = Request(
        root, annotations, settings.split, settings.frame_rate, settings.segments, settings.columns
    )
    kind = detect(request) if settings.kind == "auto" else settings.kind
    format_ = FORMATS[kind]
    listing = format_.read(request)
    splits = split_items(listing.items, listing.groups)
    cameras = two_cameras(item for items in splits.values() for item in items)
    notes = (f"format {kind}", *listing.notes, *_hashed_splits(listing, splits), *cameras)
    return Dataset(
        root.resolve().name if root.name in ("", "..") else root.name,
        splits,
        listing.classes,
        format_.flips_change_labels or not settings.flips,
        MARGIN,
        tuple(listing.dropped),
        seconds=settings.seconds or format_.seconds,
        labels_kind=listing.kind,
        verbs=listing.verbs,
        missing=tuple(listing.missing),
        unlabelled=tuple(listing.unlabelled),
        notes=notes,
        every_class_trains=format_.every_class_trains,
    )


def _hashed_splits(listing: Listing, splits: Mapping[str, tuple[VideoItem, ...]]) -> list[str]:
    """Return which splits are made here, as neither folders nor annotations tell them."""
    given = {item.split for item in listing.items}
    made = [name for name in ("train", "val", "test") if name not in given and splits[name]]
    if not made:
        return []
    source = "all videos" if "" in given else "train"
    return [f"{', '.join(made)} by a hash of the names, a share of {source}"]
