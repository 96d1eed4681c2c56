"""Weights in the port's names: against its own list of names and shapes, and its own code where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import STREAM, ClipShape, Kernel, Layer, Stage
from search_space.architecture.published import published
from search_space.errors import NetworkError
from search_space.network.folding import fold
from search_space.network.model import build
from search_space.network.official_weights import load_port
from search_space.network.sharing.port_weights import port_config, port_state_dict
from tests.search_space.network.small_networks import lively

NAMES = Path(__file__).parent / "port"
"""Names and shapes of ``state_dict`` as the port's own code (commit 0bd24db) gives them, for 7 classes."""


@pytest.mark.parametrize("name", ["A0-base", "A0-stream"])
def test_names_and_shapes_are_the_ports(name: str) -> None:
    expected = {}
    for line in (NAMES / f"{name}.txt").read_text().splitlines():
        key, _, shape = line.partition(" ")
        expected[key] = tuple(map(int, shape.split("x"))) if shape else ()
    state = port_state_dict(build(published(name), 7, seed=0))
    assert {key: tuple(value.shape) for key, value in state.items()} == expected


@pytest.mark.parametrize("gate", ["hard_sigmoid", "hard_sigmoid_keras"])
def test_what_is_written_for_the_port_is_read_back(gate: Any) -> None:
    architecture = published("A0-stream")
    architecture = architecture.with_options(replace(architecture.options, gate=gate))
    model = lively(build(architecture, 7, seed=0))
    # The port opens its gates as Keras does.
    keras = architecture.with_options(replace(architecture.options, gate="hard_sigmoid_keras"))
    read = lively(build(keras, 7, seed=1))
    load_port(read, port_state_dict(model))
    clip = torch.rand(1, 3, 4, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        difference = (read(clip) - model(clip)).abs().max() / model(clip).abs().max()
    assert float(difference) < (1e-4 if gate == "hard_sigmoid" else 1e-12)


def small(layer: Layer, *, stride: int = 2) -> Architecture:
    stages = (Stage(8, stride, (Layer(Kernel(3, 3), 16), layer)), Stage(16, 1, (Layer(Kernel(3, 3), 24),)))
    return Architecture(8, stages, 16, 24, ClipShape(8, 24, 8), STREAM)


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        (small(Layer(Kernel(3, 3), 16, squeeze=False)), "layer 1 of stage 0: it has no squeeze-excitation"),
        (small(Layer(Kernel(3, 3), 8)), "layer 1 of stage 0: it expands to 8 channels, as many"),
        (small(Layer(Kernel(3, 3), 18)), "no multiple of 4"),
        (
            replace(small(Layer(Kernel(3, 3), 16)), stages=(Stage(8, 2, (Layer(Kernel(5, 1), 16),)),)),
            "layer 0 of stage 0: its stride of 2 is wider than its kernel 5x1x1",
        ),
        (published("A3-stream"), "no network with .*position_encoding=True"),
        (published("A0-stream").with_options(replace(STREAM, activation="swish")), "activation='swish'"),
    ],
    ids=["squeeze", "expansion", "multiple", "stride", "position", "activation"],
)
def test_what_the_port_lacks_is_refused(architecture: Architecture, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        port_state_dict(build(architecture, 7))
    with pytest.raises(NetworkError, match=said):
        port_config(architecture)


def test_a_folded_network_is_refused() -> None:
    with pytest.raises(NetworkError, match="folded"):
        port_state_dict(fold(build(small(Layer(Kernel(3, 3), 16)), 7).eval()))


def as_cfg(config: dict[str, Any]) -> SimpleNamespace:
    """Return a configuration as the port's constructor takes it: attributes and tuples."""
    parts: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
    }
    for key in ("conv1", "conv7", "dense9"):
        if key in parts:
            parts[key] = as_cfg(parts[key])
    if "blocks" in parts:
        parts["blocks"] = [[as_cfg(block) for block in stage] for stage in config["blocks"]]
    return SimpleNamespace(**parts)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A0-base", "A0-stream", "A1-stream", "A2-base"])
def test_the_port_computes_the_same(name: str) -> None:
    port = pytest.importorskip("movinets.models", reason="the port is not installed")
    model = lively(build(published(name), 7, seed=0))
    convolution = "2plus1d" if model.causal else "3d"
    other = port.MoViNet(
        as_cfg(port_config(model.architecture)),
        causal=model.causal,
        num_classes=7,
        conv_type=convolution,
        tf_like=True,
    )
    other.double().eval().load_state_dict(port_state_dict(model))
    for size in (64, 65):
        clip = torch.rand(2, 3, 5, size, size)
        if model.causal:
            # Its stream buffers begin in single precision.
            other.float().clean_activation_buffers()
            model.float()
        clip = clip.to(model.stem.weight.dtype)
        with torch.no_grad():
            difference = (other(clip) - model(clip)).abs().max() / model(clip).abs().max()
        assert float(difference) < 1e-3, size
