"""The frontier: which measured networks no other one beats in all objectives at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from results.analysis.candidates import Columns, MeasuredNetwork, objective_values
from results.analysis.measurements import schedule
from searcher.objectives import DEFAULT_OBJECTIVES
from searcher.pareto import non_dominated
from searcher.record import Measurement


def candidates(measurements: Iterable[Measurement], fidelity: str) -> list[MeasuredNetwork]:
    """Return every architecture measured at ``fidelity``, averaged over its seeds."""
    columns = Columns.of(measurements)
    return list(columns.at(_index(columns, fidelity)))


def _index(columns: Columns, fidelity: str | None) -> int:
    """Return the index of a fidelity's schedule, -1 if it was not measured; None is the most thorough one."""
    if fidelity is None:
        return len(columns.fidelities) - 1
    keys = [schedule(other.key) for other in columns.fidelities]
    return keys.index(schedule(fidelity)) if schedule(fidelity) in keys else -1


def pareto(
    members: Sequence[MeasuredNetwork], objectives: Sequence[str] = DEFAULT_OBJECTIVES
) -> list[MeasuredNetwork]:
    """Return the members that no other one dominates, by rising multiply-adds.

    Of members equal in all objectives, the one measured first stays. With accuracy and multiply-adds alone,
    accuracy rises as well.

    Args:
        members: networks that were measured at one fidelity.
        objectives: two names of objectives or more; a member without one of them is left out.

    Raises:
        SettingsError: an objective is unknown, or was not measured.
    """
    if not len(members):
        return []
    points = objective_values(members, objectives)
    kept = np.flatnonzero(non_dominated(points)).tolist()
    distinct = {tuple(points[index].tolist()): index for index in reversed(kept)}
    return sorted((members[index] for index in sorted(distinct.values())), key=lambda m: m.macs)


def frontier(
    measurements: Iterable[Measurement],
    purpose: str = "search",
    fidelity: str | None = None,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
) -> list[MeasuredNetwork]:
    """Return the frontier of the measurements made for ``purpose``.

    Measurements of different fidelities are never compared with each other.

    Args:
        measurements: measurements of one record, or of several merged.
        purpose: ``search`` gives the provisional frontier, ``confirmation`` the confirmed one.
        fidelity: key of a fidelity of the schedule to compare at; by default the most thorough one.
        objectives: two names or more of ``searcher.objectives.OBJECTIVES``.

    Returns:
        The members by rising multiply-adds; empty if nothing was measured.

    Raises:
        SettingsError: an objective is unknown, or was not measured.
    """
    columns = Columns.of(measurements, purpose)
    return pareto(columns.at(_index(columns, fidelity)), objectives)


def latest(measurements: Iterable[Measurement], purpose: str = "search") -> list[MeasuredNetwork]:
    """Return every architecture measured for ``purpose``, at the most thorough fidelity that it reached."""
    return list(Columns.of(measurements, purpose).latest())


def knee(members: Sequence[MeasuredNetwork], cost: str = "macs") -> MeasuredNetwork | None:
    """Return the member farthest above the line between the two ends, over the cost's logarithm.

    Args:
        members: networks that were measured at one fidelity.
        cost: name of any objective but accuracy.

    Returns:
        The member; None if the frontier has fewer than three.
    """
    front = sorted(pareto(members, ("accuracy", cost)), key=lambda m: m.value(cost))
    if len(front) < 3:
        return None
    first, last = front[0], front[-1]
    width, height = math.log(last.value(cost) / first.value(cost)), last.accuracy - first.accuracy

    def above(member: MeasuredNetwork) -> float:
        along = math.log(member.value(cost) / first.value(cost)) / width
        return (member.accuracy - first.accuracy) / height - along

    return max(front[1:-1], key=above)


def within(
    members: Sequence[MeasuredNetwork], budgets: Mapping[str, float], cost: str = "macs"
) -> dict[str, MeasuredNetwork | None]:
    """Return the most accurate member at or below each budget of a cost; None where there is none."""
    front = pareto(members, ("accuracy", cost))
    return {
        name: max((m for m in front if m.value(cost) <= budget), key=lambda m: m.accuracy, default=None)
        for name, budget in budgets.items()
    }
