"""Which videos to train on: the settings, and the one way from them to a ``Dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxy_train import folder, moving_digits
from proxy_train.pool import Progress, silent
from proxy_train.video_item import Dataset, VideoItem

__all__ = ["DataSettings", "Dataset", "VideoItem", "load_dataset"]


class DataSettings(BaseModel):
    """The ``data`` part of a run's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["moving-digits", "folder", "list"] = Field(
        default="moving-digits", description="the embedded data set, a folder of class folders, or list files"
    )
    preset: Literal["default", "tiny", "hard"] = Field(default="default", description="which MovingDigits-16")
    root: Path | None = Field(
        default=None, description="the videos: [split/]class/video for folder; train.txt, val.txt for list"
    )
    cache: Path = Field(default=Path("~/.cache/movinas"), description="where made and prepared data is kept")
    flips: bool = Field(
        default=True, description="a mirrored video keeps its label; MovingDigits-16 never allows it"
    )
    seconds: float = Field(
        default=10.0, gt=0, description="how much of each video is kept, around its middle"
    )
    broken: Literal["skip", "refuse"] = Field(
        default="skip", description="what to do about videos that cannot be read"
    )
    seed: int = Field(default=0, ge=0, description="of MovingDigits-16's clips")

    @model_validator(mode="after")
    def _root_where_needed(self) -> Self:
        if self.kind != "moving-digits" and self.root is None:
            raise ValueError(f"data.root is needed for kind {self.kind}: the folder of the videos")
        if self.kind == "moving-digits" and self.root is not None:
            raise ValueError("data.root is for your own videos: set data.kind to folder or list")
        return self

    @property
    def cache_folder(self) -> Path:
        """``cache`` with the home folder filled in, absolute."""
        return self.cache.expanduser().absolute()


def load_dataset(settings: DataSettings, *, workers: int = 1, progress: Progress = silent) -> Dataset:
    """Lists the videos, and writes MovingDigits-16 first if it is asked for and not there.

    Raises:
        DataError: no videos, fewer than two classes, an unreadable list, or a folder that cannot be read or
        written.
    """
    if settings.kind == "moving-digits":
        return moving_digits.load(
            settings.preset, settings.cache_folder, seed=settings.seed, workers=workers, progress=progress
        )
    assert settings.root is not None, "validated with the settings"
    read = folder.load_folder if settings.kind == "folder" else folder.load_lists
    found = read(settings.root.expanduser(), flips_change_labels=not settings.flips, seconds=settings.seconds)
    found.require_trainable()
    return found
