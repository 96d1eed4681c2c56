"""Width as a fidelity: networks made narrower, and trained narrow ones that become the full network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.architecture.scaling import Coefficients, scale_architecture
from search_space.network.model import MoViNet
from search_space.network.sharing.inherited_weights import first_channels


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
    # Two descriptors side by side, each of which grows.
    doubled = network.architecture.options.squeeze == "2plus3d"
    return {
        name: first_channels(
            tensors[name], initial, side_by_side=doubled and name.endswith("squeeze.reduce.weight")
        )
        for name, initial in network.state_dict().items()
    }
