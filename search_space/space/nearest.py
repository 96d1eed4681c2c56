"""The network of a space that is nearest to one that the space may not have.

Nearest means the smallest sum of log ratios of widths, depths, expansions and kernels, at a like cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Layer, Stage
from search_space.cost.closed_form import macs
from search_space.errors import SpaceError
from search_space.genes.stage_genes import StageChoices, listed
from search_space.sampling import moves
from search_space.space.space import SearchSpace

_MOST_STEPS = 60
_COST_WEIGHT = 4.0
"""Weight of the log ratio of costs: a quarter of it is as far as the same ratio of one stage's width."""


def nearest_in_space(space: SearchSpace, architecture: Architecture) -> Architecture:
    """Return the network of a space that is nearest to an architecture; that itself if the space has it.

    Every gene takes the choice nearest to the architecture's; then single genes change while that brings the
    whole nearer, its cost included.

    Args:
        space: space with the number of classes that costs are for.
        architecture: architecture with a clip and as many stages as the space has; its options do not matter.

    Raises:
        SpaceError: the space has not that clip, or another number of stages.
    """
    if space.contains(architecture):
        return architecture
    _check(space, architecture)
    choices = space.choices
    clip = architecture.input
    values = [
        choices.frames.index(clip.frames),
        choices.sizes.index(clip.size),
        choices.rates.index(clip.fps),
        _nearest(choices.stems, architecture.stem),
    ]
    for stage, given in zip(architecture.stages, choices.stages, strict=True):
        values += _stage_values(given, stage)
    values += [_nearest(choices.heads, architecture.head), _nearest(choices.hiddens, architecture.hidden)]
    cost = log(macs(architecture, space.classes))

    def distance(values: Sequence[int]) -> float:
        network = choices.decode(values)
        return _distance(network, architecture) + _COST_WEIGHT * abs(log(macs(network, space.classes)) - cost)

    now = moves.canonical(choices, values)
    least = distance(now)
    for _ in range(_MOST_STEPS):
        steps = [(distance(other), other) for other in moves.adjacent(choices, now) if other[:3] == now[:3]]
        best = min(steps, default=(least, now))
        if best[0] >= least:
            break
        least, now = best
    return choices.decode(now)


def _check(space: SearchSpace, architecture: Architecture) -> None:
    if len(architecture.stages) != len(space.choices.stages):
        raise SpaceError(
            f"a network of {len(architecture.stages)} stages has no near one in space {space.name!r}",
            hint=f"its networks have {len(space.choices.stages)}",
        )
    if architecture.input not in space.clips:
        raise SpaceError(
            f"clips of {architecture.input} are not in space {space.name!r}",
            hint=f"there are {listed(space.clips)}",
        )


def _nearest(choices: Sequence[int], wanted: int) -> int:
    """Return the position of the choice whose ratio to ``wanted`` is nearest to 1."""
    return min(range(len(choices)), key=lambda place: abs(log(choices[place] / wanted)))


def _stretched(layers: Sequence[Layer], depth: int) -> list[Layer]:
    """Return as many layers as ``depth``, evenly from first to last."""
    return [layers[round(j * (len(layers) - 1) / max(depth - 1, 1))] for j in range(depth)]


def _stage_values(choices: StageChoices, stage: Stage) -> list[int]:
    """Return the value of every gene of a stage: of those that layers share, the one nearest to all."""
    values = [0] * len(choices.genes)
    values[0] = _nearest(choices.widths, stage.width)
    values[1] = _nearest(choices.depths, len(stage.layers))
    depth = choices.depths[values[1]]
    sharing: dict[int, list[tuple[int, Layer]]] = {}
    for number, layer in enumerate(_stretched(stage.layers, depth)):
        for place in choices.slots[number]:
            sharing.setdefault(place, []).append((number, layer))
    for place, layers in sharing.items():
        values[place] = min(
            range(choices.genes[place].choices), key=lambda value: _misfit(choices, place, value, layers)
        )
    return values


def _misfit(choices: StageChoices, place: int, value: int, layers: Sequence[tuple[int, Layer]]) -> float:
    """Return how far one gene's value is from what some layers have, summed over them."""
    total = 0.0
    for number, layer in layers:
        own = choices.rest if number else choices.first
        kernel, expansion, squeeze = choices.slots[number]
        if place == kernel:
            total += _kernel_distance(Layer(own.kernels[value], 1), layer)
        elif place == expansion:
            total += abs(log(own.expansions[value] / layer.expansion))
        elif place == squeeze:
            total += own.squeezes[value] != layer.squeeze
    return total


def _kernel_distance(one: Layer, other: Layer) -> float:
    time, space = one.kernel.time / other.kernel.time, one.kernel.space / other.kernel.space
    return abs(log(time)) + abs(log(space))


def _distance(one: Architecture, other: Architecture) -> float:
    """Return the sum of the log ratios of two networks of as many stages; layers count by their mean."""
    ends = ((one.stem, other.stem), (one.head, other.head), (one.hidden, other.hidden))
    total = sum(abs(log(a / b)) for a, b in ends)
    for stage, wanted in zip(one.stages, other.stages, strict=True):
        total += abs(log(stage.width / wanted.width)) + abs(log(len(stage.layers) / len(wanted.layers)))
        pairs = zip(stage.layers, _stretched(wanted.layers, len(stage.layers)), strict=True)
        total += sum(
            _kernel_distance(layer, like)
            + abs(log(layer.expansion / like.expansion))
            + (layer.squeeze != like.squeeze)
            for layer, like in pairs
        ) / len(stage.layers)
    return total
