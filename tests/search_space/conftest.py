"""A space small enough to list, for the tests of search spaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search_space.space.space import SearchSpace


@pytest.fixture
def tiny() -> Callable[..., SearchSpace]:
    """Builds a small space with both granularities, an own first layer, squeeze on or off, four clips."""
    return _tiny


def _tiny(**changes: Any) -> SearchSpace:
    data: dict[str, Any] = {
        "name": "tiny",
        "input": {"frames": [2, 4], "size": 16, "fps": [4, 8]},
        "stem": 8,
        "stages": [
            {
                "width": {"base": 8, "multipliers": [1, 1.25, 2]},
                "stride": 2,
                "depth": [1, 3],
                "kernel": ["1x3x3", "3x3x3"],
                "first": {"kernel": ["5x3x3", "1x3x3"]},
                "expansion": {"ratios": [1, 2]},
            },
            {
                "width": [16, 24],
                "stride": 1,
                "depth": [1, 2],
                "kernel": ["3x3x3", "1x5x5"],
                "expansion": {"also": [16]},
                "squeeze": [True, False],
                "granularity": "layer",
            },
        ],
        "head": [16, 32],
        "hidden": 16,
    }
    return SearchSpace.from_dict(data | changes)
