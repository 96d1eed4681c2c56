"""Which candidates go on to a longer training: asynchronous successive halving by Pareto rank.

Halving by accuracy alone throws away the small half of the frontier. Here a rung keeps a share of its
candidates by non-dominated sort of (accuracy, log multiply-adds), ties on a front by crowding; and each
stratum of the cost range keeps at least one. Whoever is held can still be promoted later, when a rung knows
more and keeps more. Pure arithmetic over a rung's results: the same results give the same decision, on a
cluster, in a simulation, or after a restart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from searcher.candidate import Decision
from searcher.pareto import best_first, ranks

STRATA = 6
SURPLUS = 1.5
"""Fronts move while a rung fills, and a search gets better: up to so many times the share goes on in all."""


@dataclass(frozen=True, slots=True)
class RungResult:
    """What a rung knows about candidate ``number``: its accuracy there (NaN if it failed), and its cost."""

    number: int
    accuracy: float
    macs: float


class ParetoHalving:
    """Asynchronous successive halving over (accuracy, multiply-adds).

    Args:
        rungs: epochs at which candidates are measured, increasing.
        reduction: one in ``reduction`` candidates of a rung goes on to the next.
        low: least multiply-adds of the search.
        high: most multiply-adds of the search.
        strata: how many equal parts of log multiply-adds keep a survivor each.
    """

    def __init__(
        self, rungs: Sequence[int], reduction: int, low: float, high: float, strata: int = STRATA
    ) -> None:
        self.rungs = tuple(rungs)
        self.reduction = reduction
        self._low, self._span = math.log(low), max(math.log(high / low), 1e-9)
        self._strata = strata

    def stratum(self, macs: float) -> int:
        """The part of the cost range that ``macs`` is in, from 0."""
        part = int((math.log(macs) - self._low) / self._span * self._strata)
        return min(max(part, 0), self._strata - 1)

    def survivors(
        self,
        rung: int,
        results: Sequence[RungResult],
        promoted: Collection[int] = (),
        *,
        complete: bool = False,
    ) -> dict[int, str]:
        """The candidates of a rung that may go on, by what is known there now.

        A rung waits until it knows enough for one of its candidates to be expected at the top: the first of a
        few are always on their front. The share is of those measured so far. The best of a moment are not the
        best in the end, so up to ``SURPLUS`` times as many go on, and whoever finds no room is held.

        Args:
            rung: index of the rung, below the last.
            results: all results at the rung, in any order.
            promoted: numbers that have gone on from this rung before, whatever is known now.
            complete: no more results will come, so that a stratum with few of them gets its survivor, too.

        Returns:
            The reason in words by the candidate's number, the best first.
        """
        valid = sorted(
            (each for each in results if not math.isnan(each.accuracy)), key=lambda each: each.number
        )
        needed = 1 if complete else self.reduction ** (len(self.rungs) - 1 - rung)
        if len(valid) < needed:
            return {}
        points = np.array([(-each.accuracy, math.log(each.macs)) for each in valid])
        front, order = ranks(points), best_first(points)
        keep = math.ceil(len(valid) / self.reduction)
        place = {int(index): position for position, index in enumerate(order, start=1)}
        room = math.ceil(SURPLUS * len(valid) / self.reduction) - len(promoted)
        found: dict[int, str] = {}
        for index in order[:keep].tolist():
            number = valid[index].number
            room -= number not in promoted
            if number in promoted or room >= 0:
                found[number] = (
                    f"front {front[index] + 1}, place {place[index]} of {len(valid)}: {keep} go on"
                )
        return found | self._guard([valid[index] for index in order.tolist()], {*promoted, *found}, complete)

    def _guard(self, ordered: Sequence[RungResult], safe: Collection[int], complete: bool) -> dict[int, str]:
        """The best of each stratum from which nobody goes on."""
        members: dict[int, list[RungResult]] = {}
        for each in ordered:
            members.setdefault(self.stratum(each.macs), []).append(each)
        return {
            group[0].number: f"the best of {len(group)} in cost stratum {stratum + 1} of {self._strata}"
            for stratum, group in sorted(members.items())
            if (complete or len(group) >= self.reduction) and not any(each.number in safe for each in group)
        }

    def decide(
        self, rung: int, number: int, results: Sequence[RungResult], promoted: Collection[int] = ()
    ) -> Decision:
        """Whether candidate ``number``, whose result is among ``results``, goes on at once.

        One that does not is held: it may still be promoted when more is known.
        """
        accuracy = next(each.accuracy for each in results if each.number == number)
        if math.isnan(accuracy):
            return Decision(False, "its accuracy is not a number")
        found = self.survivors(rung, results, promoted)
        if number in found:
            return Decision(True, found[number])
        return Decision(False, f"not among the {len(found)} of {len(results)} that go on")
