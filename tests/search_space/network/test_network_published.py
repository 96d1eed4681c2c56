"""Every published network: parameters, state, multiply-adds, a forward pass and a step."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from search_space.architecture.published import PUBLISHED, published
from search_space.network.folding import fold
from search_space.network.model import build

PARAMETERS = {
    "T0": (1_727_414, 2_368_958),
    "A0": (3_111_799, 3_748_031),
    "A1": (4_690_296, 6_447_352),
    "A2": (5_249_562, 7_326_962),
    "A3": (7_397_545, 10_986_618),
    "A4": (11_349_463, 18_136_182),
    "A5": (18_650_523, 31_495_934),
}
STATES = {
    "T0": (38, 326_463),
    "A0": (43, 674_208),
    "A1": (67, 1_220_585),
    "A2": (73, 2_707_115),
    "A3": (124, 4_568_947),
    "A4": (178, 12_350_175),
    "A5": (222, 18_773_511),
}
GIGAMACS = {
    "T0": (0.871, 0.835),
    "A0": (2.631, 2.426),
    "A1": (5.866, 5.540),
    "A2": (11.558, 10.700),
    "A3": (55.59, 52.13),
    "A4": (103.3, 96.7),
    "A5": (276.3, 261.7),
}


def test_all_are_here() -> None:
    assert set(PUBLISHED) == {f"{name}-{form}" for name in PARAMETERS for form in ("base", "stream")}


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("form", ["base", "stream"])
def test_parameters(name: str, form: str) -> None:
    with torch.device("meta"):
        model = build(published(f"{name}-{form}"), 600)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name][form == "stream"]


@pytest.mark.parametrize("name", STATES)
def test_state(name: str) -> None:
    with torch.device("meta"):
        model = build(published(f"{name}-stream"), 600)
    shapes = model.state_shapes()
    assert (len(shapes), sum(math.prod(shape) for shape in shapes.values())) == STATES[name]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in ("A4", "A5") else n for n in GIGAMACS]
)
@pytest.mark.parametrize("form", ["base", "stream"])
def test_multiply_adds(name: str, form: str) -> None:
    architecture = published(f"{name}-{form}")
    with torch.device("meta"):
        model = build(architecture, 600).eval()
        clip = torch.empty(
            1, 3, architecture.input.frames, architecture.input.size, architecture.input.size, device="meta"
        )
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(clip)
    assert counter.get_total_flops() / 2e9 == pytest.approx(GIGAMACS[name][form == "stream"], rel=1e-3)


HEAVY = ("A3", "A4", "A5")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n.startswith(HEAVY) else n for n in sorted(PUBLISHED)]
)
def test_runs(name: str) -> None:
    model = build(published(name), 5, seed=0).eval()
    clip = torch.rand(1, 3, 3, 48, 64)
    with torch.inference_mode():
        logits = model(clip)
        assert logits.shape == (1, 5)
        if model.causal:
            state = model.initial_state(1, (48, 64))
            for frame in torch.split(clip, 1, 2):
                stepped, state = model.step(frame, state)
            torch.testing.assert_close(stepped, logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fold(model)(clip), logits, rtol=1e-4, atol=1e-5)
