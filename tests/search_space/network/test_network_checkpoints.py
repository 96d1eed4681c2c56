"""Weights of the official implementation and of the PyTorch port, by name and without either of them."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from search_space.architecture.published import published
from search_space.errors import NetworkError
from search_space.network.model import MoViNet, build
from search_space.network.official_weights import (
    load_official,
    load_port,
    load_tensorflow,
    official_name,
    port_name,
    repeated_scales,
    variables_of_graph,
)
from tests.search_space.network.golden import TOLERANCE, clip, error, recorded, variable


def port_state(model: MoViNet) -> dict[str, Tensor]:
    """A state dict as the port names it, with 5-D or 4-D weights and values of its own."""
    kind = "conv2d" if model.causal else "conv3d"
    parts = {"expand": "expand.conv_1", "spatial": "deep.conv_1", "project": "project.conv_1"}
    parts["temporal"] = "deep.conv_2" if model.causal else "deep.conv_1"
    parts |= {"squeeze.reduce": "se.fc1.conv_1", "squeeze.expand": "se.fc2.conv_1"}
    outer = {"stem": "conv1.conv_1", "head.project": "conv7.conv_1"}
    outer |= {"head.hidden": "classifier.0.conv_1", "head.classifier": "classifier.3.conv_1"}
    result: dict[str, Tensor] = {}
    for index, (name, tensor) in enumerate(model.state_dict().items()):
        value = torch.full_like(tensor, index)
        if name.endswith("scale"):
            result[name.replace(".project.scale", ".alpha")] = value
            continue
        module, leaf = name.split(".norm.") if ".norm." in name else name.rsplit(".", 1)
        leaf = f"norm.{leaf}" if ".norm." in name else f"{kind}.{leaf}"
        if module in outer:
            place = outer[module]
        else:
            _, block, part = module.split(".", 2)
            strided = model.blocks[block].stride == 2
            place = f"blocks.{block}." + (
                f"res.{int(bool(strided))}.conv_1" if part == "skip.project" else parts[part]
            )
        if leaf.endswith("weight") and not leaf.startswith("norm"):
            dims = 4 if model.causal else 5
            while value.ndim < dims:
                value = value.unsqueeze(2 if value.ndim == 4 else -1)
        result[f"{place}.{leaf}"] = value
    return {re.sub(r"block(\d+)_layer(\d+)", r"b\1_l\2", name): value for name, value in result.items()}


@pytest.mark.parametrize("name", ["A0-base", "A0-stream", "A1-base", "A2-stream"])
def test_port_state_dict(name: str) -> None:
    model = build(published(name), 600)
    state = port_state(model)
    assert "blocks.b1_l0.deep.conv_1.norm.running_mean" in state
    assert "blocks.b1_l0.res.1.conv_1.norm.weight" in state and "blocks.b1_l0.alpha" in state
    load_port(model, state)
    for index, (key, tensor) in enumerate(model.state_dict().items()):
        assert bool((tensor == index).all()), key


def test_port_mismatches() -> None:
    model = build(published("A0-base"), 600)
    state = port_state(model)
    key = "blocks.b1_l0.expand.conv_1.conv3d.weight"
    with pytest.raises(NetworkError, match=r"expand.*expected shape \(80, 8, 1, 1\), got \(80, 9, 1, 1, 1\)"):
        load_port(model, state | {key: torch.zeros(80, 9, 1, 1, 1)})
    with pytest.raises(NetworkError, match=r"blocks.block1_layer0.expand.weight is missing"):
        load_port(model, {name: value for name, value in state.items() if name != key})
    with pytest.raises(NetworkError, match=r"blocks.b9_l0.alpha of shape \(\) has no place"):
        load_port(model, state | {"blocks.b9_l0.alpha": torch.zeros(())})
    for name in (
        "nonsense",
        "blocks.b0_l0.deep.conv_1.conv3d.nonsense",
        "blocks.b0_l0.nonsense.conv_1.norm.bias",
    ):
        assert port_name(model, name) is None


def array(*shape: int) -> npt.NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def test_official_names() -> None:
    stream = build(published("A3-stream"), 600)
    layer, ours_layer = "block1_layer2", "blocks.block1_layer2"
    cases = {
        "stem/stem/conv2d/conv2d/kernel": "stem.weight",
        "movinet_classifier/movinet/stem/stem/conv2d/bn/gamma:0": "stem.norm.weight",
        f"{layer}/bneck/feature/conv2d_temporal/bn_temporal/gamma": f"{ours_layer}.temporal.norm.weight",
        f"{layer}/bneck/feature/conv2d/bn/beta": f"{ours_layer}.spatial.norm.bias",
        f"{layer}/bneck/se/se_reduce/conv2d/conv2d_1/bias": f"{ours_layer}.squeeze.reduce.bias",
        f"{layer}/bneck/se/pos_encoding/scale": f"{ours_layer}.squeeze.position.scale",
        f"{layer}/scale": f"{ours_layer}.project.scale",
        "block1_layer0/bneck/skip/skip_project/bn/gamma": "blocks.block1_layer0.skip.project.norm.weight",
        "classifier_head_1/head/conv2d/conv2d/kernel": "head.hidden.weight",
        "classifier_head/classifier/conv2d/conv2d_1/bias": "head.classifier.bias",
        "head/project/conv2d/bn/moving_variance": "head.project.norm.running_var",
    }
    for official, ours in cases.items():
        assert official_name(stream, official) == ours
        assert ours in stream.state_dict()
    for unknown in (
        "global_step",
        "block1_layer2/nonsense",
        "classifier_head/other/kernel",
        "stem/stem/bn/nonsense",
    ):
        assert official_name(stream, unknown) is None
    base = build(published("A3-base"), 600)
    kernel = "bneck/feature/conv3d/kernel"
    assert official_name(base, f"block0_layer0/{kernel}") == "blocks.block0_layer0.spatial.weight"
    assert official_name(base, f"block0_layer1/{kernel}") == "blocks.block0_layer1.temporal.weight"


@pytest.mark.parametrize("rootless", [False, True])
def test_scales_told_apart_by_order(rootless: bool) -> None:
    """Position encodings' scales may bear the block's name, or none."""
    options = replace(published("T0-stream").options, position_encoding=True)
    model = build(published("T0-stream").with_options(options), 5)
    names: list[str] = []
    expected: dict[str, str] = {}
    for index, block in enumerate(model.blocks):
        position = ("scale" if index == 0 else f"scale#{index + 1}") if rootless else f"{block}/scale"
        own = f"{block}/scale" if rootless else f"{block}/scale#2"
        names += [position, own]
        expected |= {position: f"blocks.{block}.squeeze.position.scale", own: f"blocks.{block}.project.scale"}
    found = {name: official_name(model, name) for name in names} | repeated_scales(model, names)
    assert found == expected
    assert set(expected.values()) <= set(model.state_dict())


def test_official_mismatches() -> None:
    model = build(published("A0-base"), 600)
    name = "block0_layer0/bneck/expansion/conv3d/kernel"
    with pytest.raises(
        NetworkError, match=rf"{name}.*expected shape \(24, 8, 1, 1\), got \(25, 8, 1, 1, 1\)"
    ):
        load_official(model, {name: array(1, 1, 1, 8, 25)})
    with pytest.raises(NetworkError, match=r"are both the tensor stem.norm.weight"):
        load_official(model, {"stem/stem/bn/gamma": array(8), "x/stem/stem/bn/gamma": array(8)})
    with pytest.raises(NetworkError, match=r"nothing/here of shape \(3,\) has no place"):
        load_official(model, {"nothing/here": array(3)})
    with pytest.raises(NetworkError, match=r"stem.weight is missing, expected shape \(8, 3, 3, 3\)"):
        load_official(model, {})


def graph_of(*nodes: tuple[str, dict[str, int]]) -> SimpleNamespace:
    """An object graph of nodes that are a variable's full name or "", and children by local name."""
    return SimpleNamespace(
        nodes=[
            SimpleNamespace(
                attributes=[SimpleNamespace(full_name=name, checkpoint_key=f"node {index}")] if name else [],
                children=[SimpleNamespace(local_name=key, node_id=child) for key, child in children.items()],
            )
            for index, (name, children) in enumerate(nodes)
        ]
    )


def test_variables_of_an_object_graph() -> None:
    graph = graph_of(
        ("", {"model": 1, "optimizer": 5, "step": 8}),
        ("", {"stem": 2, "layer-1": 9, "layer-2": 13, "optimizer": 5, "all": 17}),
        ("", {"bn": 3}),
        ("stem/stem/bn/gamma:0", {}),
        ("stem/stem/bn/gamma/momentum", {}),  # a slot: nobody's child
        ("", {"rate": 6, "m": 7}),
        ("learning_rate", {}),
        ("SGD/m/stem/stem/bn/gamma", {}),
        ("global_step", {}),
        ("", {"se": 10, "rezero": 12}),
        ("", {"scale": 11}),
        ("scale", {}),
        ("block0_layer0/scale", {}),
        ("", {"se": 14, "rezero": 16}),
        ("", {"scale": 15}),
        ("scale", {}),
        ("block0_layer1/scale", {}),
        ("", {"0": 11, "1": 15, "2": 12, "3": 16}),
    )
    read: list[str] = []

    def reading(key: str) -> npt.NDArray[np.float32]:
        read.append(key)
        return array(1)

    assert list(variables_of_graph(graph, reading)) == [
        "stem/stem/bn/gamma",
        "block0_layer0/bneck/se/pos_encoding/scale",
        "block0_layer0/scale",
        "block0_layer1/bneck/se/pos_encoding/scale",
        "block0_layer1/scale",
    ]
    assert read == [f"node {index}" for index in (3, 11, 12, 15, 16)]


def test_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(NetworkError, match="needs TensorFlow"):
        load_tensorflow(build(published("A0-base"), 600), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["objects", "saved model", "names"])
def test_a_checkpoint_that_tensorflow_wrote(form: str, tmp_path: Path) -> None:
    """Real files, with an optimizer's variables beside the network's, give the recorded logits."""
    tf = pytest.importorskip("tensorflow", reason="the extra tensorflow is not installed")
    values = {name: variable(name, shape) for name, shape in recorded("a0_stream")["variables"]}

    def module(prefix: str = "") -> Any:
        root = tf.Module()
        for name, value in values.items():
            place = root
            *path, last = re.split("/", name)
            for part in path:
                if not hasattr(place, part):
                    setattr(place, part, tf.Module())
                place = getattr(place, part)
            setattr(place, last.replace("#", "_"), tf.Variable(value, name=prefix + name.partition("#")[0]))
        return root

    if form == "objects":
        path = tf.train.Checkpoint(
            model=module(), optimizer=module("SGD/m/"), global_step=tf.Variable(3)
        ).save(str(tmp_path / "ckpt"))
    elif form == "saved model":
        path = str(tmp_path / "saved")
        tf.saved_model.save(module(), path)
    else:
        path = str(tmp_path / "model.ckpt")
        tensors = values | {f"{name}/Momentum": value for name, value in values.items()}
        tf.raw_ops.SaveV2(
            prefix=path,
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.constant(value) for value in tensors.values()],
        )
    model = build(published("A0-stream"), 600).eval()
    load_tensorflow(model, path)
    with torch.inference_mode():
        assert error(model(clip("a0_stream")), recorded("a0_stream")["clip_logits"]) < TOLERANCE
