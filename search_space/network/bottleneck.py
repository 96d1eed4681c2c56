"""The bottleneck: expansion, depthwise convolution, squeeze-and-excitation, projection, scaled residual."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.parts import Layer, Options
from search_space.network.convolution import average_pool_same, convolve_frames, strided
from search_space.network.layers import ConvNorm, SqueezeExcite, depthwise
from search_space.network.stream_state import Memory


class Skip(nn.Module):
    """The way around a bottleneck that changes width or size: average pool if strided, 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.project = ConvNorm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map folded frames to folded frames."""
        if self.stride > 1:
            x = average_pool_same(x, self.stride)
        out: Tensor = self.project(x)
        return out


class Projection(ConvNorm):
    """The 1x1 convolution that ends a bottleneck, its batch norm and the trainable ``scale`` (ReZero)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        # None once folded into the weight.
        self.scale: nn.Parameter | None = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map folded frames to folded frames."""
        norm, scale = self.norm, self.scale
        if norm is None or scale is None:
            return super().forward(x)
        x = convolve_frames(x, self.weight, self.bias, self.stride, self.groups)
        if type(norm) is not nn.BatchNorm2d:
            scaled: Tensor = norm(x) * scale  # a norm that several processes share
            return scaled
        # The scale goes into the affine part of batch norm: two vectors to multiply, not a whole tensor.
        gamma, beta = norm.weight * scale, norm.bias * scale
        mean, variance, momentum = norm.running_mean, norm.running_var, norm.momentum
        assert momentum is not None, "layers are built with one"
        return F.batch_norm(x, mean, variance, gamma, beta, norm.training, momentum, norm.eps)


class Bottleneck(nn.Module):
    """One bottleneck of a stage, as released (movinet_layers.py, MovinetBlock).

    The residual branch is multiplied by a trainable scale that starts at 0 (ReZero), so that a new
    network begins as its skips alone. In training, the branch of a whole clip is dropped with probability
    ``drop``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        layer: Layer,
        stride: int,
        options: Options,
        *,
        drop: float,
        name: str,
    ) -> None:
        super().__init__()
        self.drop = drop
        self.expand = ConvNorm(inputs, layer.expansion, activation=options.activation)
        self.spatial, self.temporal = depthwise(layer.expansion, layer.kernel, stride, options, name)
        squeezes = layer.squeeze and options.squeeze != "none"
        self.squeeze = SqueezeExcite(layer.expansion, options, name) if squeezes else None
        self.project = Projection(layer.expansion, outputs)
        self.skip = Skip(inputs, outputs, stride) if stride > 1 or inputs != outputs else None
        self.stride = stride

    def forward(self, x: Tensor, frames: int, memory: Memory | None) -> Tensor:
        """Map folded frames to folded frames; read and write the layer's states."""
        residual: Tensor = self.expand(x)
        if self.spatial is not None:
            residual = self.spatial(residual)
        if self.temporal is not None:
            residual = self.temporal(residual, frames, memory)
        if self.squeeze is not None:
            residual = self.squeeze(residual, frames, memory)
        residual = self.project(residual)
        if self.training and self.drop > 0:
            residual = drop_clips(residual, frames, self.drop)
        identity: Tensor = x if self.skip is None else self.skip(x)
        return identity + residual if torch.is_grad_enabled() else residual.add_(identity)

    def state_shapes(self, batch: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of the layer's states, for inputs of this height and width."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.temporal is not None:
            # The 2plus1d form keeps its past after the spatial stride, the 3d form before it.
            stride = self.stride if self.spatial is not None else 1
            shapes |= self.temporal.state_shapes(batch, strided(height, stride), strided(width, stride))
        if self.squeeze is not None:
            shapes |= self.squeeze.state_shapes(batch)
        return shapes


def drop_clips(x: Tensor, frames: int, rate: float) -> Tensor:
    """Zero whole clips with probability ``rate`` and scale up the others (stochastic depth)."""
    keep = 1.0 - rate
    mask = torch.empty(x.shape[0] // frames, 1, 1, 1, device=x.device, dtype=x.dtype)
    mask = mask.bernoulli_(keep).div_(keep)
    return x * mask.repeat_interleave(frames, 0)
