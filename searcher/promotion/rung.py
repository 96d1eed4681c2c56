"""The fidelity of a rung: epochs, and parts of the clips, frames, pixels and channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic import model_validator as validator

from proxy_train.fidelity import Fidelity
from search_space.architecture.parts import ClipShape

Part = Annotated[float, Field(gt=0, le=1)]


class Rung(BaseModel):
    """A rung of the search; in a settings file it is a number of epochs, or a mapping of these keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(strict=True, ge=1)] = Field(
        description="epochs of the schedule up to this rung"
    )
    share: Part = Field(default=1.0, description="part of the training clips of each class")
    frames: Part = Field(default=1.0, description="part of the frames of the network's clip")
    size: Part = Field(default=1.0, description="part of the side of the network's frames")
    width: Part = Field(default=1.0, description="part of the network's channels")

    @validator(mode="before")
    @classmethod
    def _number(cls, data: Any) -> Any:
        return {"epochs": data} if type(data) is int else data

    @model_serializer(mode="wrap")
    def _short(self, serialize: SerializerFunctionWrapHandler) -> Any:
        whole = all(part == 1 for part in self.parts)
        return self.epochs if whole else serialize(self)

    @property
    def parts(self) -> tuple[float, float, float, float]:
        """Parts of clips, frames, size and width."""
        return self.share, self.frames, self.size, self.width

    def clip(self, own: ClipShape) -> ClipShape:
        """Return the clip at this rung of a network that is made for clips of ``own``."""
        frames, size = round(own.frames * self.frames), round(own.size * self.size)
        return ClipShape(max(1, frames), max(1, size), own.fps)

    def fidelity(self, own: ClipShape) -> Fidelity:
        """Return the fidelity at this rung of a network that is made for clips of ``own``."""
        clip = self.clip(own)
        return Fidelity(self.epochs, clip.frames, clip.size, self.share, self.width)


def require_rising(rungs: Sequence[Rung]) -> None:
    """Check that every rung has more epochs than the one before, and no smaller part.

    Raises:
        ValueError: it has not; the settings report it with the key.
    """
    for before, after in pairwise(rungs):
        if after.epochs <= before.epochs:
            raise ValueError("rungs must increase, such as [2, 4, 8]")
        if any(low > high for low, high in zip(before.parts, after.parts, strict=True)):
            raise ValueError("share, frames, size and width must not shrink from rung to rung")
