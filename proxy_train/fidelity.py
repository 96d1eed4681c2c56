"""The effort that a measurement spends on a candidate."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from search_space.errors import SettingsError

_KEY = re.compile(
    r"e(\d+)-f(\d+)-s(\d+)-p(\d+(?:\.\d+)?)(?:-w(\d+(?:\.\d+)?))?(?:-i([0-9a-f]{8}))?(?:-t([0-9a-f]{8}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Fidelity:
    """``epochs`` of training on ``share`` of the training clips, each ``frames`` of ``size`` x ``size``
    pixels, by a network with ``width`` times its channels.

    ``weights`` and ``teacher`` are the first 8 digits of the digests of weights that networks inherit, and of
    a teacher's; empty if there are none. A fidelity is part of a measurement's identity: two accuracies are
    comparable only at the same fidelity.

    Raises:
        SettingsError: a number is out of range.
    """

    epochs: int
    frames: int
    size: int
    share: float = 1.0
    width: float = 1.0
    weights: str = ""
    teacher: str = ""

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

        The percentage of the channels follows, such as ``-w50``, unless it is 100, and the digests of
        inherited weights and of a teacher, after ``-i`` and ``-t``.
        """
        more = "" if self.width == 1 else f"-w{_percent(self.width)}"
        more += f"-i{self.weights}" if self.weights else ""
        more += f"-t{self.teacher}" if self.teacher else ""
        return f"e{self.epochs}-f{self.frames}-s{self.size}-p{_percent(self.share)}{more}"

    @classmethod
    def parse(cls, key: str) -> Fidelity:
        """Read a ``key``; raise SettingsError for anything else."""
        match = _KEY.fullmatch(key)
        if match is None:
            raise SettingsError(f"{key!r} is not a fidelity", hint="it looks like e4-f16-s48-p100")
        epochs, frames, size, share, width, weights, teacher = match.groups()
        shares, channels = (round(float(percent) / 100, 8) for percent in (share, width or "100"))
        numbers = int(epochs), int(frames), int(size)
        return cls(*numbers, shares, channels, weights or "", teacher or "")

    def after(self, epochs: int) -> Fidelity:
        """Return the fidelity that is spent after some of the epochs."""
        return replace(self, epochs=epochs)


FidelityKey = Annotated[Fidelity, PlainValidator(Fidelity.parse), PlainSerializer(lambda f: f.key, str)]
"""A fidelity that stands in a JSON form as its key."""


def _percent(fraction: float) -> str:
    return f"{round(fraction * 100, 6):.10g}"
