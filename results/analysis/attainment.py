"""What several runs attain: for each cost, the accuracy that all, half, or any of them reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.analysis.candidates import Floats, MeasuredNetwork
from search_space.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Surface:
    """An empirical attainment surface: the accuracy that at least ``runs`` of the runs reach at a cost.

    Args:
        label: name in words.
        runs: number of runs that reach it.
        costs: rising costs at which the surface may step up.
        accuracies: accuracies at these costs, as fractions; costs that fewer runs reach are left out.
    """

    label: str
    runs: int
    costs: tuple[float, ...]
    accuracies: tuple[float, ...]


def attainment(fronts: Sequence[Sequence[MeasuredNetwork]], cost: str = "macs") -> tuple[Surface, ...]:
    """Return the best, median and worst attainment surface of the runs' frontiers (Fonseca and Fleming 1996).

    Args:
        fronts: frontier of each run, in any order.
        cost: name of any objective but accuracy.

    Raises:
        SettingsError: there are fewer than two runs with a frontier.
    """
    filled = [front for front in fronts if front]
    if len(filled) < 2:
        raise SettingsError(
            f"attainment of {len(filled)} run{'s' if len(filled) != 1 else ''}", hint="give at least two runs"
        )
    costs = np.unique([member.value(cost) for front in filled for member in front])
    reached = np.full((len(filled), len(costs)), -np.inf)
    for row, front in zip(reached, filled, strict=True):
        for member in front:
            row[costs >= member.value(cost)] = np.maximum(row[costs >= member.value(cost)], member.accuracy)
    reached = -np.sort(-reached, axis=0)
    count = len(filled)
    levels = {1: "the best of the runs", count // 2 + 1: "more than half of the runs", count: "all runs"}
    return tuple(_surface(label, runs, costs, reached[runs - 1]) for runs, label in levels.items())


def _surface(label: str, runs: int, costs: Floats, accuracies: Floats) -> Surface:
    valid = np.isfinite(accuracies)
    return Surface(label, runs, tuple(costs[valid].tolist()), tuple(accuracies[valid].tolist()))
