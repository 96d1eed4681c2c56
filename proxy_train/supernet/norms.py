"""The statistics of batch norm of a network whose weights were trained with those of others."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from search_space.network.model import MoViNet


@torch.no_grad()
def estimate_norms(network: MoViNet, batches: Iterable[Tensor]) -> None:
    """Set a network's running statistics to their means over some batches; leave it in evaluation mode.

    A supernet has no statistics: those of one network are wrong for every other one (Yu and Huang 2019,
    Universally Slimmable Networks, section 4).

    Args:
        network: the network, not folded.
        batches: clips (batch, 3, frames, height, width) in 0..1, at least one batch.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    for number, clips in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1.0 / number
        network(clips)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
