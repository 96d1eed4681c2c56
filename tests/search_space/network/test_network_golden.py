"""The networks against recorded outputs of the official implementation, with weights made from their
names."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from search_space.network.folding import fold
from search_space.network.model import MoViNet
from tests.search_space.network.golden import TOLERANCE, clip, error, network, recorded

CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    # TensorFloat-32 is the default of CUDA's convolutions: ten bits of mantissa.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return str(request.param)


def on(device: str, model: MoViNet) -> MoViNet:
    """The network on a device; a copy, because networks are shared between tests."""
    return model if device == "cpu" else copy.deepcopy(model).to(device)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", ["a0_base", "a0_stream", "a2_base", "a2_stream"])
def test_clip(name: str, folded: bool, device: str) -> None:
    model = on(device, fold(network(name)) if folded else network(name))
    with torch.inference_mode():
        logits = model(clip(name).to(device))
    assert error(logits.cpu(), recorded(name)["clip_logits"]) < TOLERANCE


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", ["a0_stream", "a2_stream"])
def test_frame_by_frame(name: str, folded: bool, device: str) -> None:
    model = on(device, fold(network(name)) if folded else network(name))
    golden = recorded(name)
    state = model.initial_state()
    assert list(state) == list(golden["states"])
    for key, (shape, _) in golden["states"].items():
        assert state[key].numel() == math.prod(shape), key
    with torch.inference_mode():
        for index, frame in enumerate(torch.split(clip(name).to(device), 1, 2)):
            logits, state = model.step(frame, state)
            assert error(logits.cpu(), golden["frame_logits"][index]) < TOLERANCE
    for key, total in golden["state_abs_sum_after_last_frame"].items():
        assert float(state[key].double().abs().sum()) == pytest.approx(total, rel=1e-5), key


@pytest.mark.parametrize("name", ["a0_base", "a0_stream", "a2_base", "a2_stream"])
def test_parameter_counts(name: str) -> None:
    model, golden = network(name), recorded(name)
    trainable = sum(parameter.numel() for parameter in model.parameters())
    statistics = sum(b.numel() for n, b in model.named_buffers() if not n.endswith("num_batches_tracked"))
    assert trainable == golden["trainable"]
    assert trainable + statistics == golden["total"]
