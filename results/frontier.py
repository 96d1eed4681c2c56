"""The frontier: which measured networks no other one beats, in accuracy and multiply-adds at once."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from results.measurements import MeasurementLike, fidelities, is_measured, of_purpose, schedule
from searcher.pareto import hypervolume, non_dominated


@dataclass(frozen=True, slots=True)
class FrontierMember:
    """One architecture as measured at one fidelity: a point of the plot.

    Args:
        architecture: its one-line text.
        digest: its identity.
        macs: multiply-adds of a clip.
        accuracy: mean top-1 over the seeds, a fraction.
        spread: sample standard deviation over the seeds, a fraction; 0 for one seed, which says nothing of
            it.
        seeds: number of trainings behind the mean.
        fidelity: key of a fidelity with the schedule that it was measured at.
        parameters: trainable parameters.
        state_bytes: bytes of stream state.
    """

    architecture: str
    digest: str
    macs: int
    accuracy: float
    spread: float
    seeds: int
    fidelity: str
    parameters: int
    state_bytes: int


def candidates(measurements: Iterable[MeasurementLike], fidelity: str) -> list[FrontierMember]:
    """Every architecture measured at ``fidelity``, averaged over its seeds, in order of first appearance."""
    seeds: defaultdict[str, dict[int, MeasurementLike]] = defaultdict(dict)
    for measurement in measurements:
        if schedule(measurement.fidelity.key) == schedule(fidelity) and is_measured(measurement):
            seeds[measurement.digest][measurement.seed] = measurement
    return [_average(list(repeats.values()), fidelity) for repeats in seeds.values()]


def _average(repeats: Sequence[MeasurementLike], fidelity: str) -> FrontierMember:
    first = repeats[0]
    accuracies = [m.metrics["top1"] for m in repeats]
    return FrontierMember(
        architecture=first.architecture,
        digest=first.digest,
        macs=int(first.metrics["macs"]),
        accuracy=statistics.fmean(accuracies),
        spread=statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        seeds=len(accuracies),
        fidelity=fidelity,
        parameters=int(first.metrics.get("parameters", 0)),
        state_bytes=int(first.metrics.get("state_bytes", 0)),
    )


def pareto(members: Sequence[FrontierMember]) -> list[FrontierMember]:
    """The members that no other one dominates, by rising multiply-adds and so by rising accuracy.

    Of members equal in both, the one measured first stays.
    """
    if not members:
        return []
    points = np.array([[1.0 - m.accuracy, float(m.macs)] for m in members])
    kept = [member for member, keep in zip(members, non_dominated(points), strict=True) if keep]
    distinct = {(m.macs, m.accuracy): m for m in reversed(kept)}
    return sorted(distinct.values(), key=lambda m: m.macs)


def frontier(
    measurements: Iterable[MeasurementLike], purpose: str = "search", fidelity: str | None = None
) -> list[FrontierMember]:
    """The frontier of the measurements made for ``purpose``.

    Measurements of different fidelities are never compared with each other.

    Args:
        measurements: from one record, or from several merged.
        purpose: ``search`` gives the provisional frontier, ``confirmation`` the confirmed one.
        fidelity: key of one with the schedule to compare at; by default the most thorough one measured.

    Returns:
        members by rising multiply-adds; empty if nothing was measured.
    """
    made = of_purpose(measurements, purpose)
    known = fidelities(made)
    if not known:
        return []
    return pareto(candidates(made, fidelity or known[-1].key))


def latest(measurements: Iterable[MeasurementLike], purpose: str = "search") -> list[FrontierMember]:
    """Every architecture measured for ``purpose``, each at the most thorough fidelity that it reached."""
    made = of_purpose(measurements, purpose)
    best: dict[str, FrontierMember] = {}
    for fidelity in fidelities(made):
        best.update({member.digest: member for member in candidates(made, fidelity.key)})
    return list(best.values())


@dataclass(frozen=True, slots=True)
class Progress:
    """Hypervolume after each evaluation, in [0, 1].

    Args:
        evaluations: 1, 2, ... one for each measurement made in the search, at whichever fidelity.
        architectures: number of distinct architectures measured by then.
        hypervolume: the dominated share of the box of accuracy 0 to 1 and log multiply-adds from the cheapest
            measured network to the dearest, and a tenth of that range beyond.
        seconds: training time spent by then, summed over the workers.
    """

    evaluations: tuple[int, ...]
    architectures: tuple[int, ...]
    hypervolume: tuple[float, ...]
    seconds: tuple[float, ...]


def progress(measurements: Iterable[MeasurementLike], purpose: str = "search") -> Progress:
    """How the dominated hypervolume grew; every rung's measurement counts as an evaluation."""
    made = [m for m in of_purpose(measurements, purpose) if is_measured(m)]
    if not made:
        return Progress((), (), (), ())
    logs = [math.log10(m.metrics["macs"]) for m in made]
    # A tenth beyond the dearest network, which would otherwise add no volume however accurate it is.
    low, width = min(logs), max(1.1 * (max(logs) - min(logs)), 1e-9)
    reference = (1.0, 1.0)
    front = np.empty((0, 2))
    volume, spent = 0.0, 0.0
    seen: set[str] = set()
    volumes, architectures, seconds = [], [], []
    for measurement, log in zip(made, logs, strict=True):
        point = np.array([1.0 - measurement.metrics["top1"], (log - low) / width])
        # Only a point that enters the front changes the volume; most do not, so long records stay quick.
        if not bool(np.any(np.all(front <= point, axis=1))):
            front = np.vstack([front[~np.all(front >= point, axis=1)], point])
            volume = float(hypervolume(front, reference))
        seen.add(measurement.digest)
        spent += measurement.seconds
        volumes.append(volume)
        architectures.append(len(seen))
        seconds.append(spent)
    return Progress(tuple(range(1, len(made) + 1)), tuple(architectures), tuple(volumes), tuple(seconds))


def knee(members: Sequence[FrontierMember]) -> FrontierMember | None:
    """The member farthest above the line between the two ends, over log multiply-adds; None below three."""
    front = pareto(members)
    if len(front) < 3:
        return None
    first, last = front[0], front[-1]
    width, height = math.log(last.macs / first.macs), last.accuracy - first.accuracy

    def above(member: FrontierMember) -> float:
        return (member.accuracy - first.accuracy) / height - math.log(member.macs / first.macs) / width

    return max(front[1:-1], key=above)


def within(
    members: Sequence[FrontierMember], budgets: Mapping[str, float]
) -> dict[str, FrontierMember | None]:
    """The most accurate member at or below each budget of multiply-adds; None where there is none."""
    front = pareto(members)
    return {
        name: max((m for m in front if m.macs <= budget), key=lambda m: m.accuracy, default=None)
        for name, budget in budgets.items()
    }
