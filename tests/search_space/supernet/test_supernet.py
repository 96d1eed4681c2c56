"""The shared weights hold every network of a space: its first channels and layers, and its own kernels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Kernel
from search_space.errors import SpaceError
from search_space.network.layers import make_divisible
from search_space.network.model import MoViNet, build
from search_space.space.space import SearchSpace
from search_space.supernet.supernet import KernelSharing, Supernet

PRESETS = ("quickstart", "a0-stream", "t0")
CLASSES = 5


@cache
def supernet(preset: str, kernels: KernelSharing = "own") -> Supernet:
    """Return shared weights in double precision, none of which is 0."""
    model = Supernet(SearchSpace.preset(preset), CLASSES, kernels=kernels, seed=0).double()
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight.data.add_(0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return model


def clip(frames: int = 3, size: int = 20, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(batch, 3, frames, size, size, dtype=torch.float64, generator=generator)


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernels", ["own", "cropped"])
@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_network_of_views_and_the_extracted_one_agree(
    preset: str, kernels: KernelSharing, seed: int
) -> None:
    shared = supernet(preset, kernels)
    architecture = shared.space.sample(np.random.default_rng(seed))
    alone = shared.extract(architecture).train()
    assert alone.architecture == architecture
    frames = clip()
    close(shared(frames, architecture), alone(frames))


@pytest.mark.parametrize(
    "preset", ["quickstart", *(pytest.param(name, marks=pytest.mark.slow) for name in PRESETS[1:])]
)
def test_every_choice_of_every_gene_can_be_extracted(preset: str) -> None:
    shared = supernet(preset)
    space, middle = shared.space, [gene.choices // 2 for gene in shared.space.genes]
    frames = clip(frames=2, size=12)
    for place, gene in enumerate(space.genes):
        for choice in range(gene.choices):
            architecture = space.decode([*middle[:place], choice, *middle[place + 1 :]])
            network = shared.extract(architecture)
            assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
                name: tensor.shape for name, tensor in _skeleton(architecture).state_dict().items()
            }, f"{gene.name} {gene.labels[choice]}"
            close(shared(frames, architecture), network.train()(frames))


def _skeleton(architecture: Architecture) -> MoViNet:
    with torch.device("meta"):
        return build(architecture, CLASSES)


@pytest.mark.parametrize("preset", ["quickstart", "a0-stream"])
@pytest.mark.parametrize("seed", range(3))
def test_a_network_is_the_largest_one_without_the_rest(preset: str, seed: int) -> None:
    """With nothing but zeros outside of a network's places, the largest network computes what it does."""
    shared = Supernet(SearchSpace.preset(preset), CLASSES, seed=seed).double()
    for weight in shared.parameters():
        weight.data.add_(0.2)
    small = _with_widths_that_change_alike(shared.space, np.random.default_rng(seed))
    frames = clip()
    expected = shared.extract(small).eval()
    _keep_only(shared, small)
    large = shared.extract(_largest_around(shared.space, small)).eval()
    assert sum(map(Tensor.numel, large.parameters())) > sum(map(Tensor.numel, expected.parameters()))
    close(large(frames), expected(frames))
    state, around = expected.initial_state(2, 20), large.initial_state(2, 20)
    for frame in torch.split(frames, 1, 2):
        one, state = expected.step(frame, state)
        other, around = large.step(frame, around)
        close(other, one)


def _with_widths_that_change_alike(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Return a network that has skips with weights where the largest one has them."""
    largest = _widths(space)
    while True:
        drawn = space.sample(rng)
        widths = [stage.width for stage in drawn.stages]
        if all(
            (widths[i] == widths[i + 1]) == (largest[i] == largest[i + 1])
            for i, stage in enumerate(drawn.stages[1:])
            if stage.stride == 1
        ):
            return drawn


def _widths(space: SearchSpace) -> list[int]:
    return [max(stage.widths) for stage in space.choices.stages]


def _largest_around(space: SearchSpace, small: Architecture) -> Architecture:
    """Return a network with all channels and layers of the space, and the kernels of a small one."""
    choices, stages = space.choices, []
    for stage, of in zip(small.stages, choices.stages, strict=True):
        layers = []
        for position in range(of.depths[-1]):
            layer_choices = of.rest if position else of.first
            layer = stage.layers[min(position, len(stage.layers) - 1)]
            kernel = layer.kernel if layer.kernel in layer_choices.kernels else layer_choices.kernels[0]
            layers.append(replace(layer, kernel=kernel, expansion=max(layer_choices.expansions)))
        stages.append(replace(stage, width=max(of.widths), layers=tuple(layers)))
    return Architecture(
        max(choices.stems),
        tuple(stages),
        max(choices.heads),
        max(choices.hiddens),
        small.input,
        small.options,
    )


def _keep_only(shared: Supernet, architecture: Architecture) -> None:
    """Set every shared weight to 0 that is not a network's: found by the gradients that it gives."""
    used = shared.extract(architecture)
    for weight in used.parameters():
        weight.grad = torch.ones_like(weight)
    shared.add_gradients(used)
    for weight in shared.parameters():
        weight.data = torch.zeros_like(weight) if weight.grad is None else weight.data * weight.grad


def _kernels_of(space: SearchSpace, wanted: Kernel) -> Architecture | None:
    """Return a network all of whose layers have a kernel, if the space has one."""
    for seed in range(500):
        drawn = space.sample(np.random.default_rng(seed))
        stages = tuple(
            replace(stage, layers=tuple(replace(layer, kernel=wanted) for layer in stage.layers))
            for stage in drawn.stages
        )
        if space.contains(replace(drawn, stages=stages)):
            return replace(drawn, stages=stages)
    return None


@pytest.mark.parametrize(("small", "large"), [("1x3x3", "1x5x5"), ("3x3x3", "5x3x3")])
def test_a_cropped_kernel_is_the_large_one_with_zeros_around(small: str, large: str) -> None:
    space = SearchSpace.preset("a0-stream" if small == "1x3x3" else "quickstart")
    shared = Supernet(space, CLASSES, kernels="cropped", seed=0).double()
    narrow = _kernels_of(space, Kernel.parse(small))
    assert narrow is not None
    wide = _kernels_of(space, Kernel.parse(large))
    assert wide is not None
    wide = replace(
        narrow,
        stages=tuple(
            replace(
                stage,
                layers=tuple(replace(layer, kernel=Kernel.parse(large)) for layer in stage.layers),
            )
            for stage in narrow.stages
        ),
    )
    expected = shared.extract(narrow).eval()
    for weight in shared.parameters():
        weight.data.add_(0.1)
    expected = shared.extract(narrow).eval()
    _keep_only(shared, narrow)
    frames = clip(frames=6)
    close(shared.extract(wide).eval()(frames), expected(frames))


@pytest.mark.parametrize("kernels", ["own", "cropped"])
def test_gradients_of_networks_add_up_in_the_shared_weights(kernels: KernelSharing) -> None:
    shared = Supernet(SearchSpace.preset("quickstart"), CLASSES, kernels=kernels, seed=0).double()
    rng, frames = np.random.default_rng(0), clip()
    drawn = [shared.space.sample(rng) for _ in range(3)]
    shared.zero_grad()
    for architecture in drawn:
        shared(frames, architecture).square().sum().backward()
    expected = {name: weight.grad for name, weight in shared.named_parameters()}
    shared.zero_grad()
    for architecture in drawn:
        network = shared.network(architecture).train()
        shared.load_into(network)
        network(frames).square().sum().backward()
        shared.add_gradients(network)
        assert all(weight.grad is None for weight in network.parameters())
    found = dict(shared.named_parameters())
    assert any(gradient is None for gradient in expected.values()) or kernels == "cropped"
    for name, gradient in expected.items():
        own = found[name].grad
        if gradient is None or own is None:
            assert gradient is None, name
            assert own is None, name
        else:
            torch.testing.assert_close(own, gradient, rtol=1e-7, atol=1e-7 * float(gradient.abs().max()))


def test_the_number_of_shared_weights_is_what_sharing_says() -> None:
    space = SearchSpace.preset("quickstart")
    expected, inputs = 8 * 3 * 9 + 2 * 8, [8]
    for stage in space.choices.stages:
        for position in range(max(stage.depths)):
            choices, width = stage.rest if position else stage.first, max(stage.widths)
            channels = max(choices.expansions)
            hidden = make_divisible(0.25 * 2 * channels)
            expected += max(inputs) * channels + 2 * channels
            for kernel in choices.kernels:
                expected += channels * (kernel.space**2 + 2)
                expected += channels * (kernel.time + 2) if kernel.time > 1 else 0
            expected += hidden * (2 * channels + 1) + channels * (hidden + 1)
            expected += channels * width + 2 * width + 1
            if position == 0 and (stage.stride == 2 or set(inputs) != {width}):
                expected += max(inputs) * width + 2 * width
            inputs = list(stage.widths)
    head, hidden = max(space.choices.heads), max(space.choices.hiddens)
    expected += max(inputs) * head + 2 * head + head * hidden + hidden + hidden * CLASSES + CLASSES
    assert Supernet(space, CLASSES).parameter_count == expected


def test_networks_keep_statistics_of_their_own() -> None:
    shared = supernet("quickstart")
    architecture = shared.space.smallest()
    with torch.no_grad():
        shared.network(architecture).train()(clip())
    for name, value in shared.extract(architecture).named_buffers():
        if name.endswith("running_mean"):
            assert not value.any(), name
    assert not any(name.endswith(("running_mean", "running_var")) for name in shared.state_dict())


def test_a_seed_decides_the_weights() -> None:
    space = SearchSpace.preset("quickstart")
    one, same, other = (Supernet(space, CLASSES, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["stem.weight"], other["stem.weight"])


def test_a_network_of_another_space_is_refused() -> None:
    shared, other = supernet("quickstart"), SearchSpace.preset("a0-stream").smallest()
    for use in (shared.extract, shared.network, lambda network: shared(clip(), network)):
        with pytest.raises(SpaceError, match="not in the space"):
            use(other)
