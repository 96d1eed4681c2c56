"""How much a measurement spent on a candidate."""

from __future__ import annotations

import re
from dataclasses import dataclass

from search_space.errors import SettingsError

_KEY = re.compile(r"e(\d+)-f(\d+)-s(\d+)-p(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, order=True)
class Fidelity:
    """``epochs`` of training on ``share`` of the training clips, each ``frames`` of ``size`` x ``size``
    pixels.

    It is part of a measurement's identity: two accuracies are comparable only at the same fidelity.

    Raises:
        SettingsError: a number is out of range.
    """

    epochs: int
    frames: int
    size: int
    share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "frames", "size"):
            if getattr(self, name) < 1:
                raise SettingsError(
                    f"fidelity: {name} is {getattr(self, name)}", hint="it must be at least 1"
                )
        if not 0 < self.share <= 1:
            raise SettingsError(f"fidelity: share is {self.share}", hint="it is a fraction above 0, up to 1")

    @property
    def key(self) -> str:
        """One word that names it, such as ``e4-f16-s48-p100``: epochs, frames, size, percent of the clips."""
        return f"e{self.epochs}-f{self.frames}-s{self.size}-p{round(self.share * 100, 6):g}"

    @classmethod
    def parse(cls, key: str) -> Fidelity:
        """The inverse of ``key``; raises SettingsError for anything else."""
        match = _KEY.fullmatch(key)
        if match is None:
            raise SettingsError(f"{key!r} is not a fidelity", hint="it looks like e4-f16-s48-p100")
        epochs, frames, size, percent = match.groups()
        return cls(int(epochs), int(frames), int(size), round(float(percent) / 100, 8))
