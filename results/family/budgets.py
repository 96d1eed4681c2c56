"""Budgets of a family as users give them: multiply-adds, milliseconds a frame, or a share of a device's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from results.analysis.candidates import FrontierMember
from search_space.architecture.architecture import Architecture
from search_space.cost.stopwatch import network_latency
from search_space.errors import SettingsError
from search_space.network.folding import fold
from search_space.network.model import build

PAPER: Mapping[str, float] = {
    "A0": 2.71e9, "A1": 6.02e9, "A2": 10.3e9, "A3": 56.9e9, "A4": 105e9, "A5": 281e9
}  # fmt: skip
"""Multiply-adds of the paper's family (Kondratyuk et al. 2021, Table 2, there GFLOPs); A6 is the ensemble."""
_HINT = "write NAME=2e6 (multiply-adds), NAME=5ms (of a frame), NAME=25% (of the slowest network), or paper"
_TEXT = re.compile(r"([^=]+)=([0-9.eE+-]+)\s*(ms|%)?")


@dataclass(frozen=True, slots=True)
class Budgets:
    """The most that each member may cost.

    Args:
        limits: by the member's name.
        unit: ``macs`` of a clip, ``ms`` of a frame, or ``%`` of the time of the slowest confirmed network.
    """

    limits: Mapping[str, float]
    unit: Literal["macs", "ms", "%"] = "macs"

    @property
    def cost(self) -> str:
        """The objective that is limited."""
        return "macs" if self.unit == "macs" else "latency"

    def over(self, members: Sequence[FrontierMember]) -> Mapping[str, float]:
        """The limits in the unit of the cost, for confirmed members whose cost is known."""
        slowest = max((m.value(self.cost) for m in members), default=0.0)
        share = slowest / 100 if self.unit == "%" else 1.0
        return {name: limit * share for name, limit in self.limits.items()}


def parse_budgets(texts: Sequence[str]) -> Budgets | None:
    """Reads what follows ``--budget``, once for each member; None if there is nothing.

    Raises:
        SettingsError: a text cannot be read, or units differ.
    """
    if not texts:
        return None
    if list(texts) == ["paper"]:
        return Budgets(PAPER)
    limits: dict[str, float] = {}
    units = set[str]()
    for text in texts:
        match = _TEXT.fullmatch(text.strip())
        try:
            name, limit, unit = match.groups() if match else ("", "", "")
            limits[name.strip()] = float(limit)
        except ValueError:
            raise SettingsError(f"--budget {text!r}", hint=_HINT) from None
        units.add(unit or "macs")
    if len(units) > 1:
        raise SettingsError(f"budgets have several units: {', '.join(sorted(units))}", hint="give all in one")
    return Budgets(limits, "ms" if units == {"ms"} else "%" if units == {"%"} else "macs")


def with_latency(members: Sequence[FrontierMember], classes: int) -> list[FrontierMember]:
    """Members with the latency of a frame; those without are timed here, in PyTorch, one thread.

    Raises:
        SettingsError: a network needs whole clips, so that a frame has no time.
    """
    return [member if "latency_ms" in member.metrics else _timed(member, classes) for member in members]


def _timed(member: FrontierMember, classes: int) -> FrontierMember:
    architecture = Architecture.parse(member.architecture)
    if not architecture.options.causal:
        raise SettingsError(
            f"{member.digest} is a base network: it has no latency of a frame",
            hint="give budgets in multiply-adds, or search for stream networks",
        )
    measured = network_latency(fold(build(architecture, classes, seed=0)), architecture.input)
    return replace(member, metrics={**member.metrics, "latency_ms": measured.median})
