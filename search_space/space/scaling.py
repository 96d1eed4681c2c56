"""A search space around scaled architectures: its base widths, depths and clips scaled, its ratios kept."""

from __future__ import annotations

from collections.abc import Sequence

from search_space.architecture.parts import MAX_LAYERS, ClipShape, round_to_8
from search_space.architecture.scaling import Coefficients, family_coefficients, scale_clip
from search_space.genes.settings import ExpansionSettings, StageSettings, WidthSettings
from search_space.space.space import SearchSpace


def scale_space(space: SearchSpace, phi: float, coefficients: Coefficients | None = None) -> SearchSpace:
    """Return a search space around scaled architectures.

    Args:
        space: the space to scale.
        phi: the exponent; negative makes the space smaller.
        coefficients: factors of one step of phi; by default the released family's.

    Returns:
        The space ``NAME-scaled``. Widths that are given in channels are scaled and rounded to 8. A run of
        depths stays a run, from the scaled first to the scaled last.
    """
    factors = coefficients or family_coefficients()
    settings = space.settings
    clips = [
        scale_clip(ClipShape(frames, size, fps), phi, factors)
        for frames in settings.input.frames
        for size in settings.input.size
        for fps in settings.input.fps
    ]
    scaled = settings.model_copy(
        update={
            "name": f"{settings.name}-scaled",
            "width_factor": settings.width_factor * factors.width**phi,
            "input": settings.input.model_copy(
                update={
                    "frames": tuple(sorted({clip.frames for clip in clips})),
                    "size": tuple(sorted({clip.size for clip in clips})),
                    "fps": tuple(sorted({clip.fps for clip in clips})),
                }
            ),
            "stem": _scale_widths(settings.stem, factors.width**phi),
            "head": _scale_widths(settings.head, factors.width**phi),
            "stages": tuple(
                _scale_choices(stage, factors.width**phi, factors.depth**phi) for stage in settings.stages
            ),
            "budgets": {},
        }
    )
    return SearchSpace(scaled)


def _scale_widths(widths: WidthSettings, factor: float) -> WidthSettings:
    return widths.model_copy(update={"also": tuple(round_to_8(width * factor) for width in widths.also)})


def _scale_expansion(expansion: ExpansionSettings, factor: float) -> ExpansionSettings:
    return expansion.model_copy(
        update={"also": tuple(round_to_8(width * factor) for width in expansion.also)}
    )


def _scale_choices(stage: StageSettings, width: float, depth: float) -> StageSettings:
    first = stage.first
    if first is not None and first.expansion is not None:
        first = first.model_copy(update={"expansion": _scale_expansion(first.expansion, width)})
    return stage.model_copy(
        update={
            "width": _scale_widths(stage.width, width),
            "expansion": _scale_expansion(stage.expansion, width),
            "first": first,
            "depth": scale_depths(stage.depth, depth),
        }
    )


def scale_depths(depths: Sequence[int], factor: float) -> tuple[int, ...]:
    """Return depths times a factor, at least 1; a run without gaps stays one."""
    ordered = sorted(set(depths))
    scaled = [min(max(1, round(depth * factor)), MAX_LAYERS) for depth in ordered]
    if ordered == list(range(ordered[0], ordered[-1] + 1)):
        return tuple(range(scaled[0], scaled[-1] + 1))
    return tuple(sorted(set(scaled)))
