"""What strategies are told of a proposal."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search_space.genes.space_genes import Genotype


@dataclass(frozen=True, slots=True)
class Observation:
    """What a strategy may know about an earlier proposal.

    Args:
        genotype: the choice of every gene.
        macs: the primary cost, over which proposals are spread.
        values: of every objective, to minimise, each as ``objective_value`` gives it; None while
            nothing is known, or if it failed. One that is not finite counts as failed.
        rungs_left: how many rungs it was not measured at; values compare well only at the same number.
        pending: whether it is still under way with nothing known.
        violation: of soft constraints; above 0 it is infeasible, by so much.
    """

    genotype: Genotype
    macs: float
    values: tuple[float, ...] | None
    rungs_left: int = 0
    pending: bool = False
    violation: float = 0.0

    @property
    def known(self) -> bool:
        """Whether it has been measured, with finite values."""
        return self.values is not None and all(map(math.isfinite, self.values))
