"""A fidelity that holds for networks of any clip: shares of their own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from proxy_train.fidelity import Fidelity
from search_space.architecture.parts import ClipShape
from search_space.errors import SettingsError


@dataclass(frozen=True, slots=True)
class RelativeFidelity:
    """The fidelity of a training, relative to the clip and the channels of its network.

    Args:
        epochs: epochs of the schedule.
        share: share of the training clips.
        frames: share of the frames of the network's own clip.
        size: share of the side of the network's own clip.
        width: share of the network's channels.

    Raises:
        SettingsError: a number is out of range.
    """

    epochs: int
    share: float = 1.0
    frames: float = 1.0
    size: float = 1.0
    width: float = 1.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not (value >= 1 if part.name == "epochs" else 0 < value <= 1):
                raise SettingsError(
                    f"fidelity: {part.name} is {value}, which is out of range",
                    hint="give 1 or more epochs, and shares above 0, up to 1",
                )

    @classmethod
    def parse(cls, text: str) -> RelativeFidelity:
        """Read ``epochs=4,share=0.5,width=0.5``.

        Raises:
            SettingsError: the text is of another form.
        """
        names = {part.name for part in fields(cls)}
        try:
            pairs = dict(part.strip().split("=") for part in text.split(","))
            values: dict[str, Any] = {k: int(v) if k == "epochs" else float(v) for k, v in pairs.items()}
        except ValueError:
            values = {}
        if "epochs" not in values or not values.keys() <= names:
            raise SettingsError(
                f"{text!r} is not a fidelity",
                hint="write epochs=4, and optionally share=, frames=, size=, width= from 0 to 1",
            )
        return cls(**values)

    def fidelity(self, clip: ClipShape) -> Fidelity:
        """Return the fidelity for a network that is made for ``clip``."""
        frames, size = max(1, round(clip.frames * self.frames)), max(1, round(clip.size * self.size))
        return Fidelity(self.epochs, frames, size, self.share, self.width)
