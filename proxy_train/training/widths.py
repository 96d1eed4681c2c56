"""Width as a fidelity: networks made narrower, and trained narrow ones that become the full network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.architecture.scaling import Coefficients, scale_architecture
from search_space.network.model import MoViNet


def narrowed(architecture: Architecture, width: float) -> Architecture:
    """Return the architecture with ``width`` times the channels, to multiples of 8; the clip stays."""
    if width == 1:
        return architecture
    only_width = Coefficients(depth=1.0, width=width, resolution=1.0, rate=1.0)
    return scale_architecture(architecture, 1.0, only_width).with_input(architecture.input)


@torch.no_grad()
def widened(tensors: Mapping[str, Tensor], network: MoViNet) -> dict[str, Tensor]:
    """Return weights for a wide network that compute what a trained narrow one does (after Net2Net, 2016).

    The narrow network becomes the first channels of the wide one. They have no input from the new channels,
    whose own weights are new: the first steps of training connect them. Position encodings, which depend
    on the number of channels, are the only part that does not stay exactly what it was.

    Args:
        tensors: all tensors of the narrow network, by name.
        network: the wide network, newly initialised; it is not changed.

    Returns:
        All tensors of the wide network.
    """
    doubled = network.architecture.options.squeeze == "2plus3d"
    wide: dict[str, Tensor] = {}
    for name, fresh in network.state_dict().items():
        old, new = tensors[name].to(fresh.device), fresh.clone()
        if old.shape == new.shape:
            wide[name] = old.clone()
            continue
        rows = torch.arange(old.shape[0], device=new.device)
        if new.ndim == 1:
            new[rows] = old
        else:
            columns = torch.arange(old.shape[1], device=new.device)
            if doubled and name.endswith("squeeze.reduce.weight"):
                # Two descriptors side by side, each of which grew.
                half = old.shape[1] // 2
                columns[half:] += (new.shape[1] - old.shape[1]) // 2
            new[rows] = 0
            new[rows[:, None], columns[None]] = old
        wide[name] = new
    return wide
