"""Promotion of candidates to longer trainings: asynchronous successive halving by Pareto rank.

Halving by accuracy alone discards the small half of the frontier. Here a rung promotes the candidates with
the greatest chance to lie on the front of all objectives (``searcher.promotion.front_chance``), then those
nearest to it, and at least one of each stratum of the cost range; a candidate that is held can be promoted
when the rung has more results. The same results give the same decision, on a cluster, in a simulation, or
after a restart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from searcher.promotion.front_chance import front_chance, margins, smoothed
from searcher.record.candidate import Decision

STRATA = 6
_DIGITS = 9
SURPLUS = 1.5
"""Most candidates that a rung promotes in all, as a multiple of its share: fronts move while a rung fills,
and a search improves."""


@dataclass(frozen=True, slots=True)
class RungResult:
    """The result of a candidate at a rung.

    Args:
        number: number of the candidate.
        values: value of every objective, to minimise, that of accuracy first (see ``Objective.to_minimise``);
            a candidate with a value that is not finite failed.
        cost: primary cost, whose range is cut into strata.
        features: features of the network, as many for every candidate; see ``searcher.promotion.features``.
        violation: violation of soft constraints; infeasible above 0.
    """

    number: int
    values: tuple[float, ...]
    cost: float
    features: tuple[float, ...] = ()
    violation: float = 0.0
    valid: bool = field(init=False, compare=False)
    """Whether all values are numbers."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "valid", all(map(math.isfinite, self.values)))


_SmoothedErrors = tuple[dict[int, float], float]
"""Smoothed errors by the candidate's number, and their standard deviation; see ``front_chance.smoothed``."""


@dataclass(frozen=True, slots=True)
class _Ranking:
    """The valid results of a rung, the best first, and the chance of each to lie on the front."""

    ordered: tuple[RungResult, ...]
    chances: tuple[float, ...]

    @classmethod
    def of(cls, valid: Sequence[RungResult], smooth: _SmoothedErrors) -> _Ranking:
        """Rank valid results: feasible ones by chance, then distance from the front; others by violation."""
        means, deviation = smooth
        feasible = [result for result in valid if result.violation <= 0]
        others = sorted(
            (result for result in valid if result.violation > 0), key=lambda result: result.violation
        )
        if not feasible:
            return cls(tuple(others), (0.0,) * len(others))
        errors = np.array([means[result.number] for result in feasible])
        costs = np.array([result.values[1:] for result in feasible])
        chances = front_chance(errors, deviation, costs)
        # Values that differ by rounding are equal: another processor must not order them otherwise.
        distances = margins(errors, costs).round(_DIGITS)
        order = np.lexsort((distances, -chances.round(_DIGITS))).tolist()
        ordered = (*(feasible[index] for index in order), *others)
        return cls(ordered, (*chances[order].tolist(), *[0.0] * len(others)))


class _FeatureRows:
    """The features of candidates as rows of one array: making one from numbers takes longer than its use."""

    def __init__(self) -> None:
        self._array: NDArray[np.float64] = np.empty((64, 0))
        self._of: dict[int, tuple[tuple[float, ...], int]] = {}

    def of(self, results: Sequence[RungResult]) -> NDArray[np.float64]:
        """Return the features of results, shape (n, features)."""
        if self._array.shape[1] != len(results[0].features):
            self._array, self._of = np.empty((64, len(results[0].features))), {}
        rows = [self._row(result) for result in results]
        return self._array[rows]

    def _row(self, result: RungResult) -> int:
        known = self._of.get(result.number)
        if known is not None and known[0] is result.features:
            return known[1]
        row = known[1] if known is not None else len(self._of)
        if row >= len(self._array):
            self._array = np.concatenate([self._array, np.empty_like(self._array)])
        self._array[row] = result.features
        self._of[result.number] = result.features, row
        return row


def _smoothed(
    valid: Sequence[RungResult], before: Mapping[int, float], rows: _FeatureRows
) -> _SmoothedErrors:
    """Smooth the errors of valid results.

    Args:
        valid: valid results of a rung.
        before: smoothed errors of the rung below, by the candidate's number.
        rows: features of the candidates.
    """
    if not valid:
        return {}, 0.0
    values = np.array([result.values for result in valid])
    costs = values[:, 1:]
    features = rows.of(valid)
    numbers = [result.number for result in valid]
    known = all(number in before for number in numbers)
    earlier = np.array([before[number] for number in numbers]) if known else None
    means, deviation = smoothed(values[:, 0], np.hstack([costs, costs**2, costs**3, features]), earlier)
    return dict(zip(numbers, means.tolist(), strict=True)), deviation


@dataclass(frozen=True, slots=True)
class _RankedRung:
    """The results of a rung, and the ranking that follows from them and from those of the rungs below."""

    results: list[RungResult]
    smooth: _SmoothedErrors
    ranking: _Ranking
    strata: Mapping[int, Sequence[RungResult]]
    """Results of each stratum, the best first."""
    stratum_of: Mapping[int, int]


class ParetoHalving:
    """Asynchronous successive halving over all objectives.

    Args:
        rungs: epochs at which candidates are measured, increasing.
        reduction: one in ``reduction`` candidates of a rung is promoted to the next.
        low: lowest primary cost of the search.
        high: highest primary cost of the search.
        strata: number of equal parts of the log cost range, each of which keeps a survivor.
    """

    def __init__(
        self, rungs: Sequence[int], reduction: int, low: float, high: float, strata: int = STRATA
    ) -> None:
        self.rungs = tuple(rungs)
        self.reduction = reduction
        self._low, self._span = math.log(low), max(math.log(high / low), 1e-9)
        self._strata = strata
        # Rankings are asked for several times; keeping them only saves time.
        self._ranked: list[_RankedRung] = []
        self._rows = _FeatureRows()

    def stratum(self, cost: float) -> int:
        """Return the part of the cost range that ``cost`` is in, counted from 0."""
        part = int((math.log(cost) - self._low) / self._span * self._strata)
        return min(max(part, 0), self._strata - 1)

    def _ranked_rung(self, results: Sequence[Sequence[RungResult]]) -> _RankedRung:
        """Return the ranking of the last rung of ``results``, which depends on all rungs below."""
        before: Mapping[int, float] = {}
        for rung, current in enumerate(map(list, results)):
            if rung == len(self._ranked) or self._ranked[rung].results != current:
                valid = sorted(
                    (result for result in current if result.valid), key=lambda result: result.number
                )
                smooth = _smoothed(valid, before, self._rows)
                ranking = _Ranking.of(valid, smooth)
                strata: dict[int, list[RungResult]] = {}
                for result in ranking.ordered:
                    strata.setdefault(self.stratum(result.cost), []).append(result)
                stratum_of = {each.number: part for part, group in strata.items() for each in group}
                del self._ranked[rung:]
                self._ranked.append(_RankedRung(current, smooth, ranking, strata, stratum_of))
            before = self._ranked[rung].smooth[0]
        return self._ranked[len(results) - 1]

    def survivors(
        self,
        results: Sequence[Sequence[RungResult]],
        promoted: Collection[int] = (),
        *,
        complete: bool = False,
    ) -> dict[int, str]:
        """Return the candidates that may be promoted, by the results of their rung and of those below.

        A rung promotes nothing until it has enough results for one candidate to be expected at the top: the
        first of a few are always on their front. Its share counts the candidates measured so far. The best at
        one moment need not be the best in the end, so up to ``SURPLUS`` times as many are promoted in all.

        Args:
            results: results of every rung up to this one, which is below the top; in any order within a rung.
            promoted: numbers of the candidates that this rung has promoted before.
            complete: whether no more results will come, so that strata with few of them get a survivor too.

        Returns:
            Reasons in words by the candidate's number, the best first.
        """
        rung = len(results) - 1
        needed = 1 if complete else self.reduction ** (len(self.rungs) - 1 - rung)
        if len(results[rung]) < needed:
            return {}
        ranked = self._ranked_rung(results)
        ranking, valid = ranked.ranking, len(ranked.ranking.ordered)
        if valid < needed:
            return {}
        keep = math.ceil(valid / self.reduction)
        free = math.ceil(SURPLUS * valid / self.reduction) - len(promoted)
        chosen: dict[int, str] = {}
        for place, (result, chance) in enumerate(
            zip(ranking.ordered[:keep], ranking.chances, strict=False), start=1
        ):
            free -= result.number not in promoted
            if result.number in promoted or free >= 0:
                chosen[result.number] = (
                    f"chance {chance:.2g} to be on the front, place {place} of {valid}: {keep} go on"
                )
        survivors = self._survivors_of_strata(ranked, {*promoted, *chosen}, complete)
        return chosen | survivors

    def _survivors_of_strata(
        self, ranked: _RankedRung, chosen: Collection[int], complete: bool
    ) -> dict[int, str]:
        """Return the best candidate of each stratum from which none is chosen, with the reason in words."""
        taken = {ranked.stratum_of.get(number) for number in chosen}
        return {
            group[0].number: f"the best of {len(group)} in cost stratum {stratum + 1} of {self._strata}"
            for stratum, group in sorted(ranked.strata.items())
            if (complete or len(group) >= self.reduction) and stratum not in taken
        }

    def decide(
        self, number: int, results: Sequence[Sequence[RungResult]], promoted: Collection[int] = ()
    ) -> Decision:
        """Decide whether a candidate is promoted at once; else it is held, and may be promoted later.

        Args:
            number: number of the candidate, which has a result at the last rung of ``results``.
            results: results of every rung up to that one.
            promoted: numbers of the candidates that this rung has promoted before.
        """
        own = next(result for result in results[-1] if result.number == number)
        if not own.valid:
            return Decision(False, "one of its objectives is not a number")
        survivors = self.survivors(results, promoted)
        if number in survivors:
            return Decision(True, survivors[number])
        broken = f"; its soft constraints are violated by {own.violation:.3g}" if own.violation > 0 else ""
        return Decision(False, f"not among the {len(survivors)} of {len(results[-1])} that go on{broken}")
