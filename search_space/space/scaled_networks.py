"""Compound-scaled networks at given costs, on clips that there is data for.

Phi scales depth, width and clip together, as in the released family; the clip becomes the nearest of those
that can be had. Exponents stay within the span of that family, beyond which they are untried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import PUBLISHED
from search_space.architecture.scaling import FAMILY_EXPONENTS, scale_architecture
from search_space.cost.closed_form import macs
from search_space.space.space import SearchSpace

FAMILY = ("A0", "A1", "A2", "A3", "A4", "A5")
"""The networks of the paper that are single networks (Kondratyuk et al. 2021, Table 2)."""
_STEPS = 121


@dataclass(frozen=True, slots=True)
class ScaledNetwork:
    """A network that scaling gives.

    Args:
        architecture: architecture of the network.
        macs: multiply-adds of one clip.
        phi: exponent of the scaling; 0 for the origin itself, on the nearest clip.
        origin: name of the network that was scaled.
    """

    architecture: Architecture
    macs: int
    phi: float
    origin: str = ""


def nearest_clip(wanted: ClipShape, clips: Sequence[ClipShape]) -> ClipShape:
    """Return the clip of ``clips`` that is nearest by size, frames and rate, the first of equals.

    Args:
        wanted: clip shape to be near to.
        clips: clip shapes to choose from; if there are none, any clip can be had.
    """
    if not clips or wanted in clips:
        return wanted

    def distance(clip: ClipShape) -> float:
        pairs = ((clip.size, wanted.size), (clip.frames, wanted.frames), (clip.fps, wanted.fps))
        return sum(abs(math.log(one / other)) for one, other in pairs)

    return min(clips, key=distance)


def scalings(
    origin: Architecture, classes: int, clips: Sequence[ClipShape] = (), name: str = ""
) -> Iterator[ScaledNetwork]:
    """Yield a network at each of many exponents, from the smallest to the largest; some may be equal.

    Args:
        origin: architecture to scale.
        classes: number of outputs of the classifier, for the costs.
        clips: clip shapes that the networks may take; by default any.
        name: name of the origin.
    """
    low, high = min(FAMILY_EXPONENTS.values()), max(FAMILY_EXPONENTS.values())
    for phi in np.linspace(low - high, high - low, _STEPS).tolist():
        scaled = scale_architecture(origin, phi)
        scaled = scaled.with_input(nearest_clip(scaled.input, clips))
        yield ScaledNetwork(scaled, macs(scaled, classes), phi, name)


def scaled_published(
    space: SearchSpace,
    count: int,
    window: tuple[float, float],
    allowed: Callable[[Architecture], bool],
) -> list[ScaledNetwork]:
    """Return the released family, scaled to costs that are spread evenly over a window of log costs.

    The targets divide what scaling reaches inside the window. Each network is scaled from the released one
    whose cost on the space's clips is nearest to the target, and is built with the space's options and the
    hidden layer of its networks.

    Args:
        space: space whose clips, options and number of classes the networks get; its genes do not matter.
        count: number of targets.
        window: lowest and highest multiply-adds.
        allowed: function that tells whether a network may be returned.

    Returns:
        Distinct networks, the cheapest first: at most ``count``, fewer if targets share one, and none if
        scaling reaches nothing inside the window.
    """
    low, high = window
    reached: dict[str, list[ScaledNetwork]] = {}
    own_costs: dict[str, int] = {}
    for name in FAMILY:
        # What no gene of the space decides is the space's: the form, and the classifier's hidden layer.
        origin = replace(
            PUBLISHED[f"{name}-base"].with_options(space.settings.options), hidden=space.smallest().hidden
        )
        inside = [
            network
            for network in scalings(origin, space.classes, space.clips, name)
            if low <= network.macs <= high and allowed(network.architecture)
        ]
        if inside:
            reached[name] = inside
            own_costs[name] = macs(origin.with_input(nearest_clip(origin.input, space.clips)), space.classes)
    if not reached or count < 1:
        return []
    costs = [network.macs for networks in reached.values() for network in networks]
    start, span = math.log(min(costs)), math.log(max(costs) / min(costs))
    found: dict[Architecture, ScaledNetwork] = {}
    for number in range(count):
        target = start + span * (number + 0.5) / count
        name = min(reached, key=lambda name: abs(math.log(own_costs[name]) - target))
        network = min(reached[name], key=lambda network: abs(math.log(network.macs) - target))
        found.setdefault(network.architecture, network)
    return sorted(found.values(), key=lambda network: network.macs)
