"""Scaled spaces: the presets are those of A2's space, and each is a space."""

from __future__ import annotations

import numpy as np
import pytest

from search_space.architecture.published import PUBLISHED
from search_space.space.scaling import scale_depths, scale_space
from search_space.space.space import SearchSpace


@pytest.mark.parametrize(
    ("depths", "factor", "expected"),
    [
        ([1, 2, 3], 2.0, (2, 3, 4, 5, 6)),
        (range(1, 11), 0.575, (1, 2, 3, 4, 5, 6)),
        ([1, 4], 2.0, (2, 8)),
        ([3], 0.1, (1,)),
        ([20], 10.0, (26,)),
    ],
)
def test_depths(depths: list[int], factor: float, expected: tuple[int, ...]) -> None:
    assert scale_depths(depths, factor) == expected


@pytest.mark.parametrize(("phi", "name"), [(-3, "t0"), (-2, "a0"), (1, "a3"), (2, "a4"), (3, "a5")])
def test_presets_are_the_scaled_space_of_a2(phi: int, name: str) -> None:
    scaled, written = scale_space(SearchSpace.preset("a2"), phi), SearchSpace.preset(name)
    assert scaled.settings.width_factor == pytest.approx(written.settings.width_factor, rel=1e-3)
    for ours, theirs in zip(scaled.choices.stages, written.choices.stages, strict=True):
        released = {layer.expansion for layer in PUBLISHED[f"{name.upper()}-base"].stages[ours.index].layers}
        released |= {PUBLISHED[f"{name.upper()}-base"].stages[ours.index].width}
        assert set(theirs.widths) - set(ours.widths) <= released
        assert set(ours.widths) <= set(theirs.widths)
        assert set(theirs.rest.expansions) - set(ours.rest.expansions) <= released
        assert theirs.rest.kernels == ours.rest.kernels
        assert theirs.depths[-1] == ours.depths[-1]


@pytest.mark.parametrize("phi", [-2, 1])
def test_a_scaled_space_is_a_space(phi: int) -> None:
    space = scale_space(SearchSpace.preset("quickstart"), phi)
    assert space.name == "quickstart-scaled"
    low, high = space.macs_range()
    before = SearchSpace.preset("quickstart").macs_range()
    assert (low < before[0] and high < before[1]) if phi < 0 else (low > before[0] and high > before[1])
    network = space.sample_at(np.random.default_rng(0))
    assert space.decode(space.encode(network)) == network
    assert type(space).from_dict(space.to_dict()) == space
