"""A folded network's step of one frame goes its own, shorter way, and computes the same."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch

from search_space.architecture.parts import BASE, STREAM, Kernel, Options
from search_space.network.folding import fold
from search_space.network.model import MoViNet
from search_space.network.stream_state import State
from tests.search_space.network.small_networks import KERNELS, close, network, stream, video

OPTIONS = [
    STREAM,
    replace(STREAM, position_encoding=True, gate="hard_sigmoid_keras"),
    replace(STREAM, squeeze="3d", gate="sigmoid", activation="swish"),
    replace(STREAM, squeeze="3d", position_encoding=True, activation="relu"),
    replace(STREAM, squeeze="2d", activation="relu6"),
    replace(STREAM, squeeze="none"),
    replace(STREAM, convolution="3d_2plus1d"),
]


def compare(model: MoViNet, folded: MoViNet, size: tuple[int, int], batch: int = 2) -> None:
    """Frames one by one in both, streams of different length side by side."""
    clip = video(batch, 4, size).to(model.stem.weight.dtype)
    with torch.inference_mode():
        state: State = model.initial_state(batch, size)
        _, state = model.step(clip[:, :, :2], state)
        state = {
            name: tensor * torch.arange(batch).view(-1, *[1] * (tensor.ndim - 1)).to(tensor.dtype)
            for name, tensor in state.items()
        }
        other = dict(state)
        for frame in torch.split(clip, 1, 2):
            expected, state = model.step(frame, state)
            before = {name: tensor.clone() for name, tensor in other.items()}
            given = other
            logits, other = folded.step(frame, given)
            close(logits, expected)
            assert list(other) == list(state)
            for name, tensor in other.items():
                assert tensor.is_contiguous() and tensor.dtype == state[name].dtype, name
                close(tensor.double(), state[name].double())
                assert torch.equal(given[name], before[name]), f"the step changed its input {name}"


@pytest.mark.parametrize("size", [(24, 24), (25, 22), (7, 40), (1, 1)])
@pytest.mark.parametrize("options", OPTIONS)
def test_is_the_step(options: Options, size: tuple[int, int]) -> None:
    model = network(KERNELS, options)
    folded = fold(model)
    compare(model, folded, size)
    assert folded._frame_step is not None
    compare(model, folded, size, batch=1)


def test_layers_without_squeeze() -> None:
    model = network(KERNELS, STREAM, squeeze=False)
    compare(model, fold(model), (24, 24))


def test_only_where_it_computes_all_that_is_asked_for() -> None:
    clip = video(1, 1)
    for folded in (
        fold(network([Kernel(3, 3)], replace(STREAM, convolution="3d"))),
        network(KERNELS, STREAM),
    ):
        assert folded.frame_step() is None
        with torch.inference_mode():
            stream(folded, clip, 1)
        assert folded._frame_step is None
    folded = fold(network(KERNELS, STREAM))
    logits, _ = folded.step(clip.requires_grad_(), folded.initial_state(1, 24))
    assert folded._frame_step is None and logits.requires_grad
    assert network(KERNELS, BASE).frame_step() is None


def test_follows_the_weights_wherever_they_go() -> None:
    model, clip = network(KERNELS, STREAM), video(1, 2)
    other = network(KERNELS, STREAM)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    folded = fold(model)
    with torch.inference_mode():
        first = stream(folded, clip, 1)[0]
        folded.load_state_dict(fold(other).state_dict())
        close(stream(folded, clip, 1)[0], other(clip))
        folded.load_state_dict(fold(model).state_dict(), assign=True)
        close(stream(folded, clip, 1)[0], first)
        folded.float()
        torch.testing.assert_close(stream(folded, clip.float(), 1)[0], first.float(), rtol=1e-4, atol=1e-5)
        folded.double()
        folded.head.classifier.bias.data = folded.head.classifier.bias.data + 1
        torch.testing.assert_close(stream(folded, clip, 1)[0], first + 1, rtol=1e-4, atol=1e-5)


def test_copies_and_pickles_stand_alone() -> None:
    folded, clip = fold(network(KERNELS, STREAM)), video(1, 2)
    with torch.inference_mode():
        expected = stream(folded, clip, 1)[0]
        assert folded._frame_step is not None
        for twin in (copy.deepcopy(folded), pickle.loads(pickle.dumps(folded))):
            assert twin._frame_step is None
            folded.head.classifier.bias.add_(1)
            close(stream(twin, clip, 1)[0], expected)
            folded.head.classifier.bias.sub_(1)
