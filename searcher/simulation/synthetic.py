"""A yardstick for strategies: the multiply-adds of a simplified MoViNet, and an invented accuracy.

The accuracy means nothing for video. It has the difficulties of real searches: returns diminish with depth,
every stage prefers some kernels, neighbouring layers interact, and most random networks cost about the same.
The seed determines preferences and interactions: every seed is another yardstick of the same kind.

There are five stages with a width and a depth each; a layer has a kernel and an expansion, shared by the
layers of its stage or chosen for each of them. All functions take many genotypes at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_space.errors import SpaceError
from search_space.genes.space_genes import Genotype
from search_space.genes.stage_genes import Gene
from searcher.strategies.domain import Design

STAGES, MAX_DEPTH = 5, 10
FRAMES, SIZE = 50, 224
TIME = np.array([1, 1, 1, 5, 7, 3, 5])
SPACE = np.array([3, 5, 7, 1, 1, 3, 3])
EXPANSIONS = np.array([1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
WIDTHS = np.array([0.75, 1.0, 1.25])
BASE = np.array([24, 48, 96, 96, 192])
STRIDES = (2, 2, 2, 1, 2)
STEM, HEAD = 16, 512
STAGE_WEIGHTS = (0.8, 1.2, 1.6, 1.4, 1.0)
KERNEL_MERIT = np.array([0.0, 0.15, 0.2, 0.1, 0.1, 0.45, 0.5])
_BATCH = 256
_MOST_BATCHES = 40

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def _eights(channels: Floats) -> Ints:
    """Return the nearest multiple of 8, at least 8."""
    rounded: Ints = np.maximum(8, (channels + 4).astype(np.int64) // 8 * 8)
    return rounded


class Layers:
    """The choices of genotypes: width and depth by stage (n, 5); kernel and expansion by layer (n, 5, 10).

    Args:
        genotypes: genotypes, shape (n, genes).
        layerwise: whether every layer has a kernel and an expansion of its own.
    """

    def __init__(self, genotypes: Ints, *, layerwise: bool) -> None:
        parts = np.asarray(genotypes, dtype=np.int64).reshape(len(genotypes), STAGES, -1)
        self.width, self.depth = parts[:, :, 0], parts[:, :, 1] + 1
        if layerwise:
            self.kernel, self.expansion = parts[:, :, 2::2], parts[:, :, 3::2]
        else:
            shape = (len(parts), STAGES, MAX_DEPTH)
            self.kernel = np.broadcast_to(parts[:, :, 2, None], shape)
            self.expansion = np.broadcast_to(parts[:, :, 3, None], shape)


def multiply_adds(layers: Layers) -> Floats:
    """Return the multiply-adds of networks over 50 frames of 224 x 224, in 1e9; shape (n,)."""
    side = SIZE // 2
    before: Ints = np.full(len(layers.width), STEM)
    total = np.full(len(layers.width), 27.0 * STEM * FRAMES * side**2)
    for stage, stride in enumerate(STRIDES):
        width = _eights(BASE[stage] * WIDTHS[layers.width[:, stage]])
        inputs = before
        for layer in range(MAX_DEPTH):
            exists = layers.depth[:, stage] > layer
            kernel = layers.kernel[:, stage, layer]
            wide = _eights(width * EXPANSIONS[layers.expansion[:, stage, layer]])
            after = -(-side // stride) if layer == 0 else side
            macs = inputs * wide * FRAMES * side**2
            macs = macs + wide * (TIME[kernel] * SPACE[kernel] ** 2 + width) * FRAMES * after**2
            total += np.where(exists, macs + 2 * wide * np.maximum(8, wide // 4), 0)
            side, inputs = after, width
        before = width
    return (total + before * HEAD * FRAMES * side**2) / 1e9


class InventedAccuracy:
    """The invented accuracy of networks.

    Args:
        seed: seed of the preferences and interactions.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._preference = np.exp(rng.normal(0, 0.35, (STAGES, len(TIME))) + KERNEL_MERIT)
        self._pair = rng.normal(0, 0.25, (STAGES, len(TIME), len(TIME)))

    def __call__(self, layers: Layers) -> Floats:
        """Return the accuracies of networks, fractions, shape (n,)."""
        score = np.zeros(len(layers.width))
        for stage, weight in enumerate(STAGE_WEIGHTS):
            gain = np.zeros(len(score))
            for layer in range(MAX_DEPTH):
                kernel = layers.kernel[:, stage, layer]
                wide = EXPANSIONS[layers.expansion[:, stage, layer]]
                merit = self._preference[stage, kernel] * (0.4 + 0.6 * np.log(wide) / math.log(4))
                if layer:
                    merit = merit + 0.3 * self._pair[stage, layers.kernel[:, stage, layer - 1], kernel]
                gain += np.where(layers.depth[:, stage] > layer, merit * 0.85**layer, 0)
            score += weight * np.log1p(np.maximum(gain, 0)) * (0.9 + 0.1 * layers.width[:, stage])
        accuracy: Floats = 1 / (1 + np.exp(-(score - 6) / 1.8))
        return accuracy


@dataclass(frozen=True, slots=True)
class SyntheticDesign(Design):
    """A network of the synthetic space."""

    @property
    def digest(self) -> str:
        """Digits of the genotype."""
        return "".join(map(str, self.genotype))


class SyntheticDomain:
    """The designs of the yardstick.

    Args:
        layerwise: whether every layer has a kernel and an expansion of its own.
        window: lowest and highest multiply-adds in 1e9; by default those of the space.
    """

    objectives = ("accuracy", "macs")

    def __init__(self, *, layerwise: bool = False, window: tuple[float, float] | None = None) -> None:
        self.layerwise = layerwise
        self.genes = _genes(layerwise)
        self._choices = np.array([gene.choices for gene in self.genes])
        self.ends = float(self.macs(self._extreme(False))[0]), float(self.macs(self._extreme(True))[0])
        self.window = self.ends if window is None else window
        ways = 3 * (sum(42**depth for depth in range(1, MAX_DEPTH + 1)) if layerwise else MAX_DEPTH * 42)
        self.count = ways**STAGES

    def _extreme(self, largest: bool) -> Ints:
        """Return the cheapest or the most expensive genotype, whose kernels are 1x7x7; shape (1, genes)."""
        names = [gene.name.split(".")[-1] for gene in self.genes]
        values = [
            2 if name == "kernel" else gene.choices - 1 for name, gene in zip(names, self.genes, strict=True)
        ]
        return np.array([values if largest else [0] * len(values)])

    def layers(self, genotypes: Ints) -> Layers:
        """Return the choices of genotypes of shape (n, genes)."""
        return Layers(genotypes, layerwise=self.layerwise)

    def macs(self, genotypes: Ints) -> Floats:
        """Return the multiply-adds of genotypes in 1e9, shape (n,)."""
        return multiply_adds(self.layers(genotypes))

    def canonical(self, genotypes: Ints) -> Ints:
        """Return genotypes with 0 for the genes of layers that do not exist."""
        if not self.layerwise:
            return genotypes
        parts = genotypes.reshape(len(genotypes), STAGES, -1).copy()
        exists = np.arange(MAX_DEPTH) <= parts[:, :, 1, None]
        parts[:, :, 2:] *= np.repeat(exists, 2, axis=2)
        return parts.reshape(len(genotypes), -1)

    def designs(self, genotypes: Ints) -> list[Design]:
        """Return the canonical designs of those genotypes that lie inside the window."""
        genotypes = self.canonical(genotypes)
        macs = self.macs(genotypes)
        inside = np.flatnonzero((macs >= self.window[0]) & (macs <= self.window[1]))
        rows = genotypes[inside].tolist()
        return [_design(tuple(row), cost) for row, cost in zip(rows, macs[inside].tolist(), strict=True)]

    def design(self, genotype: Sequence[int]) -> Design:
        """Return the canonical design of a genotype, inside the window or not."""
        row = self.canonical(np.array([genotype]))
        return _design(tuple(row[0].tolist()), float(self.macs(row)[0]))

    def inside(self, design: Design) -> bool:
        """Return whether a design lies inside the window."""
        return self.window[0] <= design.cost <= self.window[1]

    def uniform(self, rng: np.random.Generator) -> Design:
        """Draw every gene at random, as a search without strata does."""
        return self.design(rng.integers(self._choices).tolist())

    def random(self, rng: np.random.Generator, low: float, high: float) -> Design:
        """Draw a design with multiply-adds from ``low`` to ``high``, their logarithm about uniform.

        It is the nearest to a drawn cost among genotypes that tend to small or to large choices.

        Raises:
            SpaceError: no such design was drawn.
        """
        low, high = max(low, self.window[0]), min(high, self.window[1])
        target = math.log(low) + rng.random() * math.log(high / low)
        ordered = np.array([gene.ordered for gene in self.genes])
        for _ in range(_MOST_BATCHES):
            tendency = rng.random((_BATCH, 1)) * 2 - 1
            chance = rng.random((_BATCH, len(self.genes)))
            # A power bends the uniform distribution towards either end; 0 leaves it as it is.
            bent = np.where(
                tendency < 0, chance ** (1 - 6 * tendency), 1 - (1 - chance) ** (1 + 6 * tendency)
            )
            genotypes = (np.where(ordered, bent, chance) * self._choices).astype(np.int64)
            genotypes = np.minimum(genotypes, self._choices - 1)
            macs = self.macs(genotypes)
            inside = np.flatnonzero((macs >= low) & (macs <= high))
            if len(inside):
                # The nearest to a target, so that costs are spread over the range as evenly as possible.
                nearest = inside[np.argmin(np.abs(np.log(macs[inside]) - target))]
                return self.design(genotypes[nearest].tolist())
        raise SpaceError(
            f"no design was found from {low:.4g} to {high:.4g} multiply-adds", hint="widen the window"
        )

    def variants(self, genotype: Sequence[int], rng: np.random.Generator, count: int) -> list[Design]:
        """Return at most ``count`` designs one random gene away, inside the window."""
        return self.designs(self._varied(genotype, rng, count))

    def _varied(self, genotype: Sequence[int], rng: np.random.Generator, count: int) -> Ints:
        """Return ``count`` genotypes with one random gene changed, shape (count, genes)."""
        filled = self._filled(np.array([genotype]))[0]
        places = rng.choice(self._active(filled), size=count)
        rows = np.repeat(filled[None], count, axis=0)
        shift = 1 + (rng.random(count) * (self._choices[places] - 1)).astype(np.int64)
        rows[np.arange(count), places] = (filled[places] + shift) % self._choices[places]
        return rows

    def _active(self, genotype: Ints) -> Ints:
        """Return the positions of the genes of layers that exist."""
        if not self.layerwise:
            return np.arange(len(self.genes))
        return np.flatnonzero(self._exists(genotype.reshape(STAGES, -1)).ravel())

    @staticmethod
    def _exists(parts: Ints) -> NDArray[np.bool_]:
        """Return the mask of the genes of layers that exist, in the shape of ``parts``."""
        mask = np.ones(parts.shape, dtype=bool)
        mask[..., 2:] = np.repeat(np.arange(MAX_DEPTH) <= parts[..., 1, None], 2, axis=-1)
        return mask

    def _filled(self, genotypes: Ints) -> Ints:
        """Return genotypes whose missing layers repeat the stage's last one: more depth is a small step."""
        if not self.layerwise:
            return genotypes
        parts = genotypes.reshape(len(genotypes), STAGES, -1).copy()
        last = np.minimum(np.arange(MAX_DEPTH), parts[:, :, 1, None])
        for first in (2, 3):
            parts[:, :, first::2] = np.take_along_axis(parts[:, :, first::2], last, axis=2)
        return parts.reshape(len(genotypes), -1)

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """Return a design inside the window, one gene away if possible.

        Raises:
            SpaceError: no other design was found inside the window.
        """
        for count in (4, 64, 256):
            others = [
                variant
                for variant in self.variants(design.genotype, rng, count)
                if variant.genotype != design.genotype
            ]
            if others:
                return others[0]
        return self.random(rng, *self.window)

    def project(self, genotype: Sequence[int], rng: np.random.Generator) -> Design:
        """Return the design of a genotype, or one that a walk of single genes reaches inside the window."""
        current = self.design(genotype)
        for _ in range(64):
            if self.inside(current):
                return current
            rows = self.canonical(self._varied(current.genotype, rng, 32))
            macs = self.macs(rows)
            distances = np.abs(np.log(np.clip(macs, *self.window) / macs))
            best = int(np.argmin(distances))
            nearest_cost = min(max(current.cost, self.window[0]), self.window[1])
            if distances[best] < abs(math.log(nearest_cost / current.cost)):
                current = _design(tuple(rows[best].tolist()), float(macs[best]))
        return current if self.inside(current) else self.random(rng, *self.window)

    def enumerate(self) -> Iterator[Design]:
        """Raise SpaceError: there are 3e15 designs and more."""
        raise SpaceError("the synthetic space is too large to list", hint="draw from it")


def _genes(layerwise: bool) -> tuple[Gene, ...]:
    genes = list[Gene]()
    for stage in range(STAGES):
        genes += [_gene(f"stage{stage}.width", len(WIDTHS)), _gene(f"stage{stage}.depth", MAX_DEPTH)]
        for layer in range(MAX_DEPTH) if layerwise else (None,):
            where = f"stage{stage}." if layer is None else f"stage{stage}.layer{layer}."
            genes += [
                _gene(f"{where}kernel", len(TIME), ordered=False),
                _gene(f"{where}expansion", len(EXPANSIONS)),
            ]
    return tuple(genes)


def _gene(name: str, choices: int, *, ordered: bool = True) -> Gene:
    return Gene(name, tuple(map(str, range(choices))), ordered)


def _design(genotype: Genotype, macs: float) -> Design:
    return SyntheticDesign(genotype, macs, (None, math.log(macs)))
