"""One frame of a stream through a folded network, for inference in PyTorch: the step at its fastest.

The same function as the layers compute for one frame, with less around it. Activations stay rows of (batch *
positions, channels), so that a 1x1 convolution is one matrix product and a temporal convolution one pass over
the frame for each tap; only the spatial convolutions see images, as views of the same memory. No weight is
copied: a change of the network's weights in place changes what is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.parts import Activation, Gate, SqueezeType
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import average_pool_same, same_padding
from search_space.network.layers import (
    HARD_SIGMOID_SLOPE,
    ConvNorm,
    PositionEncoding,
    SqueezeExcite,
    TemporalConvNorm,
    activate,
    open_gate,
)
from search_space.network.pool_head import PoolHead
from search_space.network.stream_state import COUNT_DTYPE, Memory, State


class FrameStep:
    """The step of one frame for a folded, causal network.

    Args:
        stem: the network's first convolution, folded.
        blocks: the network's bottlenecks in order, folded; ``supports`` holds for them.
        head: the network's head, folded.
        modules: every module of the network, whose parameters ``is_current`` watches.
    """

    def __init__(
        self, stem: ConvNorm, blocks: Sequence[Bottleneck], head: PoolHead, modules: Iterable[nn.Module]
    ) -> None:
        self._held = [(module._parameters, name) for module in modules for name in module._parameters]
        self._pointers = self._addresses()
        self.stem = _Spatial.of(stem)
        self.blocks = [BlockStep.of(block) for block in blocks]
        self.project = _Dense.of(head.project)
        self.hidden = _Dense.of(head.hidden)
        self.classifier = _Dense.of(head.classifier)
        self._total = head.mean.sum
        squeezes = [block.squeeze for block in self.blocks if block.squeeze is not None]
        self._counts = [*(squeeze.count for squeeze in squeezes if squeeze.count), head.mean.count]
        self._one = torch.ones((), dtype=COUNT_DTYPE, device=stem.weight.device)

    @staticmethod
    def supports(blocks: Iterable[Bottleneck]) -> bool:
        """Return whether folded bottlenecks can run so: none convolves over space and time at once."""
        return all(
            block.spatial is not None
            and (block.temporal is None or (block.temporal.kernel.space == 1 and block.temporal.causal))
            for block in blocks
        )

    def is_current(self) -> bool:
        """Return whether the network's parameters still are the same tensors."""
        return self._addresses() == self._pointers

    def _addresses(self) -> list[int]:
        tensors = [parameters[name] for parameters, name in self._held]
        return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]

    def __call__(self, frames: Tensor, before: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the logits after one more frame (batch, 3, 1, height, width), and the state after it."""
        memory = Memory(before)
        means = self._count(memory, frames.dtype)
        x = activate(self.stem(frames.squeeze(2)), self.stem.activation)
        batch, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
        for block in self.blocks:
            rows, height, width = block(rows, (batch, height, width), memory, means)
        rows = activate(self.project(rows), self.project.activation)
        space = rows.view(batch, height * width, -1).mean(1)
        total = memory.after[self._total] = before[self._total] + space
        hidden = activate(self.hidden(total * means[self._counts[-1]]), "swish")
        return self.classifier(hidden), {name: memory.after[name] for name in before}

    def _count(self, memory: Memory, dtype: torch.dtype) -> dict[str, Tensor]:
        """Count the frame for every running sum; return 1 / n of each, (batch, 1)."""
        # Adding a tensor: the number 1 would be converted for every count.
        counts = [torch.add(memory.before[name], self._one) for name in self._counts]
        memory.after.update(zip(self._counts, counts, strict=True))
        reciprocals = torch.stack(counts).to(dtype).reciprocal_().unsqueeze_(-1)
        return dict(zip(self._counts, reciprocals.unbind(0), strict=True))


@dataclass(frozen=True, slots=True)
class _Dense:
    """A 1x1 convolution or a dense layer over rows (.., channels)."""

    weight: Tensor
    turned: Tensor
    bias: Tensor
    activation: Activation | None

    @classmethod
    def of(cls, layer: ConvNorm | nn.Linear) -> _Dense:
        assert layer.bias is not None
        activation = layer.activation if isinstance(layer, ConvNorm) else None
        weight = layer.weight.detach().flatten(1)
        return cls(weight, weight.t(), layer.bias.detach(), activation)

    def __call__(self, rows: Tensor) -> Tensor:
        if rows.shape[0] == 1:
            # For one row PyTorch's matrix product takes twice the time of the product with a vector.
            return torch.addmv(self.bias, self.weight, rows[0])[None]
        return torch.addmm(self.bias, rows, self.turned)


@dataclass(frozen=True, slots=True)
class _Spatial:
    """A "SAME" convolution of images."""

    weight: Tensor
    bias: Tensor
    stride: int
    groups: int
    activation: Activation | None

    @classmethod
    def of(cls, layer: ConvNorm) -> _Spatial:
        assert layer.bias is not None
        return cls(layer.weight.detach(), layer.bias.detach(), layer.stride, layer.groups, layer.activation)

    def __call__(self, x: Tensor) -> Tensor:
        kernel = self.weight.shape[-1]
        top, bottom = same_padding(x.shape[2], kernel, self.stride)
        left, right = same_padding(x.shape[3], kernel, self.stride)
        weight = self.weight
        if top != bottom or left != right:
            # A row or column of zeros before the kernel makes the padding symmetric, and costs less than a
            # padded copy of the image.
            weight = F.pad(weight, (right - left, 0, bottom - top, 0))
        return F.conv2d(x, weight, self.bias, self.stride, (bottom, right), 1, self.groups)


@dataclass(frozen=True, slots=True)
class _Temporal:
    """A causal depthwise convolution over time."""

    taps: tuple[Tensor, ...]
    bias: Tensor
    buffer: str
    activation: Activation | None

    @classmethod
    def of(cls, layer: TemporalConvNorm) -> _Temporal:
        assert layer.bias is not None
        # ``fold`` keeps each tap's channels together in memory.
        taps = layer.weight.detach().flatten(1).unbind(1)
        return cls(taps, layer.bias.detach(), layer.buffer, layer.activation)

    def __call__(self, rows: Tensor, memory: Memory) -> Tensor:
        """Map (batch, positions, channels) to the same shape."""
        past = memory.before[self.buffer]
        y = torch.addcmul(self.bias, rows, self.taps[-1])
        for tap, frame in zip(self.taps, past.unbind(1), strict=False):
            y.addcmul_(frame, tap)
        memory.after[self.buffer] = torch.cat([past[:, 1:], rows.unsqueeze(1)], 1)
        return activate(y, self.activation)


@dataclass(frozen=True, slots=True)
class _Squeeze:
    """The gate of squeeze-and-excitation."""

    sees: SqueezeType
    total: str
    count: str
    reduce: _Dense
    expand: _Dense
    position: PositionEncoding | None
    activation: Activation
    gate: Gate
    correction: Tensor

    @classmethod
    def of(cls, layer: SqueezeExcite) -> _Squeeze:
        return cls(
            layer.sees,
            "" if layer.mean is None else layer.mean.sum,
            "" if layer.mean is None else layer.mean.count,
            _Dense.of(layer.reduce),
            _Dense.of(layer.expand),
            layer.position,
            layer.activation,
            layer.gate,
            # PyTorch's hard sigmoid is one operation, but multiplies by 1 / 6.
            layer.reduce.weight.new_full((), 6 * HARD_SIGMOID_SLOPE),
        )

    def __call__(self, rows: Tensor, memory: Memory, means: Mapping[str, Tensor]) -> Tensor:
        """Map (batch, positions, channels) to a gate (batch, channels)."""
        descriptor = rows.mean(1)
        if self.sees != "2d":
            total = memory.after[self.total] = memory.before[self.total] + descriptor
            time = total * means[self.count]
            descriptor = time if self.sees == "3d" else torch.cat([time, descriptor], 1)
        if self.position is not None:
            descriptor = self.position(descriptor.unsqueeze(1), memory).squeeze(1)
        x = self.expand(activate(self.reduce(descriptor), self.activation))
        if self.gate == "hard_sigmoid":
            return F.hardsigmoid(x, True).mul_(self.correction)
        return open_gate(x, self.gate)


@dataclass(frozen=True, slots=True)
class BlockStep:
    """The step of a bottleneck."""

    expand: _Dense
    spatial: _Spatial
    temporal: _Temporal | None
    squeeze: _Squeeze | None
    project: _Dense
    skip: _Dense | None

    @classmethod
    def of(cls, block: Bottleneck) -> BlockStep:
        assert block.spatial is not None
        return cls(
            _Dense.of(block.expand),
            _Spatial.of(block.spatial),
            None if block.temporal is None else _Temporal.of(block.temporal),
            None if block.squeeze is None else _Squeeze.of(block.squeeze),
            _Dense.of(block.project),
            None if block.skip is None else _Dense.of(block.skip.project),
        )

    def __call__(
        self, x: Tensor, size: tuple[int, int, int], memory: Memory, means: Mapping[str, Tensor]
    ) -> tuple[Tensor, int, int]:
        """Map rows (batch * positions, channels) of ``size`` (batch, height, width) to rows and a size."""
        batch = size[0]
        y = activate(self.expand(x), self.expand.activation)
        image = activate(self.spatial(y.view(*size, -1).permute(0, 3, 1, 2)), self.spatial.activation)
        channels, height, width = image.shape[1:]
        # Not every device's convolutions keep the memory order; where they do, this copies nothing.
        y = image.permute(0, 2, 3, 1).contiguous().view(batch, height * width, channels)
        if self.temporal is not None:
            y = self.temporal(y, memory)
        if self.squeeze is not None:
            y.mul_(self.squeeze(y, memory, means).unsqueeze(1))
        if self.skip is not None:
            if self.spatial.stride > 1:
                pooled = average_pool_same(x.view(*size, -1).permute(0, 3, 1, 2), self.spatial.stride)
                x = pooled.permute(0, 2, 3, 1).reshape(batch * height * width, -1)
            x = self.skip(x)
        return self.project(y.view(batch * height * width, channels)).add_(x), height, width
