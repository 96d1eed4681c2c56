"""Draws of architectures at a cost: exactly as a random genotype is distributed, given its multiply-adds.

The cost of an architecture is the sum of its pieces. With costs rounded to bins of a unit, the probability
that a random genotype costs a given number of bins is found backwards, from the head to the stem, for every
width between (dynamic programming); walking forwards, each decision is then drawn in proportion to what can
still follow it. So every draw lands in its bin, without rejection, and whatever the space holds at that cost
can come up.

The rounding of some forty pieces moves the exact cost by about a bin. Several levels of ever smaller units
keep that below half a percent of the target anywhere in the range.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from search_space.genes.space_genes import SpaceChoices
from search_space.genes.stage_genes import StageChoices
from search_space.sampling.layer_costs import ClipCosts, Macs, all_clips

Weights = npt.NDArray[np.float64]
Chance = Callable[[], float]
"""A source of random numbers, uniform in [0, 1)."""

BINS = 2048
MARGIN = 64
LEVEL_RATIO = 6.0
FEW = 256
FEW_OPTIONS = 100
TRIES = 4


class _Fork:
    """Some equally likely branches, each with its cost in bins and the weights of what follows it."""

    def __init__(self, branches: Sequence[tuple[int, Weights]]) -> None:
        values = np.zeros((BINS, len(branches)))
        for i, (bins, after) in enumerate(branches):
            if bins < BINS:
                values[bins:, i] = after[: BINS - bins]
        sums = values.cumsum(axis=1)
        self.weights = sums[:, -1] / len(branches)
        self._bins = [bins for bins, _ in branches]
        self._last = len(branches) - 1
        self._sums = sums.ravel().data

    def pick(self, left: int, chance: float) -> tuple[int, int]:
        """Draw a branch given the bins left; ``chance`` is uniform in [0, 1). Also the bins left then."""
        if not self._last:
            return 0, left - self._bins[0]
        start = left * (self._last + 1)
        end = start + self._last
        chosen = bisect_right(self._sums, chance * self._sums[end], start, end) - start
        return chosen, left - self._bins[chosen]


class _Table:
    """Many equally likely options in front of one and the same rest, grouped by their cost in bins."""

    def __init__(self, costs: Macs, unit: float, after: Weights) -> None:
        bins = np.rint(costs.ravel() / unit).astype(np.int64)
        self._bins: list[int] = bins.tolist()
        self._order: list[int] = np.argsort(bins, kind="stable").tolist()
        self._kinds, self._starts, self._counts = np.unique(
            bins[self._order], return_index=True, return_counts=True
        )
        self._after = after
        self.weights = np.zeros(BINS)
        self._quick: tuple[int, list[int], memoryview, memoryview] | None = None
        if len(self._kinds) <= FEW:
            bound = np.zeros(BINS)
            for kind, count in zip(self._kinds.tolist(), self._counts.tolist(), strict=True):
                if kind < BINS:
                    self.weights[kind:] += count * after[: BINS - kind]
                    np.maximum(bound[kind:], after[: BINS - kind], out=bound[kind:])
            self._quick = len(self._bins), self._bins, after.data, bound.data
        else:
            spread = np.zeros(BINS)
            inside = self._kinds < BINS
            spread[self._kinds[inside]] = self._counts[inside]
            self.weights = np.convolve(spread, after)[:BINS]
        self.weights /= len(self._bins)

    def pick(self, left: int, chance: Chance) -> tuple[int, int]:
        """Draw an option given the bins left, as likely as what can follow it. Also the bins left then."""
        if self._quick is not None:
            options, bins, view, bounds = self._quick
            bound = bounds[left]
            # A few cheap tries: any option, kept with its weight over the greatest. The same distribution.
            for _ in range(TRIES):
                scaled = chance() * options
                option = int(scaled)
                after = left - bins[option]
                if after >= 0 and (scaled - option) * bound < view[after]:
                    return option, after
            if options <= FEW_OPTIONS:
                # Rough weights, such as just before the end: all of them. Lists beat arrays for so few.
                running = list(accumulate([view[left - bin] if bin <= left else 0.0 for bin in bins]))
                option = bisect_right(running, chance() * running[-1])
                return option, left - bins[option]
        possible = int(self._kinds.searchsorted(left, "right"))
        sums = (self._counts[:possible] * self._after[left - self._kinds[:possible]]).cumsum()
        group = min(int(sums.searchsorted(chance() * sums[-1], "right")), possible - 1)
        chosen = int(self._starts[group]) + int(chance() * int(self._counts[group]))
        return self._order[chosen], left - int(self._kinds[group])


class _Stage:
    """The steps through one stage: its width, then its layers."""

    def __init__(self, costs: ClipCosts, stage: StageChoices, unit: float, after: dict[int, Weights]) -> None:
        self.stage = stage
        self._bodies: dict[tuple[int, int], _Table] = {}
        self._depths: dict[int, _Fork] = {}
        self._tails: dict[int, list[_Table]] = {}
        self._shapes = self._gene_shapes()
        for outputs in stage.widths:
            behind = after[outputs]
            if stage.layerwise:
                behind = self._add_tail(costs, outputs, unit, behind)
            for inputs in costs.widths_before(stage.index):
                macs = (
                    costs.first(stage.index, inputs, outputs)
                    if stage.layerwise
                    else costs.shared(stage.index, inputs, outputs)
                )
                self._bodies[inputs, outputs] = _Table(macs, unit, behind)
        self.widths = {
            inputs: _Fork([(0, self._bodies[inputs, outputs].weights) for outputs in stage.widths])
            for inputs in costs.widths_before(stage.index)
        }

    def _add_tail(self, costs: ClipCosts, outputs: int, unit: float, behind: Weights) -> Weights:
        """Add the later layers one by one, and return the weights of the choice of a depth before them."""
        macs = costs.rest(self.stage.index, outputs)
        tail: list[_Table] = []
        weights = [behind]
        for _ in range(self.stage.depths[-1] - 1):
            tail.append(_Table(macs, unit, weights[-1]))
            weights.append(tail[-1].weights)
        self._tails[outputs] = tail
        self._depths[outputs] = _Fork([(0, weights[depth - 1]) for depth in self.stage.depths])
        return self._depths[outputs].weights

    def _gene_shapes(self) -> list[list[tuple[int, ...]]]:
        """Return the values of the genes for each option of the body, and of a later layer."""
        first = self.stage.first.fields if self.stage.layerwise else ()
        shape = [len(f) for f in first] or [gene.choices for gene in self.stage.genes[1:]]
        return [list(np.ndindex(*shape)), list(np.ndindex(*(len(f) for f in self.stage.rest.fields)))]

    def draw(self, inputs: int, left: int, chance: Chance, genes: list[int]) -> tuple[int, int]:
        """Append values of the stage's genes; return its width and the bins left."""
        place, left = self.widths[inputs].pick(left, chance())
        outputs = self.stage.widths[place]
        genes.append(place)
        body, later = self._shapes
        option, left = self._bodies[inputs, outputs].pick(left, chance)
        if not self.stage.layerwise:
            genes.extend(body[option])
            return outputs, left
        depth, left = self._depths[outputs].pick(left, chance())
        genes.append(depth)
        genes.extend(body[option])
        layers, tail = self.stage.depths[depth], self._tails[outputs]
        for place in range(layers - 2, -1, -1):
            option, left = tail[place].pick(left, chance)
            genes += later[option]
        genes.extend([0] * (3 * (len(self.stage.slots) - layers)))
        return outputs, left


class _Chain:
    """All steps for one clip, from the stem to the head, in one unit of cost."""

    def __init__(self, costs: ClipCosts, unit: float) -> None:
        choices = costs.choices
        end = np.zeros(BINS)
        end[0] = 1.0
        count = len(choices.stages)
        self._heads: dict[int, _Fork] = {}
        for width in costs.widths_before(count):
            bins = np.rint(costs.heads(width).ravel() / unit).astype(int).tolist()
            self._heads[width] = _Fork([(b, end) for b in bins])
        after = {width: fork.weights for width, fork in self._heads.items()}
        self._stages: list[_Stage] = []
        for stage in reversed(choices.stages):
            self._stages.insert(0, _Stage(costs, stage, unit, after))
            after = {width: fork.weights for width, fork in self._stages[0].widths.items()}
        stems = np.rint(costs.stems / unit).astype(int).tolist()
        self._stem = _Fork([(b, after[w]) for b, w in zip(stems, choices.stems, strict=True)])
        self.weights = self._stem.weights
        self._choices, self._place = choices, costs.place

    def draw(self, left: int, chance: Chance) -> list[int]:
        """Return a value for every gene, of a genotype that costs ``left`` bins."""
        choices = self._choices
        stem, left = self._stem.pick(left, chance())
        genes = [*self._place, int(chance() * len(choices.rates)), stem]
        width = choices.stems[stem]
        for stage in self._stages:
            width, left = stage.draw(width, left, chance, genes)
        head, left = self._heads[width].pick(left, chance())
        genes.extend(divmod(head, len(choices.hiddens)))
        return genes


class _Level:
    """All clips' chains in one unit of cost, for costs up to about ``cap``."""

    def __init__(self, clips: Sequence[ClipCosts], cap: float) -> None:
        self.unit = cap / (BINS - MARGIN)
        self._chains = [_Chain(costs, self.unit) for costs in clips]
        self._clip = _Fork([(0, chain.weights) for chain in self._chains])
        self.weights = self._clip.weights
        self._filled: list[int] = np.flatnonzero(self.weights).tolist()

    def draw(self, macs: float, chance: Chance) -> list[int]:
        """Return a value for every gene, from the non-empty bin nearest to a cost."""
        wanted = macs / self.unit
        right = min(bisect_left(self._filled, wanted), len(self._filled) - 1)
        nearest = min(self._filled[max(right - 1, 0)], self._filled[right], key=lambda b: abs(b - wanted))
        chain, left = self._clip.pick(nearest, chance())
        return self._chains[chain].draw(left, chance)


class CostSampler:
    """A sampler of random genotypes of a space at a given cost.

    Args:
        choices: the space's genes.
        classes: outputs of the classifier.

    Attributes:
        smallest, largest: the cheapest and the most expensive architecture, exactly.
    """

    def __init__(self, choices: SpaceChoices, classes: int) -> None:
        self._clips = all_clips(choices, classes)
        self._levels: dict[int, _Level] = {}
        self._block = 16 + 4 * sum(len(stage.slots) + 2 for stage in choices.stages)
        self.smallest = min(clip.extreme(1) for clip in self._clips)
        self.largest = max(clip.extreme(-1) for clip in self._clips)

    def draw(self, macs: float, rng: np.random.Generator) -> list[int]:
        """Return a value for every gene, of a genotype that costs about ``macs`` multiply-adds."""
        depth = 0
        while macs * LEVEL_RATIO ** (depth + 1) <= self.largest.macs:
            depth += 1
        level = self.level(depth)
        # Random numbers in one block: several times faster than one by one. A draw that needs more begins
        # again with the same ones and more behind them: its outcome does not depend on the size of the block.
        numbers: list[float] = []
        for _ in range(1_000):
            numbers += rng.random(self._block).tolist()
            try:
                return level.draw(macs, numbers[::-1].pop)
            except IndexError:
                continue
        raise AssertionError("a draw used a thousand blocks of random numbers")

    def may_reach(self, low: float, high: float) -> bool:
        """Return False if no sum of this space's pieces lies in the window, whatever is chosen."""
        return any(clip.may_reach(low, high) for clip in self._clips)

    def level(self, depth: int) -> _Level:
        """Return the steps in the unit for costs up to the largest divided by ``LEVEL_RATIO ** depth``."""
        if depth not in self._levels:
            self._levels[depth] = _Level(self._clips, self.largest.macs / LEVEL_RATIO**depth)
        return self._levels[depth]

    def distribution(self, edges: Sequence[float]) -> list[float]:
        """Return the probability that a random genotype costs between each two neighbouring edges."""
        shares = []
        for low, high in pairwise(edges):
            depth = 0
            while high * LEVEL_RATIO ** (depth + 1) <= self.largest.macs:
                depth += 1
            level = self.level(depth)
            costs = np.arange(BINS) * level.unit
            shares.append(float(level.weights[(costs >= low) & (costs < high)].sum()))
        return shares
