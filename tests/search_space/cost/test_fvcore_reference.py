"""The closed form equals fvcore's counts, operator by operator, in total and in every layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Options, Stage
from search_space.architecture.published import PUBLISHED
from search_space.cost import fvcore_reference
from search_space.cost.closed_form import macs
from search_space.cost.fvcore_reference import Comparison, compare_with_fvcore
from search_space.cost.operators import Operator, operators
from search_space.genes.reading import preset_names
from search_space.space.space import SearchSpace

_CLIP = ClipShape(3, 33, 5)


def _check(comparison: Comparison) -> None:
    wrong = [row for row in (*comparison.totals, *comparison.layers) if not row.agrees]
    assert not wrong
    assert comparison.agrees
    assert {row.operator for row in comparison.totals} == {"conv", "linear", "batch_norm"}
    assert all(row.closed > 0 for row in comparison.totals)


@pytest.mark.parametrize("name", ["T0-base", "T0-stream", "A0-base", "A0-stream"])
def test_published_networks_at_a_small_clip(name: str) -> None:
    _check(compare_with_fvcore(PUBLISHED[name], 400, input=_CLIP))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in PUBLISHED if n[:2] not in ("T0", "A0")])
def test_larger_published_networks_at_a_small_clip(name: str) -> None:
    _check(compare_with_fvcore(PUBLISHED[name], input=_CLIP))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_at_their_own_clip(name: str) -> None:
    comparison = compare_with_fvcore(PUBLISHED[name])
    _check(comparison)
    counted = sum(row.counted for row in comparison.totals if row.operator != "batch_norm")
    assert counted == macs(PUBLISHED[name])


# Short, since fvcore takes its time over every layer: strided and not, with and without a shortcut's own
# convolution, with kernels in space, in time and in both, with and without a squeeze.
_STAGES = (
    Stage(8, 2, (Layer(Kernel(1, 3), 16), Layer(Kernel(5, 1), 24))),
    Stage(16, 2, (Layer(Kernel(3, 5), 24, squeeze=False), Layer(Kernel(3, 3), 40))),
    Stage(24, 1, (Layer(Kernel(1, 3), 40),)),
)
_OPTIONS = [
    replace(form, convolution=convolution, squeeze=squeeze)
    for form in (BASE, STREAM)
    for convolution in ("3d", "2plus1d", "3d_2plus1d")
    for squeeze in ("3d", "2d", "2plus3d", "none")
] + [replace(STREAM, position_encoding=True)]


@pytest.mark.parametrize("options", _OPTIONS, ids=lambda o: f"{o.form}-{o.convolution}-{o.squeeze}")
def test_every_convolution_and_squeeze_type(options: Options) -> None:
    network = Architecture(8, _STAGES, 32, 48, ClipShape(2, 20, 5), options)
    _check(compare_with_fvcore(network, 16))


def _random_networks_agree(name: str, count: int) -> None:
    space = SearchSpace.preset(name)
    rng = np.random.default_rng(2021)
    for _ in range(count):
        clip = ClipShape(int(rng.integers(1, 4)), int(rng.integers(16, 40)), 5)
        _check(compare_with_fvcore(space.sample_at(rng), int(rng.integers(1, 700)), input=clip))


@pytest.mark.parametrize("name", ["quickstart", "t0", "a0-stream"])
def test_random_networks_of_small_presets(name: str) -> None:
    _random_networks_agree(name, 1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", preset_names())
def test_two_hundred_random_networks_of_each_preset(name: str) -> None:
    _random_networks_agree(name, 200)


def test_one_multiply_add_too_many_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(*args: Any, **options: Any) -> list[Operator]:
        return [
            replace(operator, macs=operator.macs + (operator.name == "classifier"))
            for operator in operators(*args, **options)
        ]

    monkeypatch.setattr(fvcore_reference, "operators", careless)
    comparison = compare_with_fvcore(PUBLISHED["T0-base"], 10, input=_CLIP)
    assert not comparison.agrees
    wrong = [row for row in (*comparison.totals, *comparison.layers) if not row.agrees]
    assert [(row.layer, row.operator) for row in wrong] == [
        ("total", "linear"),
        ("head.classifier", "linear"),
    ]
