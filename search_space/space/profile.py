"""The profile of a space before it is searched: its size, its costs, the budgets it reaches and does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log

import numpy as np

from search_space.architecture.architecture import Architecture
from search_space.architecture.published import PUBLISHED
from search_space.cost.closed_form import Cost, compute_cost, macs
from search_space.errors import SpaceError
from search_space.genes.settings import SpaceSettings
from search_space.space.scaling import scale_depths
from search_space.space.space import SearchSpace

BINS = 7


@dataclass(frozen=True, slots=True)
class BudgetReach:
    """A number of multiply-adds, and whether a space reaches it.

    Attributes:
        name: name of the budget.
        macs: the multiply-adds.
        architecture: an architecture of the space within 2 % of it; None if there is none.
        limit: the limits of the space that exclude it, the strongest first; empty if it is reached.
    """

    name: str
    macs: float
    architecture: Architecture | None
    limit: str

    @property
    def reachable(self) -> bool:
        """Whether there is an architecture near it."""
        return self.architecture is not None


@dataclass(frozen=True, slots=True)
class Bin:
    """One of the histogram's equal steps of log multiply-adds, ``low`` to ``high``.

    Attributes:
        low, high: multiply-adds.
        uniform: share of uniformly random genotypes that fall here, computed, not sampled.
        stratified: share of this profile's draws at a cost that fall here.
    """

    low: float
    high: float
    uniform: float
    stratified: float


@dataclass(frozen=True, slots=True)
class SpaceProfile:
    """The size, the costs and the reachable budgets of a space.

    Attributes:
        name: name of the space.
        cardinality: number of architectures.
        genes: number of decisions with more than one choice.
        smallest, median, largest: architectures; the median is that of uniformly random genotypes.
        costs: costs of the three.
        bins: the histogram over log multiply-adds.
        budgets: the budgets, each with whether it can be reached.
    """

    name: str
    cardinality: int
    genes: int
    smallest: Architecture
    median: Architecture
    largest: Architecture
    costs: tuple[Cost, Cost, Cost]
    bins: tuple[Bin, ...]
    budgets: tuple[BudgetReach, ...]


def profile_space(
    space: SearchSpace,
    budgets: Mapping[str, float] | None = None,
    samples: int = 1_000,
    seed: int = 0,
) -> SpaceProfile:
    """Return the profile of a space.

    Args:
        space: the space.
        budgets: multiply-adds by name; by default those that the space's file names.
        samples: number of draws at a cost for the histogram, and of uniform draws for the median.
        seed: seed of the draws.

    Raises:
        SpaceError: fewer than one sample, or a budget that is not positive.
    """
    if samples < 1:
        raise SpaceError(f"samples is {samples}", hint="draw at least one")
    rng = np.random.default_rng(seed)
    wanted = space.settings.budgets if budgets is None else budgets
    low, high = space.macs_range()
    smallest, largest = space.smallest(), space.largest()
    uniform = sorted((space.sample(rng) for _ in range(samples)), key=space.macs)
    median = uniform[len(uniform) // 2]
    return SpaceProfile(
        name=space.name,
        cardinality=space.cardinality,
        genes=len(space.genes),
        smallest=smallest,
        median=median,
        largest=largest,
        costs=(
            compute_cost(smallest, space.classes),
            compute_cost(median, space.classes),
            compute_cost(largest, space.classes),
        ),
        bins=_histogram(space, low, high, samples, rng),
        budgets=tuple(_budget(space, name, most, rng) for name, most in wanted.items()),
    )


def released_budgets() -> dict[str, float]:
    """Return the multiply-adds of the released A0 to A5, at their own clips."""
    return {f"A{i}": float(macs(PUBLISHED[f"A{i}-base"])) for i in range(6)}


def _histogram(
    space: SearchSpace, low: float, high: float, samples: int, rng: np.random.Generator
) -> tuple[Bin, ...]:
    if high <= low:
        return (Bin(low, high, 1.0, 1.0),)
    edges = [low * exp(log(high / low) * i / BINS) for i in range(BINS)] + [float(high)]
    costs = np.array([space.macs(space.sample_at(rng)) for _ in range(samples)])
    places = np.clip(np.searchsorted(edges, costs, "right") - 1, 0, BINS - 1)
    stratified = np.bincount(places, minlength=BINS) / samples
    # The distribution is known in bins of its own; its ends belong to the first and the last bin here.
    uniform = space.sampler.distribution([0.0, *edges[1:-1], 2.0 * high])
    return tuple(Bin(edges[i], edges[i + 1], uniform[i], float(stratified[i])) for i in range(BINS))


def _budget(space: SearchSpace, name: str, wanted: float, rng: np.random.Generator) -> BudgetReach:
    if not wanted > 0:
        raise SpaceError(f"budget {name!r} is {wanted:g} multiply-adds", hint="give a positive number")
    try:
        return BudgetReach(name, wanted, space.sample_at(rng, 0.98 * wanted, 1.02 * wanted), "")
    except SpaceError:
        return BudgetReach(name, wanted, None, _limit(space, wanted))


def _limit(space: SearchSpace, wanted: float) -> str:
    """Name the kinds of choice that, extended twofold towards the budget, move the end of the space most."""
    low, high = space.macs_range()
    if low <= wanted <= high:
        return f"too few architectures: none within 2 % of {wanted:.4g}"
    place, word, end = (0, "smallest", low) if wanted < low else (1, "largest", high)
    moved = _shares_moved(space, place)
    order = sorted(moved, key=lambda what: moved[what], reverse=True)
    named = ", ".join(f"{what} ({100 * moved[what]:.0f} %)" for what in order if moved[what] > 0.005)
    step = "doubling" if place else "halving"
    return f"its {word} has {end:.4g}; {step} would move that most by {named or 'nothing'}"


@lru_cache(maxsize=4)
def _shares_moved(space: SearchSpace, place: int) -> dict[str, float]:
    """Return the share by which each kind of choice moves the smallest (``place`` 0) or largest (1) cost."""
    end = space.macs_range()[place]
    return {
        what: abs(SearchSpace(settings).macs_range()[place] - end) / end
        for what, settings in _extended_spaces(space.settings, 2.0 if place else 0.5).items()
    }


def _extended_spaces(settings: SpaceSettings, factor: float) -> dict[str, SpaceSettings]:
    """Return the space with one kind of choice scaled, for each kind."""
    clip = settings.input
    frames = clip.model_copy(update={"frames": tuple(max(1, round(f * factor)) for f in clip.frames)})
    size = clip.model_copy(update={"size": tuple(max(1, round(s * factor)) for s in clip.size)})
    depths = tuple(
        stage.model_copy(update={"depth": scale_depths(stage.depth, factor)}) for stage in settings.stages
    )
    return {
        "frames": settings.model_copy(update={"input": frames}),
        "size": settings.model_copy(update={"input": size}),
        "widths": settings.model_copy(update={"width_factor": settings.width_factor * factor}),
        "depths": settings.model_copy(update={"stages": depths}),
    }
