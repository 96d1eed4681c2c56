"""A fidelity that means the same for networks of different clips: shares of what each is made for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from proxy_train.fidelity import Fidelity
from search_space.architecture.parts import ClipShape
from search_space.errors import SettingsError

SUPERNET = "supernet"


@dataclass(frozen=True, slots=True)
class RelativeFidelity:
    """The fidelity of a training, relative to the clip and the channels of its network.

    Args:
        epochs: epochs of the schedule.
        share: share of the training clips.
        frames: share of the frames of the network's own clip.
        size: share of the side of the network's own clip.
        width: share of the network's channels.
        shared: whether it is a supernet's training, of whose epochs every network has a part.

    Raises:
        SettingsError: a number is out of range.
    """

    epochs: int
    share: float = 1.0
    frames: float = 1.0
    size: float = 1.0
    width: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        for part in fields(self)[:-1]:
            value = getattr(self, part.name)
            if not (value >= 1 if part.name == "epochs" else 0 < value <= 1):
                raise SettingsError(
                    f"fidelity: {part.name} is {value}, which is out of range",
                    hint="give 1 or more epochs, and shares above 0, up to 1",
                )

    @classmethod
    def parse(cls, text: str) -> RelativeFidelity:
        """Read ``epochs=4,share=0.5,width=0.5``, or ``supernet``, whose epochs are those of the settings.

        Raises:
            SettingsError: the text is of another form.
        """
        if text.strip() == SUPERNET:
            return cls(1, shared=True)
        names = {part.name for part in fields(cls)[:-1]}
        try:
            pairs = dict(part.strip().split("=") for part in text.split(","))
            values: dict[str, Any] = {k: int(v) if k == "epochs" else float(v) for k, v in pairs.items()}
        except ValueError:
            values = {}
        if "epochs" not in values or not values.keys() <= names:
            raise SettingsError(
                f"{text!r} is not a fidelity",
                hint="write epochs=4, and optionally share=, frames=, size=, width= from 0 to 1; or supernet",
            )
        return cls(**values)

    @property
    def work(self) -> float:
        """About the work of a training, where one epoch of the whole is 1: channels count twice.

        That of a network in a supernet is 0: it is only measured.
        """
        if self.shared:
            return 0.0
        return self.epochs * self.share * self.frames * self.size**2 * self.width**2

    @property
    def text(self) -> str:
        """The fidelity as ``parse`` reads it, without shares of 1."""
        if self.shared:
            return SUPERNET
        parts = {part.name: getattr(self, part.name) for part in fields(self)[:-1]}
        return ",".join(f"{k}={v:g}" for k, v in parts.items() if k == "epochs" or v != 1)

    def to_json(self) -> dict[str, Any]:
        """Return JSON types; what is not shared says so by leaving it out."""
        return {key: value for key, value in asdict(self).items() if key != "shared" or value}

    def fidelity(self, clip: ClipShape) -> Fidelity:
        """Return the fidelity for a network that is made for ``clip``."""
        frames, size = max(1, round(clip.frames * self.frames)), max(1, round(clip.size * self.size))
        return Fidelity(self.epochs, frames, size, self.share, self.width)
