"""The effort that a measurement spends on a candidate."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from search_space.errors import SettingsError

_KEY = re.compile(r"e(\d+)-f(\d+)-s(\d+)-p(\d+(?:\.\d+)?)(?:-w(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True, order=True)
class Fidelity:
    """``epochs`` of training on ``share`` of the training clips, each ``frames`` of ``size`` x ``size``
    pixels, by a network with ``width`` times its channels.

    It is part of a measurement's identity: two accuracies are comparable only at the same fidelity.

    Raises:
        SettingsError: a number is out of range.
    """

    epochs: int
    frames: int
    size: int
    share: float = 1.0
    width: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "frames", "size"):
            if getattr(self, name) < 1:
                raise SettingsError(
                    f"fidelity: {name} is {getattr(self, name)}", hint="it must be at least 1"
                )
        for name in ("share", "width"):
            if not 0 < getattr(self, name) <= 1:
                raise SettingsError(
                    f"fidelity: {name} is {getattr(self, name)}", hint="it is a fraction above 0, up to 1"
                )

    @property
    def key(self) -> str:
        """A word such as ``e4-f16-s48-p100``: epochs, frames, size, percent of the clips.

        The percentage of the channels follows, such as ``-w50``, unless it is 100.
        """
        width = "" if self.width == 1 else f"-w{_percent(self.width)}"
        return f"e{self.epochs}-f{self.frames}-s{self.size}-p{_percent(self.share)}{width}"

    @classmethod
    def parse(cls, key: str) -> Fidelity:
        """Read a ``key``; raise SettingsError for anything else."""
        match = _KEY.fullmatch(key)
        if match is None:
            raise SettingsError(f"{key!r} is not a fidelity", hint="it looks like e4-f16-s48-p100")
        epochs, frames, size, share, width = match.groups()
        fractions = (round(float(percent) / 100, 8) for percent in (share, width or "100"))
        return cls(int(epochs), int(frames), int(size), *fractions)

    def after(self, epochs: int) -> Fidelity:
        """Return the fidelity that is spent after some of the epochs."""
        return replace(self, epochs=epochs)


FidelityKey = Annotated[Fidelity, PlainValidator(Fidelity.parse), PlainSerializer(lambda f: f.key, str)]
"""A fidelity that stands in a JSON form as its key."""


def _percent(fraction: float) -> str:
    return f"{round(fraction * 100, 6):.10g}"
