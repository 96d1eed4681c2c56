"""The exact multiply-adds of every piece that a space can choose; the cost of a network is their sum."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from search_space.cost.closed_form import head_macs, layer_macs, stem_macs
from search_space.cost.operators import STEM_STRIDE, Position, strided
from search_space.genes.space_genes import SpaceChoices
from search_space.genes.stage_genes import StageChoices

Macs = npt.NDArray[np.int64]


class Extreme(NamedTuple):
    """The cheapest or the most expensive architecture: its multiply-adds and its value for every gene."""

    macs: int
    genes: list[int]


class ClipCosts:
    """Multiply-adds of a space's pieces for one choice of frames and size.

    Args:
        choices: the space's genes.
        frames, size: positions of the clip's frames and size among the space's.
        classes: outputs of the classifier.
    """

    def __init__(self, choices: SpaceChoices, frames: int, size: int, classes: int) -> None:
        self.choices = choices
        self.place = (frames, size)
        self.frames = choices.frames[frames]
        self.size = choices.sizes[size]
        self.classes = classes
        self._known: dict[tuple[bool, int, Position], Macs] = {}
        self.sizes = [strided(self.size, STEM_STRIDE)]
        for stage in choices.stages:
            self.sizes.append(strided(self.sizes[-1], stage.stride))

    @cached_property
    def stems(self) -> Macs:
        """The multiply-adds of every stem width."""
        return np.array([stem_macs(width, self.size, self.frames) for width in self.choices.stems])

    def widths_before(self, stage: int) -> tuple[int, ...]:
        """Return the possible input channels of a stage, or of the head."""
        return self.choices.stages[stage - 1].widths if stage else self.choices.stems

    def heads(self, width: int) -> Macs:
        """Return the costs of head widths (rows) and hidden widths (columns) behind a stage of ``width``."""
        return np.array(
            [
                [
                    head_macs(width, (head, hidden, self.classes), self.sizes[-1], self.frames)
                    for hidden in self.choices.hiddens
                ]
                for head in self.choices.heads
            ]
        )

    def first(self, index: int, inputs: int, outputs: int) -> Macs:
        """Return the costs of every first layer of a stage: kernels x expansions x squeezes."""
        stage = self.choices.stages[index]
        return self._layers(True, stage, Position(inputs, outputs, stage.stride, self.sizes[index]))

    def rest(self, index: int, outputs: int) -> Macs:
        """Return the costs of every later layer of a stage: kernels x expansions x squeezes."""
        position = Position(outputs, outputs, 1, self.sizes[index + 1])
        return self._layers(False, self.choices.stages[index], position)

    def _layers(self, first: bool, stage: StageChoices, position: Position) -> Macs:
        key = (first, stage.index, position)
        if key not in self._known:
            table, options = (stage.first if first else stage.rest).table, self.choices.options
            self._known[key] = np.array(
                [
                    [[layer_macs(layer, position, self.frames, options) for layer in row] for row in rows]
                    for rows in table
                ]
            )
        return self._known[key]

    def shared(self, index: int, inputs: int, outputs: int) -> Macs:
        """Return the costs of a stage whose layers share genes: an axis for each gene from the depth on."""
        stage = self.choices.stages[index]
        axes = np.indices([gene.choices for gene in stage.genes[1:]], sparse=True)
        depth = np.array(stage.depths)[axes[0]]
        first = self.first(index, inputs, outputs)[tuple(axes[place - 1] for place in stage.slots[0])]
        if len(stage.slots) == 1:
            return np.asarray(first + 0 * sum(axes))
        rest = self.rest(index, outputs)[tuple(axes[place - 1] for place in stage.slots[1])]
        return np.asarray(first + (depth - 1) * rest)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """A step and an offset: every cost is the offset plus a multiple of the step (all come in eights)."""
        pieces = [self.stems]
        for index, stage in enumerate(self.choices.stages):
            for outputs in stage.widths:
                pieces.append(self.rest(index, outputs))
                pieces += [self.first(index, inputs, outputs) for inputs in self.widths_before(index)]
        heads = [self.heads(width) for width in self.widths_before(len(self.choices.stages))]
        offset = int(heads[0].flat[0])
        pieces += [head - offset for head in heads]
        step = int(np.gcd.reduce(np.concatenate([piece.ravel() for piece in pieces])))
        return step, offset % step

    def may_reach(self, low: float, high: float) -> bool:
        """Return whether a cost of the grid lies in a window."""
        step, offset = self.grid
        return (high - offset) // step * step + offset >= low

    def extreme(self, sign: int) -> Extreme:
        """Return the cheapest (``sign`` 1) or most expensive (-1) architecture, by dynamic programming."""
        count = len(self.choices.stages)
        best: dict[int, tuple[int, list[int]]] = {}
        for width in self.widths_before(count):
            heads = sign * self.heads(width)
            place = int(heads.argmin())
            best[width] = (int(heads.min()), list(map(int, np.unravel_index(place, heads.shape))))
        for index in range(count - 1, -1, -1):
            best = {
                inputs: min(
                    self._extreme_stage(index, inputs, w, sign, best) for w in range(len(self._widths(index)))
                )
                for inputs in self.widths_before(index)
            }
        total, stem = min(
            (sign * int(self.stems[i]) + best[w][0], i) for i, w in enumerate(self.choices.stems)
        )
        genes = [*self.place, 0, stem, *best[self.choices.stems[stem]][1]]
        return Extreme(sign * total, genes)

    def _widths(self, index: int) -> tuple[int, ...]:
        return self.choices.stages[index].widths

    def _extreme_stage(
        self, index: int, inputs: int, place: int, sign: int, after: dict[int, tuple[int, list[int]]]
    ) -> tuple[int, list[int]]:
        stage, outputs = self.choices.stages[index], self._widths(index)[place]
        macs, genes = (self._extreme_layers if stage.layerwise else self._extreme_shared)(
            stage, inputs, outputs, sign
        )
        return macs + after[outputs][0], [place, *genes, *after[outputs][1]]

    def _extreme_shared(
        self, stage: StageChoices, inputs: int, outputs: int, sign: int
    ) -> tuple[int, list[int]]:
        costs = sign * self.shared(stage.index, inputs, outputs)
        place = int(costs.argmin())
        return int(costs.min()), list(map(int, np.unravel_index(place, costs.shape)))

    def _extreme_layers(
        self, stage: StageChoices, inputs: int, outputs: int, sign: int
    ) -> tuple[int, list[int]]:
        first, rest = (
            sign * self.first(stage.index, inputs, outputs),
            sign * self.rest(stage.index, outputs),
        )
        totals = [int(first.min()) + (depth - 1) * int(rest.min()) for depth in stage.depths]
        depth = min(range(len(totals)), key=totals.__getitem__)
        opening = list(map(int, np.unravel_index(int(first.argmin()), first.shape)))
        further = list(map(int, np.unravel_index(int(rest.argmin()), rest.shape)))
        return totals[depth], [depth, *opening, *(further * (len(stage.slots) - 1))]


def all_clips(choices: SpaceChoices, classes: int) -> list[ClipCosts]:
    """Return the costs of the pieces for every choice of frames and size."""
    places = product(range(len(choices.frames)), range(len(choices.sizes)))
    return [ClipCosts(choices, frames, size, classes) for frames, size in places]
