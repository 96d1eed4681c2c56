"""Small domains that strategies are tested on, and invented accuracies of their designs."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from search_space.genes.stage_genes import Gene
from search_space.space.space import SearchSpace
from searcher.simulation.synthetic import SyntheticDomain
from searcher.simulation.table import Table, TableDomain
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import Observation
from searcher.strategies.space_domain import SpaceDomain

TINY_SPACE: dict[str, Any] = {
    "name": "tiny",
    "options": "stream",
    "input": {"frames": 4, "size": 16, "fps": 8},
    "granularity": "stage",
    "stem": 8,
    "stages": [
        {
            "width": [8, 16, 24],
            "stride": 2,
            "depth": [1, 2, 3],
            "kernel": ["1x3x3", "3x3x3", "1x5x5"],
            "expansion": {"also": [8, 16, 32]},
        },
        {
            "width": [16, 32, 48],
            "stride": 2,
            "depth": [1, 2, 3],
            "kernel": ["1x3x3", "3x3x3", "1x5x5"],
            "expansion": {"also": [16, 32, 64]},
        },
    ],
    "head": 32,
    "hidden": 32,
}

SPACE = SearchSpace.from_dict(TINY_SPACE, "tiny").with_classes(16)
LOW, HIGH = (float(end) for end in SPACE.macs_range())


def tiny_table(rungs: int = 1) -> Table:
    """Return a table of three genes with missing rows, two repeats and a cost to be measured."""
    genes = (Gene("a", tuple("0123")), Gene("b", tuple("012"), ordered=False), Gene("c", tuple("01234")))
    rows = [row for row in product(range(4), range(3), range(5)) if sum(row) % 7 != 3]
    genotypes = np.array(rows)
    size = 10.0 * 2.0 ** (genotypes[:, 0] + 0.3 * genotypes[:, 2])
    best = 0.3 + 0.1 * genotypes[:, 0] + 0.05 * (genotypes[:, 1] == 1) + 0.02 * genotypes[:, 2]
    shape = (len(rows), rungs, 2)
    accuracy = best[:, None, None] * (0.5 + 0.5 * np.arange(1, rungs + 1) / rungs)[None, :, None]
    jitter = np.array([0.0, 0.01])
    return Table(
        name="tiny",
        genes=genes,
        genotypes=genotypes,
        digests=["".join(map(str, row)) for row in rows],
        objectives=("accuracy", "latency"),
        primary=size,
        accuracy=np.broadcast_to(accuracy, shape) + jitter,
        costs=(size * (1 + 0.2 * (genotypes[:, 1] == 2)))[:, None],
        known=(False,),
        seconds=np.ones((len(rows), rungs)) * np.arange(1, rungs + 1),
    )


def make_domain(name: str) -> Domain:
    """Return a domain of ``DOMAINS``, each with a window that cuts something off."""
    if name == "space":
        return SpaceDomain(SPACE, {"macs": (1.5 * LOW, HIGH / 2)})
    if name == "three objectives":
        windows = {"macs": (LOW, HIGH), "parameters": (0.0, 15_000.0)}
        return SpaceDomain(SPACE, windows, ("accuracy", "macs", "latency", "state_bytes"))
    if name == "synthetic":
        return SyntheticDomain(layerwise=True, window=(1.0, 20.0))
    table = tiny_table()
    return TableDomain(table, (float(table.primary.min()), 100.0))


DOMAINS = ("space", "three objectives", "synthetic", "table")
"""Names of the domains: networks, networks with more windows and objectives, a huge space, a table."""


def values(design: Design) -> tuple[float, ...]:
    """Return a design's known costs, and values that follow from its genotype and cost for the rest."""
    error = 1 / (1 + math.log(design.cost) / 10 + 0.05 * design.genotype[-1])
    return tuple(
        (error if not column else math.log(design.cost) + 0.1 * design.genotype[0])
        if known is None
        else known
        for column, known in enumerate(design.known_costs)
    )


def observed(
    design: Design,
    measured: tuple[float, ...] | None,
    rungs_left: int = 0,
    *,
    pending: bool = False,
    violation: float = 0.0,
) -> Observation:
    """Return the observation of a design."""
    return Observation(design.genotype, design.cost, measured, rungs_left, pending, violation)
