"""The networks against recorded outputs of the official implementation, with weights made from their
names."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from search_space.architecture.published import published
from search_space.network.folding import fold
from search_space.network.model import MoViNet, build
from search_space.network.official_weights import load_official

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-5  # of the largest logit; float32 rounding gives 2e-6
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    # TensorFloat-32 is the default of CUDA's convolutions: ten bits of mantissa.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return str(request.param)


@functools.cache
def recorded(name: str) -> dict[str, Any]:
    with gzip.open(GOLDEN / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def variable(name: str, shape: list[int]) -> npt.NDArray[np.float32]:
    """A variable's value, from nothing but its name and shape."""
    z = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    last = name.rpartition("/")[2].partition("#")[0]
    if last == "moving_variance":
        z = 1 + 0.25 * np.tanh(z)
    elif last == "gamma":
        z = 1 + 0.1 * z
    elif last == "scale":
        z = 0.5 + 0.1 * z
    elif last == "kernel":
        z = z * math.sqrt(2 / math.prod(shape[:-1]))
    elif last == "depthwise_kernel":
        z = z * math.sqrt(2 / math.prod(shape[:2]))
    else:
        assert last in {"moving_mean", "beta", "bias"}
        z = 0.1 * z
    return np.asarray(z, dtype=np.float32)


@functools.cache
def network(name: str) -> MoViNet:
    model = build(published(name.replace("_", "-")), 600).eval()
    load_official(model, {name: variable(name, shape) for name, shape in recorded(name)["variables"]})
    return model


def on(device: str, model: MoViNet) -> MoViNet:
    """The network on a device; a copy, because networks are shared between tests."""
    return model if device == "cpu" else copy.deepcopy(model).to(device)


def clip(name: str) -> Tensor:
    golden = recorded(name)
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(b"input")))
    values = generator.random((1, golden["frames"], golden["size"], golden["size"], 3)).astype(np.float32)
    return torch.from_numpy(values).permute(0, 4, 1, 2, 3)


def error(logits: Tensor, expected: list[float]) -> float:
    target = torch.tensor(expected)
    return float((logits[0] - target).abs().max() / target.abs().max())


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
