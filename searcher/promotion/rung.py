"""What candidates spend up to a rung: epochs, and parts of the clips, frames, pixels and channels."""

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
    """A rung of the search; in a file it is a number of epochs, or these by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(strict=True, ge=1)] = Field(description="of the schedule, up to here")
    share: Part = Field(default=1.0, description="of the training clips of each class")
    frames: Part = Field(default=1.0, description="of the network's own clip")
    size: Part = Field(default=1.0, description="of the network's own clip")
    width: Part = Field(default=1.0, description="of the network's channels")

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
        """Of clips, frames, size and width."""
        return self.share, self.frames, self.size, self.width

    def clip(self, own: ClipShape) -> ClipShape:
        """What a network sees that is made for clips of ``own``."""
        frames, size = round(own.frames * self.frames), round(own.size * self.size)
        return ClipShape(max(1, frames), max(1, size), own.fps)

    def fidelity(self, own: ClipShape) -> Fidelity:
        """What a network has spent at this rung that is made for clips of ``own``."""
        clip = self.clip(own)
        return Fidelity(self.epochs, clip.frames, clip.size, self.share, self.width)


def require_rising(rungs: Sequence[Rung]) -> None:
    """Raises ValueError unless every rung has more epochs than the one before, and no smaller part."""
    for before, after in pairwise(rungs):
        if after.epochs <= before.epochs:
            raise ValueError("rungs must increase, such as [2, 4, 8]")
        if any(low > high for low, high in zip(before.parts, after.parts, strict=True)):
            raise ValueError("share, frames, size and width must not shrink from rung to rung")
