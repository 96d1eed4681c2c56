"""A small search space with clips of two sizes, and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxy_train.data.dataset import Dataset
from proxy_train.store.prepared_data import PreparedData, prepare
from search_space.architecture.parts import ClipShape
from search_space.space.space import SearchSpace

_LAYERS = {"kernel": ["1x3x3", "3x3x3"], "expansion": {"ratios": [1, 2]}}


def two_clip_shapes(**options: Any) -> SearchSpace:
    """Return the space; ``options`` are further entries of its YAML form."""
    return SearchSpace.from_dict(
        {
            "name": "two-sizes",
            "classes": 16,
            "options": "stream",
            "input": {"frames": 4, "size": [12, 16], "fps": 4},
            "stem": 8,
            "stages": [
                {"width": {"base": 8, "multipliers": [1, 2]}, "stride": 2, "depth": [1, 2], **_LAYERS},
                {"width": {"base": 16, "multipliers": [1, 1.5]}, "stride": 2, "depth": [1], **_LAYERS},
            ],
            "head": 32,
            "hidden": 32,
            **options,
        }
    )


def prepared(dataset: Dataset, space: SearchSpace, cache: Path) -> dict[ClipShape, PreparedData]:
    """Return a data set prepared for every clip shape of a space."""
    return {
        clip: prepare(dataset, frames=clip.frames, size=clip.size, fps=clip.fps, cache=cache)
        for clip in space.clips
    }
