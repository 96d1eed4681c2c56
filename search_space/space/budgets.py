"""Budgets of a family: multiply-adds, milliseconds of a frame, or a share of the slowest network's time.

The command line, a run's settings and the profile of a space read them alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from search_space.errors import SettingsError

Unit = Literal["macs", "ms", "%"]
MEMBERS = ("A0", "A1", "A2", "A3", "A4", "A5")
ENSEMBLE = "A6"
"""Name of the ensemble of a family's two largest networks; it has no budget of its own."""
PAPER: Mapping[str, float] = dict(zip(MEMBERS, (2.71e9, 6.02e9, 10.3e9, 56.9e9, 105e9, 281e9), strict=True))
"""Multiply-adds of the paper's family (Kondratyuk et al. 2021, Table 2, there GFLOPs); A6 is the ensemble."""

_HINT = "write NAME=2e6 (multiply-adds), NAME=5ms (of a frame), NAME=25% (of the slowest network), or paper"
_VALUE = re.compile(r"([0-9.eE+-]+)\s*(ms|%)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that one named network of a family may cost.

    Args:
        name: name of the network, such as ``A0`` or ``phone``.
        value: upper limit of its cost, in the unit.
        unit: ``macs`` for multiply-adds of a clip, ``ms`` for milliseconds of a frame, ``%`` for a percentage
            of the time of the slowest confirmed network.

    Raises:
        SettingsError: the name cannot be that of a folder, or belongs to the ensemble; or the value is not a
            positive number.
    """

    name: str
    value: float
    unit: Unit = "macs"

    def __post_init__(self) -> None:
        if self.name == ENSEMBLE:
            raise SettingsError(
                f"the family budgets name {ENSEMBLE}",
                hint="that is the ensemble of the two largest; leave it out",
            )
        if not _NAME.fullmatch(self.name):
            raise SettingsError(
                f"the family budgets name {self.name!r}",
                hint="a name is made of letters, digits, '.', '_' and '-'",
            )
        if not (math.isfinite(self.value) and self.value > 0):
            raise SettingsError(
                f"the family budget {self.name} is {self.value}", hint="give a number above 0"
            )


def parse_budget(text: str) -> Budget:
    """Read a budget such as ``A0=2e6``, ``phone=5ms`` or ``A1=25%``.

    Raises:
        SettingsError: the text is not a budget.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"{text!r} is not a budget", hint=_HINT)
    return read_budget(name.strip(), value)


def read_budget(name: str, value: float | str) -> Budget:
    """Read a budget whose name and value stand apart, as in a settings file: ``phone: 5ms``.

    Args:
        name: name of the network.
        value: a plain number of multiply-adds, or a text with a unit.

    Raises:
        SettingsError: the value is not one of a budget.
    """
    match = _VALUE.fullmatch(str(value).strip())
    try:
        number, unit = match.groups() if match else ("", None)
        limit = float(number)
    except ValueError:
        raise SettingsError(f"budget {name}={value} cannot be read", hint=_HINT) from None
    return Budget(name, limit, "ms" if unit == "ms" else "%" if unit == "%" else "macs")


@dataclass(frozen=True, slots=True)
class Budgets:
    """Budgets of a family, all in one unit.

    Args:
        limits: upper limits by the network's name.
        unit: unit of all limits; see :class:`Budget`.
    """

    limits: Mapping[str, float]
    unit: Unit = "macs"

    @classmethod
    def of(cls, budgets: Sequence[Budget]) -> Budgets:
        """Return several budgets as one mapping; of two with one name the last counts.

        Raises:
            SettingsError: their units differ.
        """
        units = dict.fromkeys(budget.unit for budget in budgets)
        if len(units) > 1:
            raise SettingsError(
                f"budgets have several units: {', '.join(sorted(units))}", hint="give all in one"
            )
        return cls({budget.name: budget.value for budget in budgets}, next(iter(units), "macs"))

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Budgets:
        """Read the values of the option ``--budget``, one a network, or ``paper`` alone.

        Raises:
            SettingsError: a text is not a budget, or units differ.
        """
        return cls(PAPER) if list(texts) == ["paper"] else cls.of([parse_budget(text) for text in texts])

    @classmethod
    def read(cls, content: Mapping[str, float | str] | str) -> Budgets:
        """Read budgets from a settings file: a mapping by name, or ``paper``.

        Raises:
            SettingsError: a value is not a budget, or units differ.
        """
        if isinstance(content, str):
            return cls.parse([content])
        return cls.of([read_budget(name, value) for name, value in content.items()])

    def to_settings(self) -> dict[str, float | str]:
        """Return the budgets as a settings file has them; :meth:`read` reads them back."""
        unit = "" if self.unit == "macs" else self.unit
        return {name: f"{limit:.12g}{unit}" if unit else limit for name, limit in self.limits.items()}

    @property
    def macs(self) -> Mapping[str, float] | None:
        """Limits in multiply-adds; None if the budgets are in another unit."""
        return self.limits if self.unit == "macs" else None

    @property
    def cost(self) -> Literal["macs", "latency"]:
        """Objective that is limited."""
        return "macs" if self.unit == "macs" else "latency"
