"""Weights that networks inherit: first channels and layers, so that a larger heir computes the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Options, Stage
from search_space.errors import NetworkError
from search_space.network.model import build
from search_space.network.sharing.inherited_weights import first_channels, inherit
from tests.search_space.network.small_networks import close, lively, video

FORMS = {
    "base": BASE,
    "stream": STREAM,
    "stream-2d": replace(STREAM, squeeze="2d"),
    "stream-3d": replace(STREAM, convolution="3d_2plus1d", squeeze="3d"),
}


def two_stages(options: Options, *, width: int, expansion: int, kernel: Kernel, depth: int) -> Architecture:
    """Return two stages: a strided first layer of ``kernel``, then layers of it."""
    layers = (Layer(kernel, expansion),) * depth
    stages = (Stage(width, 2, layers), Stage(2 * width, 1, layers))
    return Architecture(width, stages, 4 * width, 4 * width, ClipShape(8, 24, 8), options)


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_a_larger_heir_computes_what_the_source_does(options: Options) -> None:
    small = two_stages(options, width=8, expansion=16, kernel=Kernel(3, 3), depth=1)
    large = two_stages(options, width=16, expansion=40, kernel=Kernel(5, 5), depth=3)
    source, heir = lively(build(small, 5, seed=1)), build(large, 5, seed=2).double().eval()
    assert not torch.allclose(heir(video()), source(video()))
    names = inherit(heir, source.state_dict(), small)
    close(heir(video()), source(video()))
    assert names == [name for name in heir.state_dict() if name in source.state_dict()]


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_a_smaller_heir_gets_the_first_channels_and_layers(options: Options) -> None:
    small = two_stages(options, width=8, expansion=16, kernel=Kernel(3, 3), depth=1)
    large = two_stages(options, width=16, expansion=40, kernel=Kernel(5, 3), depth=3)
    source, heir = lively(build(large, 5, seed=1)), build(small, 5, seed=2).double()
    assert inherit(heir, source.state_dict(), large) == list(heir.state_dict())
    theirs, ours = source.state_dict(), heir.state_dict()
    project = "blocks.block1_layer0.project.weight"
    assert torch.equal(ours[project], theirs[project][:16, :16])
    assert torch.equal(ours["stem.norm.running_var"], theirs["stem.norm.running_var"][:8])
    temporal = "blocks.block0_layer0.temporal.weight"
    # The latest frames of a causal kernel, the middle ones of another.
    frames = slice(2, 5) if options.causal else slice(1, 4)
    assert torch.equal(ours[temporal], theirs[temporal][:16, :, frames])
    if options.squeeze == "2plus3d":
        reduce = "blocks.block0_layer0.squeeze.reduce.weight"
        rows = ours[reduce].shape[0]
        assert torch.equal(ours[reduce][:, :16], theirs[reduce][:rows, :16])
        assert torch.equal(ours[reduce][:, 16:], theirs[reduce][:rows, 40:56])


def test_a_classifier_of_other_classes_stays_as_it_was() -> None:
    architecture = two_stages(STREAM, width=8, expansion=16, kernel=Kernel(3, 3), depth=1)
    source, heir = lively(build(architecture, 5, seed=1)), build(architecture, 4, seed=2)
    before = heir.head.classifier.weight.detach().clone()
    names = inherit(heir, source.state_dict(), architecture)
    assert torch.equal(heir.head.classifier.weight, before)
    assert set(heir.state_dict()) - set(names) == {"head.classifier.weight", "head.classifier.bias"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (BASE, "causal False for one with causal True"),
        (replace(STREAM, activation="swish"), "activation swish"),
        (replace(STREAM, squeeze="3d"), "squeeze 3d"),
        (replace(STREAM, convolution="3d_2plus1d"), "convolution 3d_2plus1d"),
    ],
)
def test_weights_of_another_form_are_refused(options: Options, said: str) -> None:
    theirs = two_stages(options, width=8, expansion=16, kernel=Kernel(3, 3), depth=1)
    ours = two_stages(STREAM, width=8, expansion=16, kernel=Kernel(3, 3), depth=1)
    heir = build(ours, 5, seed=2)
    before = {name: value.clone() for name, value in heir.state_dict().items()}
    with pytest.raises(NetworkError, match=said):
        inherit(heir, build(theirs, 5).state_dict(), theirs)
    with pytest.raises(NetworkError, match="none of the 1 tensors"):
        inherit(heir, {"conv1.weight": torch.zeros(2, 2)}, ours)
    assert all(torch.equal(value, before[name]) for name, value in heir.state_dict().items())


def test_layers_without_squeeze_excitation_inherit_the_rest() -> None:
    theirs = two_stages(STREAM, width=8, expansion=16, kernel=Kernel(3, 3), depth=1)
    ours = theirs.with_options(replace(STREAM, squeeze="none"))
    heir = build(ours, 5, seed=2)
    assert inherit(heir, build(theirs, 5).state_dict(), theirs) == list(heir.state_dict())


def test_kernels_are_cut_and_padded_about_their_centre() -> None:
    old = torch.arange(25.0).reshape(1, 1, 5, 5)
    small = first_channels(old, torch.ones(1, 1, 3, 3), causal=True)
    assert torch.equal(small, old[:, :, 1:4, 1:4]), "space has no latest place"
    large = first_channels(small, torch.ones(2, 1, 5, 5))
    assert torch.equal(large[:1, :, 1:4, 1:4], small)
    assert float(large[0].sum()) == float(small.sum())
    assert torch.equal(large[1], torch.ones(1, 5, 5)), "further channels stay"
    assert torch.equal(first_channels(old, torch.ones(1, 1, 1, 1), causal=True), old[:, :, 2:3, 2:3])
