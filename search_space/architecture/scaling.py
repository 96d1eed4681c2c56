"""Compound scaling (EfficientNet's, as MoViNets use it): depth, width, resolution, frame rate grow together.

One exponent phi scales all four, each with a coefficient of its own. The coefficients are fitted to the
released family, in which A0, A2, A3, A4 and A5 stand at phi = -2, 0, 1, 2, 3; A1 is a search of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import exp, log

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import MAX_LAYERS, ClipShape, Layer, Stage, round_to_8
from search_space.architecture.published import PUBLISHED

FAMILY_EXPONENTS = {"A0": -2, "A2": 0, "A3": 1, "A4": 2, "A5": 3}


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Factors of one step of phi: for layers, channels, pixels a side, frames a second."""

    depth: float
    width: float
    resolution: float
    rate: float


@cache
def family_coefficients() -> Coefficients:
    """Return the least-squares fit, in logarithms and through A2, to the released family."""
    return Coefficients(
        depth=_fit({name: len(PUBLISHED[f"{name}-base"].layers) for name in FAMILY_EXPONENTS}),
        width=_fit({name: PUBLISHED[f"{name}-base"].head for name in FAMILY_EXPONENTS}),
        resolution=_fit({name: PUBLISHED[f"{name}-base"].input.size for name in FAMILY_EXPONENTS}),
        rate=_fit({name: PUBLISHED[f"{name}-base"].input.fps for name in FAMILY_EXPONENTS}),
    )


def _fit(values: dict[str, float]) -> float:
    origin = log(values["A2"])
    pairs = [(phi, log(values[name]) - origin) for name, phi in FAMILY_EXPONENTS.items()]
    return exp(sum(phi * y for phi, y in pairs) / sum(phi * phi for phi, _ in pairs))


def scale_architecture(
    architecture: Architecture, phi: float, coefficients: Coefficients | None = None
) -> Architecture:
    """Return the architecture made deeper, wider, and for a larger and faster clip of the same duration.

    Args:
        architecture: the architecture to scale.
        phi: the exponent; negative makes the architecture smaller.
        coefficients: factors of one step of phi; by default the released family's.

    Returns:
        Widths and expansions to the nearest multiple of 8; the size to the nearest even number; the pattern
        of a stage's layers stretched or thinned out, its first and last layer kept. ``hidden`` stays, as in
        the family.
    """
    c = coefficients or family_coefficients()
    width = c.width**phi
    return replace(
        architecture,
        stem=round_to_8(architecture.stem * width),
        stages=tuple(_scale_stage(stage, width, c.depth**phi) for stage in architecture.stages),
        head=round_to_8(architecture.head * width),
        input=scale_clip(architecture.input, phi, c),
    )


def _scale_stage(stage: Stage, width: float, depth: float) -> Stage:
    before = len(stage.layers)
    after = min(max(1, round(before * depth)), MAX_LAYERS)
    taken = [round(j * (before - 1) / max(after - 1, 1)) for j in range(after)]
    layers = tuple(
        Layer(layer.kernel, round_to_8(layer.expansion * width), layer.squeeze)
        for layer in (stage.layers[j] for j in taken)
    )
    return Stage(round_to_8(stage.width * width), stage.stride, layers)


def scale_clip(clip: ClipShape, phi: float, coefficients: Coefficients | None = None) -> ClipShape:
    """Return a clip of the same duration with more pixels and frames; size is even, fps a multiple of 1/2."""
    c = coefficients or family_coefficients()
    fps = max(0.5, round(2 * clip.fps * c.rate**phi) / 2)
    size = max(2, 2 * round(clip.size * c.resolution**phi / 2))
    return ClipShape(max(1, round(clip.frames / clip.fps * fps)), size, fps)
