"""The plain form is the normal one: equal weights, outputs and running statistics, and every multiply-add in
a layer that others know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import (
    BASE,
    STREAM,
    Activation,
    ClipShape,
    ConvolutionType,
    Gate,
    Kernel,
    Layer,
    Options,
    SqueezeType,
    Stage,
)
from search_space.architecture.published import PUBLISHED
from search_space.cost.closed_form import compute_cost
from search_space.errors import NetworkError
from search_space.genes.reading import preset_names
from search_space.network.clip_module import ClipModule
from search_space.network.ensemble import Ensemble
from search_space.network.folding import fold
from search_space.network.model import MoViNet, build, to_plain
from search_space.network.plain import PlainMoViNet
from search_space.network.step_module import StepModule
from search_space.space.space import SearchSpace
from tests.search_space.network.small_networks import close, lively, network, small, video

HEAVY = ("A3", "A4", "A5")


@st.composite
def options(draw: st.DrawFn) -> Options:
    causal = draw(st.booleans())
    squeeze: SqueezeType = draw(st.sampled_from(get_args(SqueezeType)))
    return Options(
        draw(st.sampled_from(get_args(ConvolutionType))),
        squeeze,
        draw(st.sampled_from(get_args(Activation))),
        draw(st.sampled_from(get_args(Gate))),
        causal,
        causal and squeeze in ("3d", "2plus3d") and draw(st.booleans()),
    )


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Small networks of every kernel, stride and option."""
    kernel = st.builds(Kernel, st.sampled_from([1, 3, 5, 7]), st.sampled_from([1, 3, 5, 7]))
    layer = st.builds(Layer, kernel, st.sampled_from([8, 16, 24]), st.booleans())
    layers = st.lists(layer, min_size=1, max_size=2).map(tuple)
    stage = st.builds(Stage, st.sampled_from([8, 16]), st.sampled_from([1, 2]), layers)
    stages = draw(st.lists(stage, min_size=1, max_size=3))
    return Architecture(8, tuple(stages), 16, 24, ClipShape(4, 20, 5), draw(options()))


@st.composite
def clips(draw: st.DrawFn) -> Tensor:
    """Clips of any number of frames, of even and odd sizes down to one pixel."""
    side = st.integers(1, 20)
    return video(draw(st.integers(2, 3)), draw(st.integers(1, 6)), (draw(side), draw(side)))


def normal_name(name: str) -> str:
    """Return the name that a weight of the plain form has in the normal one."""
    return name.replace(".conv.", ".")


def deep(architecture: Architecture) -> MoViNet:
    """Return a lively network whose branches add little: 50 that add much make rounding 1e9 times larger."""
    model = lively(build(architecture, 5, seed=0))
    for block in model.bottlenecks:
        assert block.project.scale is not None
        nn.init.constant_(block.project.scale, 0.3)
    return model


def same_weights(normal: MoViNet, plain: PlainMoViNet) -> None:
    """Compare all weights and statistics, but the number of batches, which not all normal layers count."""
    expected, found = normal.state_dict(), plain.state_dict()
    assert expected.keys() == {normal_name(name) for name in found}
    for name, tensor in found.items():
        if not name.endswith("num_batches_tracked"):
            close(tensor, expected[normal_name(name)].reshape(tensor.shape))


def same_outputs(normal: MoViNet, clip: Tensor) -> None:
    """Compare logits in evaluation and in training, with the running statistics that training leaves."""
    plain = to_plain(normal)
    with torch.no_grad():
        close(plain(clip), normal(clip))
    torch.manual_seed(3)
    expected = normal.train()(clip)
    torch.manual_seed(3)
    close(plain.train()(clip), expected)
    same_weights(normal, plain)


def in_layers(model: PlainMoViNet, clip: Tensor) -> int:
    """Return the multiply-adds of a forward pass, by outputs and weights of standard layers."""
    counts: list[int] = []

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv3d | nn.Linear)
        counts.append(output.numel() * layer.weight.shape[1:].numel())

    for layer in model.modules():
        if type(layer) in (nn.Conv3d, nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(clip)
    return sum(counts)


@given(architectures(), clips())
def test_outputs_and_statistics_are_equal(architecture: Architecture, clip: Tensor) -> None:
    same_outputs(lively(build(architecture, 7, dropout=0.3, stochastic_depth=0.4, seed=1)), clip)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n.startswith(HEAVY) else n for n in sorted(PUBLISHED)]
)
def test_published_networks_are_equal(name: str) -> None:
    same_outputs(deep(PUBLISHED[name]), video(2, 3, (34, 33)))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n[:2].upper() in HEAVY else n for n in preset_names()],
)
def test_random_networks_of_the_presets_are_equal(name: str) -> None:
    architecture = SearchSpace.preset(name).sample_at(np.random.default_rng(7))
    same_outputs(deep(architecture), video(2, 2, (32, 35)))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_all_multiply_adds_of_published_networks_are_in_standard_layers(name: str) -> None:
    architecture = PUBLISHED[name]
    with torch.device("meta"):
        plain = build(architecture, 600, plain=True).eval()
        clip = torch.empty(1, 3, architecture.input.frames, *[architecture.input.size] * 2)
    cost = compute_cost(architecture, 600)
    assert in_layers(plain, clip) == cost.macs
    assert sum(parameter.numel() for parameter in plain.parameters()) == cost.parameters


@given(architectures(), st.integers(1, 6), st.integers(1, 20))
def test_all_multiply_adds_are_in_standard_layers(architecture: Architecture, frames: int, size: int) -> None:
    with torch.device("meta"):
        plain = build(architecture, 7, plain=True).eval()
        clip = torch.empty(1, 3, frames, size, size)
    cost = compute_cost(architecture, 7, input=ClipShape(frames, size, 5))
    assert in_layers(plain, clip) == cost.macs
    assert sum(parameter.numel() for parameter in plain.parameters()) == cost.parameters


@pytest.mark.parametrize("convolution", get_args(ConvolutionType))
@pytest.mark.parametrize("form", [BASE, STREAM], ids=lambda form: form.form)
def test_fvcore_counts_both_forms_alike(form: Options, convolution: ConvolutionType) -> None:
    architecture = small([Kernel(1, 5), Kernel(3, 3), Kernel(5, 1)], replace(form, convolution=convolution))
    counted = []
    for plain in (False, True):
        with torch.device("meta"):
            normal = build(architecture, 7).eval()
            model = to_plain(normal) if plain else normal
        analysis = FlopCountAnalysis(model.to_empty(device="cpu"), torch.zeros(1, 3, 3, 20, 20))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        modules = {name: count for name, count in analysis.by_module().items() if count}
        counted.append((analysis.by_operator(), modules))
    assert counted[0][0] == counted[1][0]
    assert counted[0][1].items() <= counted[1][1].items(), "the plain form has modules besides"


def test_one_seed_gives_one_network() -> None:
    architecture = small([Kernel(3, 3)], Options("2plus1d", causal=True))
    same_weights(build(architecture, 7, seed=5).double(), build(architecture, 7, seed=5, plain=True).double())
    torch.manual_seed(0)
    normal, after_normal = build(architecture, 7).double(), torch.rand(())
    torch.manual_seed(0)
    plain, after_plain = build(architecture, 7, plain=True).double(), torch.rand(())
    same_weights(normal, plain)
    assert plain.training and after_normal == after_plain


def test_a_plain_network_is_one_of_its_own() -> None:
    normal = network([Kernel(5, 3), Kernel(1, 5)], Options())
    before = {name: tensor.clone() for name, tensor in normal.state_dict().items()}
    plain = to_plain(normal)
    assert not plain.training and (plain.classes, plain.architecture) == (7, normal.architecture)
    assert all(parameter.requires_grad and parameter.is_contiguous() for parameter in plain.parameters())
    assert to_plain(build(normal.architecture, dropout=0.2, stochastic_depth=0.3)).head.dropout.p == 0.2
    optimizer = torch.optim.SGD(plain.train().parameters(), 0.1)
    plain(video(2)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(plain.stem.conv.weight.flatten(), normal.stem.weight.flatten())
    assert all(torch.equal(tensor, before[name]) for name, tensor in normal.state_dict().items())


def test_what_the_plain_form_does_not_do_is_said() -> None:
    normal = network([Kernel(3, 3)], Options("2plus1d", causal=True))
    plain: Any = to_plain(normal)
    for method in ("step", "initial_state", "frame_logits"):
        with pytest.raises(NetworkError, match=rf"{method}: the plain form .* whole clips .*normal form"):
            getattr(plain, method)(video())
    with pytest.raises(NetworkError, match="plain form: the network is folded"):
        to_plain(fold(normal))
    for use in (fold, StepModule, ClipModule, lambda model: Ensemble([normal, model])):
        with pytest.raises(NetworkError, match="expected a MoViNet, got a PlainMoViNet"):
            use(plain)
    with pytest.raises(NetworkError, match="clip: expected 5 axes"):
        plain(video()[0])
    with pytest.raises(NetworkError, match="stochastic_depth: expected a rate"):
        build(normal.architecture, stochastic_depth=1.0, plain=True)
