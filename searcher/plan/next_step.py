"""The next step of a free worker in a search with rungs: the same rule in real and in simulated searches.

A candidate that is held at a rung and is now among its best comes first, the highest rung before the others;
then a new proposal; and once a rung can receive no more results, the best candidate of any cost stratum
without a survivor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from searcher.promotion.halving import ParetoHalving, RungResult

Proposal = TypeVar("Proposal")


@dataclass(frozen=True, slots=True)
class Promotion:
    """A candidate that was held at a rung and is trained up to the next one.

    Args:
        number: number of the candidate.
        rung: index of the rung at which it was held.
        reason: reason in words.
    """

    number: int
    rung: int
    reason: str


class Standing(Protocol):
    """The state of a search, as far as it decides the next step; rungs are counted from 0, the lowest."""

    def results(self, rung: int) -> Sequence[Sequence[RungResult]]:
        """Return the results of every rung up to ``rung``."""
        ...

    def promoted(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that were promoted from a rung."""
        ...

    def held(self, rung: int) -> Collection[int]:
        """Return the numbers of the candidates that are held at a rung."""
        ...

    def expects(self, rung: int) -> bool:
        """Return whether a candidate under way can still be measured at a rung."""
        ...


def next_step(
    halving: ParetoHalving | None, standing: Standing, propose: Callable[[], Proposal | None]
) -> Promotion | Proposal | None:
    """Return the next step of a free worker; None if there is none now.

    Args:
        halving: rule of promotion; None if every candidate is trained to the end.
        standing: state of the search.
        propose: function that makes and records the next proposal, or returns None if there is none.
    """
    if halving is None:
        return propose()
    return _promotion(halving, standing) or propose() or _last_promotion(halving, standing)


def _promotion(halving: ParetoHalving, standing: Standing) -> Promotion | None:
    """Return the promotion of a held candidate that is now among the best of its rung."""
    for rung in range(len(halving.rungs) - 2, -1, -1):
        promotion = _promoted_at(halving, standing, rung, complete=False)
        if promotion is not None:
            return promotion
    return None


def _last_promotion(halving: ParetoHalving, standing: Standing) -> Promotion | None:
    """Return the promotion of a stratum's survivor at a rung that can receive no more results."""
    for rung in range(len(halving.rungs) - 1):
        if standing.expects(rung):
            return None
        promotion = _promoted_at(halving, standing, rung, complete=True)
        if promotion is not None:
            return promotion
    return None


def _promoted_at(
    halving: ParetoHalving, standing: Standing, rung: int, *, complete: bool
) -> Promotion | None:
    held = standing.held(rung)
    if not held:
        return None
    survivors = halving.survivors(standing.results(rung), standing.promoted(rung), complete=complete)
    for number, reason in survivors.items():
        if number in held:
            return Promotion(number, rung, reason)
    return None
