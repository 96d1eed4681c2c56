"""A search space as the domain of a search: networks inside hard windows on known costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import compute_cost
from search_space.errors import SpaceError
from search_space.genes.space_genes import Genotype
from search_space.genes.stage_genes import Gene
from search_space.sampling import moves
from search_space.space.nearest import nearest_in_space
from search_space.space.space import SearchSpace
from searcher.objectives import DEFAULT_OBJECTIVES, KNOWN_COSTS, LEAST_COST, OBJECTIVES, log_cost
from searcher.strategies.domain import Design

_REPAIR_STEPS = 200
_DRAWS = 64


@dataclass(frozen=True, slots=True)
class NetworkDesign(Design):
    """A network of a search space, or one that the space has not, at the genotype of the nearest.

    Args:
        architecture: architecture of the network.
    """

    architecture: Architecture

    @property
    def digest(self) -> str:
        """Digest of the architecture."""
        return self.architecture.digest


class SpaceDomain:
    """Networks of a search space inside hard windows.

    Args:
        space: search space with the data set's number of classes.
        windows: lowest and highest value of costs of ``KNOWN_COSTS``, by name; costs without one are not
            limited.
        objectives: names of ``OBJECTIVES``, accuracy first.

    Raises:
        SpaceError: an objective or a cost does not exist, or no network lies inside the windows.
    """

    def __init__(
        self,
        space: SearchSpace,
        windows: Mapping[str, tuple[float, float]] | None = None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    ) -> None:
        self.space = space
        self.objectives = tuple(objectives)
        self._check_names(windows or {})
        ends = space.macs_range()
        low, high = (windows or {}).get("macs", ends)
        self.window = max(float(low), ends[0]), min(float(high), ends[1])
        if self.window[0] > self.window[1]:
            raise SpaceError(
                f"search.macs from {low:.4g} to {high:.4g}: no network of the space is in it",
                hint=f"its networks have {ends[0]:.4g} to {ends[1]:.4g}",
            )
        self._others = {name: ends for name, ends in (windows or {}).items() if name != "macs"}
        # Positions of genes with a choice among all genes of the space.
        self._places = [place for place, gene in enumerate(space.choices.genes) if gene.choices > 1]
        self._knows_macs_only = not self._others and self.objectives == DEFAULT_OBJECTIVES

    def _check_names(self, windows: Mapping[str, tuple[float, float]]) -> None:
        """Check the names of objectives and windows."""
        unknown = [name for name in self.objectives if name not in OBJECTIVES]
        if unknown or len(self.objectives) < 2 or self.objectives[0] != "accuracy":
            raise SpaceError(
                f"search.objectives cannot be {', '.join(self.objectives)}",
                hint=f"name accuracy first, then at least one of {', '.join(list(OBJECTIVES)[1:])}",
            )
        unknown = [name for name in windows if name not in KNOWN_COSTS]
        if unknown:
            raise SpaceError(
                f"there is no window on {', '.join(unknown)}", hint=f"use {', '.join(KNOWN_COSTS)}"
            )

    @property
    def genes(self) -> Sequence[Gene]:
        """The genes of the space that have a choice."""
        return self.space.genes

    @property
    def count(self) -> int:
        """Number of networks, regardless of windows."""
        return self.space.cardinality

    def design(self, genotype: Sequence[int]) -> NetworkDesign:
        """Return the canonical design of a genotype, inside the windows or not."""
        return self.of(self.space.decode(genotype))

    def of(self, architecture: Architecture) -> NetworkDesign:
        """Return the design of a network of the space."""
        return self._with_costs(architecture, self.space.encode(architecture))

    def near(self, architecture: Architecture) -> NetworkDesign:
        """Return the design of any network, with the genotype of the space's network that is nearest to it.

        Raises:
            SpaceError: the space has not its clip, or another number of stages.
        """
        nearest = nearest_in_space(self.space, architecture)
        return self._with_costs(architecture, self.space.encode(nearest))

    def refusal(self, architecture: Architecture) -> str:
        """Return why any network cannot be a candidate, whether the space has it or not; empty if it can be.

        A candidate needs a clip, a form and a number of stages that the space has, and costs inside all
        windows.
        """
        space = self.space
        form, stages = space.settings.options.form, len(space.choices.stages)
        if architecture.options.form != form:
            return f"it is a {architecture.options.form} network, and those of the space are {form} networks"
        if len(architecture.stages) != stages:
            return f"it has {len(architecture.stages)} stages, and networks of the space have {stages}"
        if architecture.input not in space.clips:
            clips = ", ".join(map(str, space.clips))
            return f"its clips are {architecture.input}, and those of the space are {clips}"
        costs = self._costs(architecture)
        for name, (low, high) in {"macs": self.window, **self._others}.items():
            if not low <= costs[name] <= high:
                key = "search.macs" if name == "macs" else f"search.windows.{name}"
                return f"its {name} of {costs[name]:.4g} are outside {key}, {low:.4g} to {high:.4g}"
        return ""

    def _with_costs(self, architecture: Architecture, genotype: Genotype) -> NetworkDesign:
        macs = float(self.space.macs(architecture))
        known_costs: tuple[float | None, ...] = (None, math.log(macs))
        if not self._knows_macs_only:
            costs = self._costs(architecture)
            known_costs = tuple(log_cost(costs[name]) if name in costs else None for name in self.objectives)
        return NetworkDesign(genotype, macs, known_costs, architecture)

    def _architecture(self, design: Design) -> Architecture:
        if isinstance(design, NetworkDesign):
            return design.architecture
        return self.space.decode(design.genotype)

    def _costs(self, architecture: Architecture) -> dict[str, float]:
        return known_costs(architecture, self.space.classes)

    def _outside(self, architecture: Architecture) -> float:
        """Return how far a network is outside the windows besides that of multiply-adds, as a log ratio."""
        if not self._others:
            return 0.0
        costs = self._costs(architecture)
        return sum(
            max(0.0, math.log(max(low, LEAST_COST) / max(costs[name], LEAST_COST)))
            + max(0.0, math.log(max(costs[name], LEAST_COST) / max(high, LEAST_COST)))
            for name, (low, high) in self._others.items()
        )

    def random(self, rng: np.random.Generator, low: float, high: float) -> Design:
        """Draw a network at its multiply-adds; reach other windows by drawing again, then by mutations.

        Raises:
            SpaceError: no network was found inside all windows.
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
        """Return a network that a walk reaches inside the other windows, within that of multiply-adds."""
        distance = self._outside(architecture)
        for _ in range(_REPAIR_STEPS):
            if distance == 0:
                return architecture
            step = self.space.mutate(architecture, rng, low, high)
            next_distance = self._outside(step)
            if next_distance <= distance:
                architecture, distance = step, next_distance
        if distance == 0:
            return architecture
        names = ", ".join(f"search.windows.{name}" for name in self._others)
        raise SpaceError(
            f"no network was found inside {names} from {low:.4g} to {high:.4g} multiply-adds",
            hint="widen one of these windows, or search.macs",
        )

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """Return a network with one gene changed, and others only as the windows require."""
        architecture = self._architecture(design)
        other = architecture
        for _ in range(_DRAWS):
            other = self.space.mutate(architecture, rng, *self.window)
            if self._outside(other) == 0:
                return self.of(other)
        return self.of(self._repaired(other, *self.window, rng))

    def project(self, genotype: Sequence[int], rng: np.random.Generator) -> Design:
        """Return the network of a genotype, with few changes if that is needed to be inside the windows."""
        inside = self.space.project(self.space.decode(genotype), *self.window, rng)
        if self._outside(inside) == 0:
            return self.of(inside)
        try:
            return self.of(self._repaired(inside, *self.window, rng))
        except SpaceError:
            # A walk can end at a local minimum; a draw starts elsewhere.
            return self.random(rng, *self.window)

    def inside(self, design: Design) -> bool:
        """Return whether a network lies inside all windows."""
        if not self.window[0] <= design.cost <= self.window[1]:
            return False
        return not self._others or self._outside(self._architecture(design)) == 0

    def variants(self, genotype: Sequence[int], rng: np.random.Generator, count: int) -> list[Design]:
        """Return at most ``count`` networks one gene away from a canonical genotype."""
        choices, variants = self.space.choices, list[Design]()
        values = [0] * len(choices.genes)
        for place, value in zip(self._places, genotype, strict=True):
            values[place] = value
        # The common part of all variants is computed once: this function is called for every proposal.
        full = choices.filled(values)
        places = [place for place in choices.active(values) if choices.genes[place].choices > 1]
        for _ in range(count):
            place = places[int(rng.integers(len(places)))]
            value = int(rng.integers(choices.genes[place].choices - 1))
            changed = moves.changed(choices, full, place, value + (value >= full[place]))
            architecture = choices.decode(changed)
            variant = self._with_costs(architecture, tuple(changed[place] for place in self._places))
            if self.inside(variant):
                variants.append(variant)
        return variants

    def enumerate(self) -> Iterator[Design]:
        """Yield every network inside the windows."""
        for architecture in self.space.enumerate():
            design = self.of(architecture)
            if self.inside(design):
                yield design


def known_costs(architecture: Architecture, classes: int) -> dict[str, float]:
    """Return the costs of a network that are known before training, by their names in ``KNOWN_COSTS``."""
    costs = compute_cost(architecture, classes)
    return {
        "macs": float(costs.macs),
        "parameters": float(costs.parameters),
        "state_bytes": float(costs.state_bytes),
        "activation_bytes": float(costs.activation_bytes),
    }
