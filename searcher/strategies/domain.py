"""The domain of a strategy: the designs of a search space, or of a table of measurements.

A domain knows genes, costs and windows; a strategy knows none of them, so that the same strategy works on
networks and on tables. Every design that a domain returns lies inside its windows, unless the method says
otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search_space.genes.space_genes import Genotype
from search_space.genes.stage_genes import Gene


@dataclass(frozen=True, slots=True)
class Design(ABC):
    """A design that can be chosen.

    Args:
        genotype: canonical choice of every gene: two designs are the same exactly if their genotypes are.
        cost: primary cost, the multiply-adds of a network; proposals are spread over it.
        known_costs: each objective in its order, to minimise; None for those that have to be measured.
    """

    genotype: Genotype
    cost: float
    known_costs: tuple[float | None, ...]

    @property
    @abstractmethod
    def digest(self) -> str:
        """Identity of the design in a record."""


class Domain(Protocol):
    """A set of designs and small steps between them.

    Attributes:
        genes: genes in the order of a genotype.
        objectives: names of the objectives; only a measurement tells the first, the others are costs.
        window: lowest and highest primary cost.
        count: number of designs, regardless of windows.
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
        """Draw a design with a primary cost from ``low`` to ``high``, its logarithm about uniform.

        Raises:
            SpaceError: there is no such design.
        """
        ...

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """Return another design, as few genes away as windows allow.

        Raises:
            SpaceError: there is no other design.
        """
        ...

    def project(self, genotype: Sequence[int], rng: np.random.Generator) -> Design:
        """Return the design of a genotype, or one near it if that lies outside a window."""
        ...

    def design(self, genotype: Sequence[int]) -> Design:
        """Return the design of a genotype, inside the windows or not."""
        ...

    def inside(self, design: Design) -> bool:
        """Return whether a design lies inside all windows."""
        ...

    def variants(self, genotype: Sequence[int], rng: np.random.Generator, count: int) -> list[Design]:
        """Return at most ``count`` designs one random gene away that lie inside the windows, quickly."""
        ...

    def enumerate(self) -> Iterator[Design]:
        """Yield every design inside the windows; only called for domains with a small count."""
        ...
