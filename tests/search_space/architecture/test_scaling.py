"""Compound scaling: the family's coefficients and its heads."""

from __future__ import annotations

from itertools import pairwise

import pytest

from search_space.architecture.parts import ClipShape
from search_space.architecture.published import PUBLISHED
from search_space.architecture.scaling import (
    Coefficients,
    family_coefficients,
    scale_architecture,
    scale_clip,
)
from search_space.cost.closed_form import macs

A2 = PUBLISHED["A2-base"]


def test_coefficients_are_those_of_the_released_family() -> None:
    found = family_coefficients()
    assert found.width == pytest.approx(1.157, abs=5e-4)
    assert found.depth == pytest.approx(1.32, abs=0.01)
    assert found.resolution == pytest.approx(1.138, abs=0.01)
    assert found.rate == pytest.approx(1.3, abs=0.03)


@pytest.mark.parametrize(
    ("phi", "name", "head"), [(-2, "A0", 480), (0, "A2", 640), (1, "A3", 744), (2, "A4", 856), (3, "A5", 992)]
)
def test_scaling_a2_gives_the_familys_heads(phi: int, name: str, head: int) -> None:
    scaled = scale_architecture(A2, phi)
    assert scaled.head == head == PUBLISHED[f"{name}-base"].head
    assert scaled.hidden == 2048
    assert scaled.options == A2.options


def test_scaling_by_nothing_changes_nothing() -> None:
    assert scale_architecture(A2, 0) == A2


@pytest.mark.parametrize(("phi", "name"), [(-2, "A0"), (1, "A3"), (2, "A4"), (3, "A5")])
def test_scaled_a2_costs_about_what_the_family_does(phi: int, name: str) -> None:
    released = PUBLISHED[f"{name}-base"]
    scaled = scale_architecture(A2, phi).with_input(released.input)
    assert 0.5 < macs(scaled) / macs(released) < 2


def test_costs_grow_with_phi() -> None:
    costs = [macs(scale_architecture(A2, phi)) for phi in (-3, -2, -1, 0, 1, 2, 3)]
    assert costs == sorted(costs)
    assert len(set(costs)) == 7


def test_layers_keep_their_pattern() -> None:
    deeper = scale_architecture(A2, 3)
    for before, after in zip(A2.stages, deeper.stages, strict=True):
        assert len(after.layers) > len(before.layers)
        assert after.layers[0].kernel == before.layers[0].kernel
        assert after.layers[-1].kernel == before.layers[-1].kernel
        kernels = [layer.kernel for layer in after.layers]
        assert set(kernels) == {layer.kernel for layer in before.layers}
        changes = sum(a != b for a, b in pairwise(kernels))
        assert changes == sum(a.kernel != b.kernel for a, b in pairwise(before.layers))


def test_clips_keep_their_duration() -> None:
    for phi in (-2, -1, 1, 2, 3):
        clip = scale_clip(ClipShape(50, 224, 5), phi)
        assert clip.frames / clip.fps == pytest.approx(10, abs=0.5)
        assert clip.size % 2 == 0
    assert scale_clip(ClipShape(50, 224, 5), 1, Coefficients(1, 1, 2.0, 1)) == ClipShape(50, 448, 5)
