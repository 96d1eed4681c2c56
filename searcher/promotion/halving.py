"""Which candidates go on to a longer training: asynchronous successive halving by Pareto rank.

Halving by accuracy alone throws away the small half of the frontier. Here a rung keeps the share of its
candidates that is the likeliest to lie on the front of all objectives, as ``searcher.promotion.front_chance``
works out from noisy accuracies and exact costs; those without a chance go by how far they are from it. Each
stratum of the cost range keeps at least one. Whoever is held can still be promoted later, when a rung knows
more. Pure arithmetic over a rung's results: the same results give the same decision, on a cluster, in a
simulation, or after a restart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from searcher.promotion.front_chance import front_chance, margins, smoothed
from searcher.record.candidate import Decision

STRATA = 6
SURPLUS = 1.5
"""Fronts move while a rung fills, and a search gets better: up to so many times the share goes on in all."""


@dataclass(frozen=True, slots=True)
class RungResult:
    """What a rung knows about a candidate.

    Args:
        number: of the candidate.
        values: every objective to minimise, that of accuracy first, each as
            ``Objective.to_minimise`` returns it; one that is not finite failed.
        cost: the primary cost, whose range is cut into strata.
        features: of the network, as many for every candidate; see ``searcher.promotion.features``.
        violation: of soft constraints; above 0 it is infeasible.
    """

    number: int
    values: tuple[float, ...]
    cost: float
    features: tuple[float, ...] = ()
    violation: float = 0.0

    @property
    def valid(self) -> bool:
        """Whether all values are numbers."""
        return all(map(math.isfinite, self.values))


_Smooth = tuple[dict[int, float], float]
"""Errors by number as ``front_chance.smoothed`` makes them, and their standard deviation."""


@dataclass(frozen=True, slots=True)
class _Ranking:
    """The valid results of a rung, the best first, and the chance of each to lie on the front."""

    ordered: tuple[RungResult, ...]
    chances: tuple[float, ...]

    @classmethod
    def of(cls, valid: Sequence[RungResult], smooth: _Smooth) -> _Ranking:
        means, deviation = smooth
        feasible = [each for each in valid if each.violation <= 0]
        others = sorted((each for each in valid if each.violation > 0), key=lambda each: each.violation)
        if not feasible:
            return cls(tuple(others), (0.0,) * len(others))
        points = np.array([(means[each.number], *each.values[1:]) for each in feasible])
        chances = front_chance(points[:, 0], deviation, points[:, 1:])
        order = np.lexsort((margins(points[:, 0], points[:, 1:]), -chances)).tolist()
        ordered = (*(feasible[index] for index in order), *others)
        return cls(ordered, (*chances[order].tolist(), *[0.0] * len(others)))


def _smoothed(valid: Sequence[RungResult], before: Mapping[int, float]) -> _Smooth:
    if not valid:
        return {}, 0.0
    values = np.array([each.values for each in valid])
    costs = values[:, 1:]
    features = np.array([each.features for each in valid], dtype=np.float64)
    known = all(each.number in before for each in valid)
    earlier = np.array([before[each.number] for each in valid]) if known else None
    means, deviation = smoothed(values[:, 0], np.hstack([costs, costs**2, costs**3, features]), earlier)
    return dict(zip((each.number for each in valid), means.tolist(), strict=True)), deviation


@dataclass(frozen=True, slots=True)
class _Rung:
    """What was worked out of a rung's results, and of those below it, when they were last asked for."""

    results: list[RungResult]
    smooth: _Smooth
    ranking: _Ranking


class ParetoHalving:
    """Asynchronous successive halving over all objectives.

    Args:
        rungs: epochs at which candidates are measured, increasing.
        reduction: one in ``reduction`` candidates of a rung goes on to the next.
        low: least primary cost of the search.
        high: most of it.
        strata: how many equal parts of its logarithm keep a survivor each.
    """

    def __init__(
        self, rungs: Sequence[int], reduction: int, low: float, high: float, strata: int = STRATA
    ) -> None:
        self.rungs = tuple(rungs)
        self.reduction = reduction
        self._low, self._span = math.log(low), max(math.log(high / low), 1e-9)
        self._strata = strata
        # They are asked for several times: only speed depends on it.
        self._worked_out: list[_Rung] = []

    def stratum(self, cost: float) -> int:
        """The part of the cost range that ``cost`` is in, from 0."""
        part = int((math.log(cost) - self._low) / self._span * self._strata)
        return min(max(part, 0), self._strata - 1)

    def _ranking(self, results: Sequence[Sequence[RungResult]]) -> _Ranking:
        """Of the last rung of ``results``; whatever lies above a rung that has changed is worked out anew."""
        before: Mapping[int, float] = {}
        for rung, asked in enumerate(map(list, results)):
            if rung == len(self._worked_out) or self._worked_out[rung].results != asked:
                valid = sorted((each for each in asked if each.valid), key=lambda each: each.number)
                smooth = _smoothed(valid, before)
                del self._worked_out[rung:]
                self._worked_out.append(_Rung(asked, smooth, _Ranking.of(valid, smooth)))
            before = self._worked_out[rung].smooth[0]
        return self._worked_out[len(results) - 1].ranking

    def survivors(
        self,
        results: Sequence[Sequence[RungResult]],
        promoted: Collection[int] = (),
        *,
        complete: bool = False,
    ) -> dict[int, str]:
        """The candidates of a rung that may go on, by what is known there and below it now.

        A rung waits until it knows enough for one of its candidates to be expected at the top: the first of a
        few are always on their front. The share is of those measured so far. The best of a moment are not the
        best in the end, so up to ``SURPLUS`` times as many go on, and whoever finds no room is held.

        Args:
            results: all of every rung up to this one, which is below the top; in any order within a rung.
            promoted: numbers that have gone on from this rung before, whatever is known now.
            complete: no more results will come, so that a stratum with few of them gets its survivor, too.

        Returns:
            The reason in words by the candidate's number, the best first.
        """
        rung = len(results) - 1
        valid = sum(each.valid for each in results[rung])
        needed = 1 if complete else self.reduction ** (len(self.rungs) - 1 - rung)
        if valid < needed:
            return {}
        ranking = self._ranking(results)
        keep = math.ceil(valid / self.reduction)
        room = math.ceil(SURPLUS * valid / self.reduction) - len(promoted)
        found: dict[int, str] = {}
        for place, (each, chance) in enumerate(
            zip(ranking.ordered[:keep], ranking.chances, strict=False), start=1
        ):
            room -= each.number not in promoted
            if each.number in promoted or room >= 0:
                found[each.number] = (
                    f"chance {chance:.2g} to be on the front, place {place} of {valid}: {keep} go on"
                )
        return found | self._guard(ranking.ordered, {*promoted, *found}, complete)

    def _guard(self, ordered: Sequence[RungResult], safe: Collection[int], complete: bool) -> dict[int, str]:
        """The best of each stratum from which nobody goes on."""
        members: dict[int, list[RungResult]] = {}
        for each in ordered:
            members.setdefault(self.stratum(each.cost), []).append(each)
        return {
            group[0].number: f"the best of {len(group)} in cost stratum {stratum + 1} of {self._strata}"
            for stratum, group in sorted(members.items())
            if (complete or len(group) >= self.reduction) and not any(each.number in safe for each in group)
        }

    def decide(
        self, number: int, results: Sequence[Sequence[RungResult]], promoted: Collection[int] = ()
    ) -> Decision:
        """Whether candidate ``number``, which is among the last rung of ``results``, goes on at once.

        One that does not is held: it may still be promoted when more is known.
        """
        own = next(each for each in results[-1] if each.number == number)
        if not own.valid:
            return Decision(False, "one of its objectives is not a number")
        found = self.survivors(results, promoted)
        if number in found:
            return Decision(True, found[number])
        broken = f"; its soft constraints are violated by {own.violation:.3g}" if own.violation > 0 else ""
        return Decision(False, f"not among the {len(found)} of {len(results[-1])} that go on{broken}")
