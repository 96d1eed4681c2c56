"""The head of a MoViNet: from folded frames to logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.architecture import Architecture
from search_space.network.convolution import spatial_mean
from search_space.network.layers import ConvNorm, CumulativeMean, activate, he_normal
from search_space.network.stream_state import Memory


class PoolHead(nn.Module):
    """conv7, the mean over space and over all frames so far, dense9, swish, dropout and the classifier."""

    def __init__(self, inputs: int, architecture: Architecture, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.project = ConvNorm(inputs, architecture.head, activation=architecture.options.activation)
        self.mean = CumulativeMean("head")
        self.hidden = nn.Linear(architecture.head, architecture.hidden)
        self.classifier = nn.Linear(architecture.hidden, outputs)
        he_normal(self.hidden.weight)
        nn.init.normal_(self.classifier.weight, 0.0, 0.01)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor, frames: int, memory: Memory | None, every: bool) -> Tensor:
        """Map folded frames to logits (batch, outputs), or (batch, frames, outputs) after ``every`` frame."""
        space = spatial_mean(self.project(x)).view(-1, frames, self.project.weight.shape[0])
        if every or memory is not None:
            pooled = self.mean(space, memory)
            pooled = pooled if every else pooled[:, -1]
        else:
            pooled = space.mean(1)
        hidden = activate(self.hidden(pooled), "swish")
        logits: Tensor = self.classifier(F.dropout(hidden, self.dropout, self.training))
        return logits
