"""What strategies choose from: a search space, or a table of finished measurements, behind one interface.

A domain knows genes, costs and windows; a strategy knows none of them, so that the same strategy works on
networks and on tables. Whatever a domain hands out lies inside its windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import compute_cost
from search_space.errors import SpaceError
from search_space.genes.space_genes import Genotype
from search_space.genes.stage_genes import Gene
from search_space.sampling import moves
from search_space.space.space import SearchSpace

OBJECTIVES = ("accuracy", "macs", "parameters", "latency", "state_bytes", "activation_bytes")
"""What can be searched for; the first is always among them, and a search has at least two."""
KNOWN_COSTS = ("macs", "parameters", "state_bytes", "activation_bytes")
"""Costs that are known before a network is trained; latency has to be measured."""
LEAST = 1e-9
_REPAIRS = 200
_DRAWS = 64


def objective_value(name: str, value: float) -> float:
    """An objective as strategies see it, always to minimise: 1 - accuracy, or the logarithm of a cost."""
    return 1 - value if name == "accuracy" else math.log(max(value, LEAST))


@dataclass(frozen=True, slots=True)
class Design:
    """One thing that can be chosen.

    Args:
        genotype: canonical: two designs are the same exactly if their genotypes are.
        cost: the primary cost, multiply-adds of a network; proposals are spread over it.
        known: each objective in its order as ``objective_value`` gives it; None for those to be measured.
        make: makes the thing itself.
    """

    genotype: Genotype
    cost: float
    known: tuple[float | None, ...]
    make: Callable[[], Architecture | str]

    @property
    def architecture(self) -> Architecture:
        """The network of a design of a search space."""
        made = self.make()
        assert isinstance(made, Architecture), "a table has no networks"
        return made

    @property
    def digest(self) -> str:
        """What tells designs apart in a record."""
        made = self.make()
        return made.digest if isinstance(made, Architecture) else made


class Domain(Protocol):
    """A set of designs and small steps between them.

    Attributes:
        genes: one for each place of a genotype.
        objectives: names; the first is what only a measurement tells, the others are costs.
        window: least and most primary cost.
        count: how many designs there are, windows aside.
    """

    @property
    def genes(self) -> Sequence[Gene]: ...
    @property
    def objectives(self) -> tuple[str, ...]: ...
    @property
    def window(self) -> tuple[float, float]: ...
    @property
    def count(self) -> int: ...

    def random(self, rng: np.random.Generator, low: float, high: float) -> Design:
        """A random design of that primary cost, its logarithm as uniform as may be.

        Raises:
            SpaceError: there is none.
        """
        ...

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """Another design, as few genes away as windows allow.

        Raises:
            SpaceError: there is no other.
        """
        ...

    def project(self, genotype: Sequence[int], rng: np.random.Generator) -> Design:
        """The design of a genotype, or if that is outside a window, one near it that is inside."""
        ...

    def design(self, genotype: Sequence[int]) -> Design:
        """The design of a genotype, inside the windows or not."""
        ...

    def inside(self, design: Design) -> bool:
        """Whether a design lies inside all windows."""
        ...

    def variants(self, genotype: Sequence[int], rng: np.random.Generator, count: int) -> list[Design]:
        """Up to so many designs one random gene away, those inside the windows only: fast."""
        ...

    def enumerate(self) -> Iterator[Design]:
        """Every design inside the windows; only asked of domains with a small count."""
        ...


class SpaceDomain:
    """A search space with hard windows on the costs that are known before training.

    Args:
        space: of networks, with the data set's number of classes.
        windows: least and most by the cost's name, of ``KNOWN_COSTS``; none is no limit.
        objectives: names, of ``OBJECTIVES``.

    Raises:
        SpaceError: an objective or a cost that does not exist, or nothing lies in the windows.
    """

    def __init__(
        self,
        space: SearchSpace,
        windows: Mapping[str, tuple[float, float]] | None = None,
        objectives: Sequence[str] = ("accuracy", "macs"),
    ) -> None:
        self.space = space
        self.objectives = tuple(objectives)
        self._check_names(windows or {})
        ends = space.macs_range()
        low, high = (windows or {}).get("macs", ends)
        self.window = max(float(low), ends[0]), min(float(high), ends[1])
        if self.window[0] > self.window[1]:
            raise SpaceError(
                f"search.macs from {low:.4g} to {high:.4g}: the space has none there",
                hint=f"it goes from {ends[0]:.4g} to {ends[1]:.4g}",
            )
        self._others = {name: ends for name, ends in (windows or {}).items() if name != "macs"}
        # Where genes with a choice are among all genes of the space.
        self._places = [place for place, gene in enumerate(space.choices.genes) if gene.choices > 1]
        self._plain = not self._others and self.objectives == ("accuracy", "macs")

    def _check_names(self, windows: Mapping[str, tuple[float, float]]) -> None:
        unknown = [name for name in self.objectives if name not in OBJECTIVES]
        if unknown or len(self.objectives) < 2 or self.objectives[0] != "accuracy":
            raise SpaceError(
                f"objectives {', '.join(self.objectives)}",
                hint=f"name accuracy first, and at least one of {', '.join(OBJECTIVES[1:])}",
            )
        strange = [name for name in windows if name not in KNOWN_COSTS]
        if strange:
            raise SpaceError(
                f"a window on {', '.join(strange)}", hint=f"there are windows on {', '.join(KNOWN_COSTS)}"
            )

    @property
    def genes(self) -> Sequence[Gene]:
        """Those of the space."""
        return self.space.genes

    @property
    def count(self) -> int:
        """How many networks there are, windows aside."""
        return self.space.cardinality

    def design(self, genotype: Sequence[int]) -> Design:
        """The canonical design of a genotype, inside the windows or not."""
        return self.of(self.space.decode(genotype))

    def of(self, architecture: Architecture) -> Design:
        """The design that is a network of the space."""
        return self._made(architecture, self.space.encode(architecture))

    def _made(self, architecture: Architecture, genotype: Genotype) -> Design:
        macs = float(self.space.macs(architecture))
        known: tuple[float | None, ...] = (None, math.log(macs))
        if not self._plain:
            costs = self._costs(architecture)
            known = tuple(
                objective_value(name, costs[name]) if name in costs else None for name in self.objectives
            )
        return Design(genotype, macs, known, lambda: architecture)

    def _costs(self, architecture: Architecture) -> dict[str, float]:
        found = compute_cost(architecture, self.space.classes)
        return {name: float(getattr(found, name)) for name in KNOWN_COSTS}

    def _outside(self, architecture: Architecture) -> float:
        """How far a network is from the windows on other costs than multiply-adds, as a log ratio."""
        if not self._others:
            return 0.0
        costs = self._costs(architecture)
        return sum(
            max(0.0, math.log(max(low, LEAST) / max(costs[name], LEAST)))
            + max(0.0, math.log(max(costs[name], LEAST) / max(high, LEAST)))
            for name, (low, high) in self._others.items()
        )

    def random(self, rng: np.random.Generator, low: float, high: float) -> Design:
        """Drawn at its multiply-adds; other windows by drawing again, and by mutations towards them.

        Raises:
            SpaceError: nothing was found in all windows.
        """
        low, high = max(low, self.window[0]), min(high, self.window[1])
        drawn = self.space.sample_at(rng, low, high)
        for _ in range(_DRAWS):
            if self._outside(drawn) == 0:
                return self.of(drawn)
            drawn = self.space.sample_at(rng, low, high)
        return self.of(self._repaired(drawn, low, high, rng))

    def _repaired(
        self, architecture: Architecture, low: float, high: float, rng: np.random.Generator
    ) -> Architecture:
        """A walk into the other windows that never leaves that of multiply-adds."""
        left = self._outside(architecture)
        for _ in range(_REPAIRS):
            if left == 0:
                return architecture
            step = self.space.mutate(architecture, rng, low, high)
            distance = self._outside(step)
            if distance <= left:
                architecture, left = step, distance
        if left == 0:
            return architecture
        names = ", ".join(f"search.windows.{name}" for name in self._others)
        raise SpaceError(
            f"found nothing inside {names} from {low:.4g} to {high:.4g} multiply-adds",
            hint="widen one of these windows, or search.macs",
        )

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """One gene changed, and others only to stay inside the windows."""
        architecture = design.architecture
        other = architecture
        for _ in range(_DRAWS):
            other = self.space.mutate(architecture, rng, *self.window)
            if self._outside(other) == 0:
                return self.of(other)
        return self.of(self._repaired(other, *self.window, rng))

    def project(self, genotype: Sequence[int], rng: np.random.Generator) -> Design:
        """Few changes of a genotype that lead inside the windows."""
        inside = self.space.project(self.space.decode(genotype), *self.window, rng)
        if self._outside(inside) == 0:
            return self.of(inside)
        try:
            return self.of(self._repaired(inside, *self.window, rng))
        except SpaceError:
            # A walk can end in a corner; a draw begins elsewhere.
            return self.random(rng, *self.window)

    def inside(self, design: Design) -> bool:
        """Whether a network lies inside all windows."""
        if not self.window[0] <= design.cost <= self.window[1]:
            return False
        return not self._others or self._outside(design.architecture) == 0

    def variants(self, genotype: Sequence[int], rng: np.random.Generator, count: int) -> list[Design]:
        """Up to so many networks one gene away of a canonical genotype."""
        choices, found = self.space.choices, list[Design]()
        values = [0] * len(choices.genes)
        for place, value in zip(self._places, genotype, strict=True):
            values[place] = value
        # What all variants have in common is worked out once: this is called for every proposal.
        full = choices.filled(values)
        places = [place for place in choices.active(values) if choices.genes[place].choices > 1]
        for _ in range(count):
            place = places[int(rng.integers(len(places)))]
            value = int(rng.integers(choices.genes[place].choices - 1))
            changed = moves.changed(choices, full, place, value + (value >= full[place]))
            architecture = choices.decode(changed)
            made = self._made(architecture, tuple(changed[place] for place in self._places))
            if self.inside(made):
                found.append(made)
        return found

    def enumerate(self) -> Iterator[Design]:
        """Every network inside the windows."""
        for architecture in self.space.enumerate():
            made = self.of(architecture)
            if self.inside(made):
                yield made
