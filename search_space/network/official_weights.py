"""Weights of other implementations: official TensorFlow checkpoints and the PyTorch port's state dicts.

Both come in as names and arrays and leave as this package's names and tensors, so that neither TensorFlow nor
the port is needed for more than reading a file. A published checkpoint of a stream network wants an
architecture whose gate is ``hard_sigmoid_keras``, which it was trained with.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from search_space.errors import NetworkError
from search_space.network.bottleneck import Bottleneck
from search_space.network.model import MoViNet
from search_space.network.weights import assign

Array = npt.NDArray[Any]

_OFFICIAL_LEAVES = {
    "gamma": "norm.weight",
    "beta": "norm.bias",
    "moving_mean": "norm.running_mean",
    "moving_variance": "norm.running_var",
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
}
_OFFICIAL_ROOTS = re.compile(r"(?:^|/)((?:stem|block\d+_layer\d+|classifier_head(?:_\d+)?|head)/.*)$")
_OPTIMIZERS = {"optimizer", "_optimizer"}
_PORT_LEAVES = {
    "norm.weight": "norm.weight",
    "norm.bias": "norm.bias",
    "norm.running_mean": "norm.running_mean",
    "norm.running_var": "norm.running_var",
    "norm.num_batches_tracked": "norm.num_batches_tracked",
    "conv2d.weight": "weight",
    "conv3d.weight": "weight",
    "conv2d.bias": "bias",
    "conv3d.bias": "bias",
}
_PORT_LEAF = re.compile(r"(?:\.conv_(?P<part>[12]))?\.(?P<leaf>(?:norm|conv[23]d)\.\w+)$")


def load_official(
    model: MoViNet, variables: Mapping[str, Array], *, source: str = "official variables"
) -> None:
    """Copy the official implementation's variables into a network.

    Args:
        model: a network of the same architecture and options.
        variables: arrays by official name (``block0_layer0/bneck/expansion/conv3d/kernel``), in TensorFlow's
            layout. What a name has before ``stem``, ``block..``, ``head`` or ``classifier_head`` is ignored.
        source: name of the variables' origin, for messages.

    Raises:
        NetworkError: a variable is missing, unknown, or of another shape.
    """
    tensors = {name: _official_tensor(name, array) for name, array in variables.items()}
    names = {name: official_name(model, name) for name in variables}
    _load(model, tensors, names | repeated_scales(model, list(variables)), source)


def load_port(
    model: MoViNet, state_dict: Mapping[str, Tensor], *, source: str = "state dict of the port"
) -> None:
    """Copy a state dict of the PyTorch port (Atze00/MoViNet-pytorch, v3 naming) into a network.

    Raises:
        NetworkError: a tensor is missing, unknown, or of another shape.
    """
    _load(model, state_dict, {name: port_name(model, name) for name in state_dict}, source)


def load_tensorflow(model: MoViNet, path: str | Path) -> None:
    """Copy an official TensorFlow checkpoint or SavedModel into a network; needs the extra ``tensorflow``.

    Raises:
        NetworkError: TensorFlow is not installed, there is no checkpoint, or it does not fit.
    """
    load_official(model, read_tensorflow(path), source=str(path))


def official_name(model: MoViNet, name: str) -> str | None:
    """Return this package's name for an official variable; None if the network has none."""
    match = _OFFICIAL_ROOTS.search(_bare(name))
    if match is None:
        return None
    root, *middle, last = match[1].split("/")
    block = _block(model, root)
    if last == "scale":
        # The block's own scale sits outside of "bneck", the position encoding's inside.
        return (
            f"blocks.{root}.squeeze.position.scale" if "bneck" in middle else f"blocks.{root}.project.scale"
        )
    place = _official_place(root, middle) if block is None else _official_part(block, middle)
    leaf = _OFFICIAL_LEAVES.get(last)
    if place is None or leaf is None:
        return None
    return f"{place}.{leaf}" if block is None else f"blocks.{root}.{place}.{leaf}"


def _official_place(root: str, middle: list[str]) -> str | None:
    if root.startswith("classifier_head") and middle:
        return {"head": "head.hidden", "classifier": "head.classifier"}.get(middle[0])
    return {"stem": "stem", "head": "head.project"}.get(root)


def _official_part(block: Bottleneck, middle: list[str]) -> str | None:
    part = middle[1] if len(middle) > 1 else ""
    if part == "se":
        return {"se_reduce": "squeeze.reduce", "se_expand": "squeeze.expand"}.get("".join(middle[2:3]))
    if part == "feature":
        temporal = block.spatial is None or any("temporal" in step for step in middle[2:])
        return "temporal" if temporal else "spatial"
    return {"expansion": "expand", "projection": "project", "skip": "skip.project"}.get(part)


def repeated_scales(model: MoViNet, names: Sequence[str]) -> dict[str, str]:
    """Return the places of the scales that only their order tells apart.

    A variable that a layer makes before it is called is named by the scope around it, so a position
    encoding's scale can bear the block's name, or none at all. Variables are listed in the order of the
    layers: the encoding of a block before its own scale, and blocks in order.
    """
    scales = [name for name in names if _bare(name).rpartition("/")[2] == "scale" and "/bneck/" not in name]
    places: dict[str, str] = {}
    for root in model.blocks:
        own = [name for name in scales if f"/{root}/" in f"/{name}"]
        if len(own) == 2:
            places |= {
                own[0]: f"blocks.{root}.squeeze.position.scale",
                own[1]: f"blocks.{root}.project.scale",
            }
    rootless = [name for name in scales if not _OFFICIAL_ROOTS.search(_bare(name))]
    positions = [name for name in model.state_dict() if name.endswith(".squeeze.position.scale")]
    return places | dict(zip(rootless, positions, strict=False))


def _bare(name: str) -> str:
    """Return a variable's name without the number of a repeated name and TensorFlow's output index."""
    return name.partition("#")[0].removesuffix(":0")


def _block(model: MoViNet, name: str) -> Bottleneck | None:
    block = dict(model.blocks.items()).get(name)
    return block if isinstance(block, Bottleneck) else None


def _official_tensor(name: str, array: Array) -> Tensor:
    tensor = torch.from_numpy(np.array(array))  # a writable copy of its own
    last = _bare(name).rpartition("/")[2]
    if last == "depthwise_kernel":  # (height, width, channels, 1)
        return tensor.permute(2, 3, 0, 1)
    if last == "kernel":  # (.., in, out)
        return tensor.permute(tensor.ndim - 1, tensor.ndim - 2, *range(tensor.ndim - 2))
    return tensor


def port_name(model: MoViNet, name: str) -> str | None:
    """Return this package's name for a tensor of the port's state dict; None if the network has none."""
    inside = re.match(r"blocks\.b(\d+)_l(\d+)\.(.+)$", name)
    root = f"block{inside[1]}_layer{inside[2]}" if inside else ""
    block, place = _block(model, root), inside[3] if inside else name
    if place == "alpha":
        return f"blocks.{root}.project.scale"
    match = _PORT_LEAF.search(place)
    leaf = _PORT_LEAVES.get(match["leaf"]) if match else None
    if match is None or leaf is None:
        return None
    stem = place[: match.start()]
    if block is not None:
        part = _port_part(block, stem, match["part"])
        return None if part is None else f"blocks.{root}.{part}.{leaf}"
    outer = {
        "conv1": "stem",
        "conv7": "head.project",
        "classifier.0": "head.hidden",
        "classifier.3": "head.classifier",
    }
    return f"{outer[stem]}.{leaf}" if stem in outer else None


def _port_part(block: Bottleneck, stem: str, part: str | None) -> str | None:
    if stem == "deep":
        return "temporal" if part == "2" or block.spatial is None else "spatial"
    if re.fullmatch(r"res\.\d+", stem):
        return "skip.project"
    inner = {"expand": "expand", "project": "project", "se.fc1": "squeeze.reduce", "se.fc2": "squeeze.expand"}
    return inner.get(stem)


def _load(model: MoViNet, values: Mapping[str, Tensor], names: Mapping[str, str | None], source: str) -> None:
    expected = model.state_dict()
    origin: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    for name, value in values.items():
        ours = names[name]
        if ours is None or ours not in expected:
            raise NetworkError(
                f"{source}: {name} of shape {tuple(value.shape)} has no place in the network",
                hint="the weights belong to another architecture or form",
            )
        if ours in origin:
            raise NetworkError(f"{source}: {origin[ours]} and {name} are both the tensor {ours}")
        origin[ours] = name
        tensors[ours] = _fit(value, expected[ours], f"{source}: {name} (tensor {ours})")
    assign(model, tensors, source=source)


def _fit(tensor: Tensor, target: Tensor, what: str) -> Tensor:
    """Drop or add axes of length 1 only: 1x1x1 convolutions are matrices here, 1 x k x k ones are 2-D."""
    if [n for n in tensor.shape if n > 1] != [n for n in target.shape if n > 1]:
        raise NetworkError(
            f"{what}: expected shape {tuple(target.shape)}, got {tuple(tensor.shape)}",
            hint="the weights belong to another architecture or number of classes",
        )
    return tensor.reshape(target.shape)


def read_tensorflow(path: str | Path) -> dict[str, Array]:
    """Return the variables of a TensorFlow checkpoint or of a SavedModel's folder by their official names.

    Args:
        path: a checkpoint prefix, a folder with a checkpoint, or a SavedModel folder.

    Raises:
        NetworkError: TensorFlow is not installed, or there is no checkpoint.
    """
    try:
        tf = importlib.import_module("tensorflow")
        messages = importlib.import_module("tensorflow.core.protobuf.trackable_object_graph_pb2")
    except ImportError as error:
        raise NetworkError(
            f"{path}: reading a TensorFlow checkpoint needs TensorFlow, which is not installed",
            hint="pip install 'movinas[tensorflow]'",
        ) from error
    prefix = Path(path) / "variables" / "variables" if (Path(path) / "variables").is_dir() else Path(path)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
    except (ValueError, tf.errors.OpError) as error:
        raise NetworkError(f"{path}: no TensorFlow checkpoint: {error}") from error
    keys = reader.get_variable_to_shape_map()
    graph_key = "_CHECKPOINTABLE_OBJECT_GRAPH"
    if graph_key not in keys:
        leaves = {*_OFFICIAL_LEAVES, "scale"}  # an optimizer's slots have one more part to their names
        own = [name for name in keys if _OFFICIAL_ROOTS.search(name) and name.split("/")[-1] in leaves]
        return {name: reader.get_tensor(name) for name in own}
    graph = messages.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(graph_key))
    return variables_of_graph(graph, reader.get_tensor)


def variables_of_graph(graph: Any, read: Callable[[str], Array]) -> dict[str, Array]:
    """Return a MoViNet's variables of a TensorFlow object graph by full name, without the optimizer's.

    A position encoding's scale may be called just ``scale``; it gets the name of the block that it is in.

    Args:
        graph: a TrackableObjectGraph message; its first node is the root.
        read: gives the array of a checkpoint key.
    """
    # An optimizer's variables are named like those that they belong to, so they are left out by their place:
    # newer ones are children of the optimizer, older ones slots, which are children of no node.
    inside = _reachable(graph, 0)
    variables: dict[str, Array] = {}
    for index in sorted(inside):
        for attribute in graph.nodes[index].attributes:
            name = attribute.full_name.removesuffix(":0")
            if name == "scale":
                name = f"{_block_around(graph, index, inside)}/bneck/se/pos_encoding/scale"
            if _OFFICIAL_ROOTS.search(_bare(name)):
                variables[name] = read(attribute.checkpoint_key)
    return variables


def _reachable(graph: Any, start: int) -> set[int]:
    """Return the nodes of an object graph that ``start`` holds, itself included, without optimizers."""
    seen, waiting = {start}, [start]
    while waiting:
        children = graph.nodes[waiting.pop()].children
        new = {child.node_id for child in children if child.local_name not in _OPTIMIZERS} - seen
        seen |= new
        waiting += new
    return seen


def _block_around(graph: Any, node: int, inside: set[int]) -> str:
    """Return the one block whose variables the nearest holder of a node holds; "" if there is none."""
    seen, level = {node}, {node}
    while level:
        level = {
            holder
            for holder in inside - seen
            if any(child.node_id in level for child in graph.nodes[holder].children)
        }
        seen |= level
        for holder in sorted(level):
            names = [
                attribute.full_name
                for index in _reachable(graph, holder)
                for attribute in graph.nodes[index].attributes
            ]
            roots = {match[1].split("/")[0] for name in names if (match := _OFFICIAL_ROOTS.search(name))}
            if len(roots) == 1:
                return roots.pop()
    return ""
