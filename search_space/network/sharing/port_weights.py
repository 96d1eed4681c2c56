"""Weights in the names of the PyTorch port (Atze00/MoViNet-pytorch, package ``movinets``, v3 naming).

``official_weights.load_port`` reads them; here they are written, with what the port's own constructor needs
to build the network that they fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM, Layer, Stage
from search_space.errors import NetworkError
from search_space.network.layers import HARD_SIGMOID_SLOPE
from search_space.network.model import STEM_STRIDE, MoViNet

_OUTER = {
    "stem": "conv1",
    "head.project": "conv7",
    "head.hidden": "classifier.0",
    "head.classifier": "classifier.3",
}
_INNER = {"expand": "expand", "project": "project", "squeeze.reduce": "se.fc1", "squeeze.expand": "se.fc2"}
_KERAS_SLOPE = 0.2


def port_state_dict(model: MoViNet) -> dict[str, Tensor]:
    """Return a network's tensors by the port's names and in its shapes, for its ``load_state_dict``.

    The port's stream networks open their gates as Keras does, by 0.2 x + 0.5. A network trained with
    ``hard_sigmoid`` has another slope, which goes into the weights before it: the gates differ by 2e-5 then.

    Args:
        model: a network whose batch norm is not folded; it is not changed.

    Raises:
        NetworkError: the port has no such network.
    """
    architecture = model.architecture
    require_port_form(architecture)
    if model.folded:
        raise NetworkError("the port has batch norms, and this network is folded", hint="give it unfolded")
    slope = HARD_SIGMOID_SLOPE / _KERAS_SLOPE if architecture.options.gate == "hard_sigmoid" else 1.0
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        value = tensor.detach().cpu()
        if ".squeeze.expand." in name:
            value = value * slope
        state[_port_name(model, name)] = _port_shape(name, value, causal=model.causal).contiguous()
    return state


def port_config(architecture: Architecture) -> dict[str, Any]:
    """Return what the port's constructor reads of its ``cfg``, in JSON types: a list stands for a tuple.

    Raises:
        NetworkError: the port has no such network.
    """
    require_port_form(architecture)
    width = architecture.stem
    blocks: list[list[dict[str, Any]]] = []
    for stage in architecture.stages:
        blocks.append([])
        for place, layer in enumerate(stage.layers):
            stride = stage.stride if place == 0 else 1
            size = (layer.kernel.time, layer.kernel.space, layer.kernel.space)
            described = _convolution(width, stage.width, size, stride)
            described |= {"expanded_channels": layer.expansion, "padding_avg": [0, 1, 1]}
            blocks[-1].append(described)
            width = stage.width
    return {
        "name": architecture.text,
        "conv1": _convolution(3, architecture.stem, (1, 3, 3), STEM_STRIDE),
        "blocks": blocks,
        "conv7": _convolution(width, architecture.head, (1, 1, 1), 1),
        "dense9": {"hidden_dim": architecture.hidden},
    }


def require_port_form(architecture: Architecture) -> None:
    """Refuse an architecture that the port cannot build, or would compute otherwise.

    Raises:
        NetworkError: names what the port lacks.
    """
    options = architecture.options
    known = (STREAM, replace(STREAM, gate="hard_sigmoid_keras")) if options.causal else (BASE,)
    if options not in known:
        raise NetworkError(
            f"the port has no network with {options}",
            hint="it knows base networks as published, and stream networks without position encoding",
        )
    for index, stage in enumerate(architecture.stages):
        for place, layer in enumerate(stage.layers):
            lacks = _lacking(stage, layer, stride=stage.stride if place == 0 else 1)
            if lacks:
                raise NetworkError(
                    f"the port cannot build layer {place} of stage {index}: {lacks}",
                    hint="search in a space without such layers, or load the weights with this project",
                )


def _lacking(stage: Stage, layer: Layer, *, stride: int) -> str:
    """Return what the port lacks of a layer; nothing if it has it."""
    if not layer.squeeze:
        return "it has no squeeze-excitation"
    if layer.expansion == stage.width:
        return f"it expands to {layer.expansion} channels, as many as it returns"
    if layer.expansion % 4:
        return f"its expansion of {layer.expansion} channels is no multiple of 4"
    if stride > layer.kernel.space:
        return f"its stride of {stride} is wider than its kernel {layer.kernel}"
    return ""


def _convolution(inputs: int, outputs: int, size: tuple[int, int, int], stride: int) -> dict[str, Any]:
    return {
        "input_channels": inputs,
        "out_channels": outputs,
        "kernel_size": list(size),
        "stride": [1, stride, stride],
        "padding": [length // 2 for length in size],
    }


def _port_name(model: MoViNet, name: str) -> str:
    """Return the port's name of a tensor of a network that the port has."""
    if name.endswith("project.scale"):
        return _block_name(name) + ".alpha"
    kind = "conv2d" if model.causal else "conv3d"
    module, _, leaf = name.partition(".norm.") if ".norm." in name else name.rpartition(".")
    leaf = f"norm.{leaf}" if ".norm." in name else f"{kind}.{leaf}"
    if module in _OUTER:
        return f"{_OUTER[module]}.conv_1.{leaf}"
    _, root, part = module.split(".", 2)
    if part in ("spatial", "temporal"):
        number = 2 if part == "temporal" and model.causal else 1
        return f"{_block_name(name)}.deep.conv_{number}.{leaf}"
    if part == "skip.project":
        # A strided way around begins with a pool, which has the first place.
        stride = model.get_submodule(f"blocks.{root}.skip").stride
        return f"{_block_name(name)}.res.{int(stride != 1)}.conv_1.{leaf}"
    return f"{_block_name(name)}.{_INNER[part]}.conv_1.{leaf}"


def _block_name(name: str) -> str:
    stage, _, layer = name.split(".")[1].removeprefix("block").partition("_layer")
    return f"blocks.b{stage}_l{layer}"


def _port_shape(name: str, tensor: Tensor, *, causal: bool) -> Tensor:
    """Return a kernel with the axes of a 2-D convolution, or of a 3-D one in a base network."""
    if not name.endswith("weight") or ".norm." in name:
        return tensor
    if tensor.ndim == 2:
        tensor = tensor[:, :, None, None]
    # Base networks convolve in 3-D: what here has no time has one frame there.
    return tensor if causal or tensor.ndim == 5 else torch.unsqueeze(tensor, 2)
