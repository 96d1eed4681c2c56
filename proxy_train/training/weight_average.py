"""The moving average of a network's weights, which is often better than the weights themselves."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """A moving average of a network's weights: average = d average + (1 - d) weights, after every update.

    The decay d rises to ``decay`` as (1 + updates) / (10 + updates) does, as TensorFlow's and the Model
    Garden's averages do, so that the random weights of the beginning are soon forgotten. Running statistics
    of batch norm are averages already: they are copied.

    Args:
        network: the network to follow; the average starts as a copy of it.
        decay: largest decay, from 0 to below 1.

    Attributes:
        model: a network with the averaged weights, in evaluation mode.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.model: Network = copy.deepcopy(network).eval()

    @torch.no_grad()
    def follow(self, network: Network, updates: int) -> None:
        """Update the average by a network's weights.

        Args:
            network: the network after an update.
            updates: number of updates before this one.
        """
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(network.parameters()), 1 - decay)
        for ours, theirs in zip(self.model.buffers(), network.buffers(), strict=True):
            ours.copy_(theirs)
