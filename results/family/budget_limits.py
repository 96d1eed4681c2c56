"""Budgets of a family over a run's networks: shares of the slowest one, latencies that were not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from results.analysis.candidates import MeasuredNetwork
from search_space.architecture.architecture import Architecture
from search_space.cost.stopwatch import network_latency
from search_space.errors import SettingsError
from search_space.network.folding import fold
from search_space.network.model import build
from search_space.space.budgets import Budgets


def limits_over(budgets: Budgets, members: Sequence[MeasuredNetwork]) -> Mapping[str, float]:
    """Return budgets in the unit of the cost that they limit: multiply-adds, or milliseconds of a frame.

    Args:
        budgets: budgets in any unit.
        members: confirmed members that have the cost.
    """
    slowest = max((member.value(budgets.cost) for member in members), default=0.0)
    share = slowest / 100 if budgets.unit == "%" else 1.0
    return {name: limit * share for name, limit in budgets.limits.items()}


def with_latency(members: Sequence[MeasuredNetwork], classes: int) -> list[MeasuredNetwork]:
    """Return members that all have the latency of a frame; those without it are timed here.

    They are timed as a search's workers do it: in PyTorch, with one thread.

    Args:
        members: confirmed members.
        classes: number of classes.

    Raises:
        SettingsError: a network needs whole clips, so that a frame has no time.
    """
    return [member if "latency_ms" in member.metrics else _timed(member, classes) for member in members]


def _timed(member: MeasuredNetwork, classes: int) -> MeasuredNetwork:
    architecture = Architecture.parse(member.architecture)
    if not architecture.options.causal:
        raise SettingsError(
            f"{member.digest} is a base network: it has no latency of a frame",
            hint="give budgets in multiply-adds, or search for stream networks",
        )
    measured = network_latency(fold(build(architecture, classes, seed=0)), architecture.input)
    return replace(member, metrics={**member.metrics, "latency_ms": measured.median})
