"""Weights on disk as safetensors, and the one way by which named tensors enter a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from search_space.errors import NetworkError
from search_space.files import replacing


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write all parameters and running statistics of a network or ensemble, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(Path(path)) as temporary:
        save_file(tensors, temporary)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Read what ``save_weights`` wrote into a network of the same architecture and form.

    Raises:
        NetworkError: the file is missing or damaged, or a tensor does not fit; it names the tensor and both
            shapes.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise NetworkError(
            f"{path}: cannot read weights: {error}", hint="expected a safetensors file"
        ) from error
    assign(model, tensors, source=str(path))


@torch.no_grad()
def assign(model: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Copy named tensors into a network, all or none.

    Args:
        model: the network; names and shapes of its ``state_dict`` must be given.
        tensors: the tensors by name.
        source: name of the tensors' origin, for the message.

    Raises:
        NetworkError: a tensor is missing, unknown, or of another shape.
    """
    expected = model.state_dict()
    for name, target in expected.items():
        if name not in tensors and name.endswith("num_batches_tracked"):
            continue  # only batch norm without a momentum reads it, and no layer has one
        if name not in tensors:
            raise NetworkError(f"{source}: tensor {name} is missing, expected shape {tuple(target.shape)}")
        if tensors[name].shape != target.shape:
            raise NetworkError(
                f"{source}: tensor {name}: expected shape {tuple(target.shape)},"
                f" got {tuple(tensors[name].shape)}",
                hint="the weights belong to another architecture or number of classes",
            )
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        shape = tuple(tensors[unknown[0]].shape)
        raise NetworkError(
            f"{source}: {len(unknown)} tensors that the network does not have,"
            f" the first {unknown[0]} of shape {shape}",
            hint="the weights belong to another architecture or form",
        )
    for name, target in expected.items():
        if name in tensors:
            target.copy_(tensors[name])
