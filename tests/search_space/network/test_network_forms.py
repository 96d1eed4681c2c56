"""The two forms compute one function: in any chunks, for any kernel and option, and never look ahead."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from search_space.architecture.parts import (
    BASE,
    STREAM,
    Activation,
    ConvolutionType,
    Gate,
    Kernel,
    Options,
    SqueezeType,
)
from search_space.errors import NetworkError
from search_space.network.folding import fold, to_2plus1d
from search_space.network.model import build
from search_space.network.stream_state import reset_streams, state_bytes
from tests.search_space.network.small_networks import FRAMES, KERNELS, close, network, small, stream, video


@pytest.mark.parametrize("size", [(24, 24), (25, 22)])
@pytest.mark.parametrize("convolution", ["2plus1d", "3d_2plus1d", "3d"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.time}x{k.space}")
def test_chunks_of_every_kernel(kernel: Kernel, convolution: ConvolutionType, size: tuple[int, int]) -> None:
    model = network([kernel, kernel], replace(STREAM, convolution=convolution, position_encoding=True))
    clip = video(size=size)
    with torch.inference_mode():
        whole = model(clip)
        states = []
        for chunk in (1, 2, 3, 7, FRAMES):
            logits, state = stream(model, clip, chunk)
            close(logits, whole)
            states.append(state)
        for state in states[1:]:
            for name, tensor in state.items():
                assert tensor.is_contiguous(), name
                torch.testing.assert_close(tensor, states[0][name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("squeeze", "position"),
    [("3d", False), ("2d", False), ("2plus3d", False), ("none", False), ("3d", True), ("2plus3d", True)],
)
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid", "hard_sigmoid_keras"])
def test_chunks_of_every_squeeze(squeeze: SqueezeType, gate: Gate, position: bool) -> None:
    options = replace(STREAM, squeeze=squeeze, gate=gate, position_encoding=position)
    model = network([Kernel(5, 3), Kernel(1, 5)], options)
    clip = video()
    with torch.inference_mode():
        whole = model(clip)
        for chunk in (1, 2, 3, 7, FRAMES):
            close(stream(model, clip, chunk)[0], whole)


@pytest.mark.parametrize("activation", ["swish", "hard_swish", "relu", "relu6"])
@pytest.mark.parametrize(
    "base", [BASE, STREAM, replace(BASE, convolution="2plus1d"), replace(BASE, squeeze="2d")]
)
def test_every_activation_folds(activation: Activation, base: Options) -> None:
    model = network([Kernel(3, 3), Kernel(5, 1), Kernel(1, 7)], replace(base, activation=activation))
    clip = video(2, 5)
    with torch.inference_mode():
        close(fold(model)(clip), model(clip))
        if model.causal:
            close(stream(fold(model), clip, 2)[0], model(clip))


def test_layers_without_squeeze_have_no_state_for_it() -> None:
    model = network([Kernel(1, 3), Kernel(3, 3)], STREAM, squeeze=False)
    assert list(model.initial_state()) == [
        "state_block0_layer1_stream_buffer",
        "state_block1_layer0_stream_buffer",
        "state_head_pool_buffer",
        "state_head_pool_frame_count",
    ]
    close(stream(model, video(), 4)[0], model(video()))


@pytest.mark.parametrize("convolution", ["2plus1d", "3d"])
@pytest.mark.parametrize("frame", [0, 3, 8])
def test_causality(convolution: ConvolutionType, frame: int) -> None:
    model = network(KERNELS, replace(STREAM, convolution=convolution, position_encoding=True)).float()
    clip = video(2).float()
    changed = clip.clone()
    changed[:, :, frame] = 1 - changed[:, :, frame]
    with torch.inference_mode():
        before, after = model.frame_logits(clip), model.frame_logits(changed)
    assert torch.equal(before[:, :frame], after[:, :frame])
    assert not torch.equal(before[:, frame:], after[:, frame:])


def test_frame_logits_are_those_of_the_steps() -> None:
    model, clip = network(KERNELS, STREAM), video(2)
    with torch.inference_mode():
        every = model.frame_logits(clip)
        state = model.initial_state(2)
        for index, part in enumerate(torch.split(clip, 1, 2)):
            logits, state = model.step(part, state)
            close(logits, every[:, index])
        close(every[:, -1], model(clip))


def test_base_form_sees_the_future() -> None:
    model, clip = network([Kernel(3, 3)], BASE), video()
    changed = clip.clone()
    changed[:, :, -1] = 0
    assert not torch.equal(model(clip), model(changed))
    with pytest.raises(NetworkError, match="base form"):
        model.step(clip, {})
    with pytest.raises(NetworkError, match="base form"):
        model.initial_state()


def test_step_is_pure() -> None:
    model, clip = network(KERNELS, replace(STREAM, position_encoding=True)), video()
    with torch.inference_mode():
        _, state = stream(model, clip, 3)
        kept = {name: tensor.clone() for name, tensor in state.items()}
        frame = clip[:, :, :1].clone()
        first = model.step(frame, state)
        second = model.step(frame, state)
    assert torch.equal(frame, clip[:, :, :1])
    assert torch.equal(first[0], second[0])
    for name, tensor in state.items():
        assert torch.equal(tensor, kept[name]), name
        assert torch.equal(first[1][name], second[1][name]), name
        assert first[1][name].data_ptr() != tensor.data_ptr(), name


@pytest.mark.parametrize("streams", [[1], torch.tensor([False, True, False])])
def test_reset_of_one_stream_leaves_the_others(streams: list[int] | Tensor) -> None:
    model, clip = network(KERNELS, replace(STREAM, position_encoding=True)), video(3)
    with torch.inference_mode():
        _, state = stream(model, clip[:, :, :4], 2)
        unbroken, _ = model.step(clip[:, :, 4:], state)
        reset = reset_streams(state, streams)
        logits, state = model.step(clip[:, :, 4:], reset)
        anew, _ = stream(model, clip[1:2, :, 4:], 5)
    close(logits[[0, 2]], unbroken[[0, 2]])
    close(logits[1:2], anew)
    assert state["state_head_pool_frame_count"].tolist() == [9, 5, 9]


def test_streams_of_a_batch_are_independent() -> None:
    model, clip = network(KERNELS, STREAM), video(3)
    with torch.inference_mode():
        together, _ = stream(model, clip, 2)
        for index in range(3):
            close(stream(model, clip[index : index + 1], 3)[0], together[index : index + 1])


def test_reset_refuses_streams_that_are_not_there() -> None:
    state = network([Kernel(3, 3)], STREAM).initial_state(2)
    with pytest.raises(NetworkError, match="batch of 2"):
        reset_streams(state, [2])
    with pytest.raises(NetworkError, match=r"expected shape \(2,\)"):
        reset_streams(state, torch.tensor([True]))
    with pytest.raises(NetworkError, match="empty"):
        reset_streams({}, [0])


def test_state_bytes() -> None:
    model = build(small(KERNELS, STREAM), 7)
    state = model.initial_state(3)
    assert state_bytes(state) == 4 * sum(tensor.numel() for tensor in state.values())
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int32}
    assert all(tensor.shape[0] == 3 and not tensor.any() for tensor in state.values())
    half = model.initial_state(dtype=torch.float16)
    assert half["state_head_pool_buffer"].dtype == torch.float16


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_conversion_to_2plus1d(causal: bool, folded: bool) -> None:
    options = replace(STREAM if causal else BASE, convolution="3d_2plus1d")
    model = network(KERNELS, options)
    model = fold(model) if folded else model
    converted = to_2plus1d(model)
    assert converted.architecture.options.convolution == "2plus1d"
    fresh = build(converted.architecture, 7)
    if not folded:
        assert {n: t.shape for n, t in fresh.state_dict().items()} == {
            n: t.shape for n, t in converted.state_dict().items()
        }
    close(converted(video()), model(video()))
    with pytest.raises(NetworkError, match="expected a 3d_2plus1d network, got 2plus1d"):
        to_2plus1d(converted)


def test_convolution_types_have_their_weights() -> None:
    shapes = {
        kind: build(small([Kernel(5, 3)], replace(BASE, convolution=kind)), 7).state_dict()
        for kind in ("3d", "2plus1d")
    }
    assert shapes["3d"]["blocks.block0_layer0.temporal.weight"].shape == (16, 1, 5, 3, 3)
    assert shapes["2plus1d"]["blocks.block0_layer0.temporal.weight"].shape == (16, 1, 5, 1)
    assert shapes["2plus1d"]["blocks.block0_layer0.spatial.weight"].shape == (16, 1, 3, 3)


@pytest.mark.parametrize(("batch", "frames"), itertools.product((1, 2), (1, 2, 5)))
def test_any_batch_and_length(batch: int, frames: int) -> None:
    for options in (BASE, STREAM):
        assert network(KERNELS, options)(video(batch, frames, (17, 30))).shape == (batch, 7)


@pytest.mark.parametrize("options", [BASE, STREAM, replace(STREAM, position_encoding=True)])
def test_every_tensor_is_on_the_networks_device(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    # The meta device stands for any that is not the CPU: operations refuse to mix the two, and its
    # convolutions keep the memory order of other devices.
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)  # which does not know it
    model = build(small(KERNELS, options), 4).to("meta")
    clip = torch.empty(2, 3, 4, 24, 24, device="meta")
    torch.autograd.backward(model.train()(clip).sum())
    assert {p.grad.device.type for p in model.parameters() if p.grad is not None} == {"meta"}
    if not options.causal:
        return
    with torch.inference_mode():
        for network in (model.eval(), fold(model)):
            for frames in (1, 3):
                state = network.initial_state(2, 24)
                logits, after = network.step(clip[:, :, :frames], state)
                assert {tensor.device.type for tensor in (logits, *after.values())} == {"meta"}
