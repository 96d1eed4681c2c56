"""One frame of a stream in the form that exporters and runtimes take well.

The same function as ``step`` of one frame, of plain 2-D operations on contiguous tensors of at most four
axes: batch norm folded, each temporal or 3-D depthwise convolution a sum of 2-D ones with weights of their
    own, channels before
pixels in memory as ONNX has them. Counting frames is left to the caller, who gives 1 / n: an integer counter
ends at 2048 in half precision, and quantisation breaks it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture import Activation, Gate
from search_space.errors import NetworkError
from search_space.network import convolution as ops
from search_space.network.bottleneck import Bottleneck
from search_space.network.folding import fold
from search_space.network.layers import (
    ConvNorm,
    SqueezeExcite,
    TemporalConvNorm,
    activate,
    encode_position,
    open_gate,
)
from search_space.network.model import STEM_STRIDE, MoViNet


class StepModule(nn.Module):
    """A causal network as a function of tensors alone.

    ``forward(frame, reciprocal[, position], *states)`` returns ``(logits, *new states)`` in the order of
    ``input_names`` and ``output_names``:

    - ``frame``: (batch, 3, height, width), 0..1;
    - ``reciprocal``: (batch, 1, 1, 1), 1 / n for the n-th frame of the video, n from 1;
    - ``position``: (batch, 1), n - 1; only if the network encodes positions;
    - states: named as those of ``step``, without the frame counts. A stream buffer is (batch, (k_t - 1) *
    channels,
      height, width), the oldest frame first; a pool buffer (batch, channels, 1, 1). All zero at the start.

    Args:
        model: a causal network, folded or not; it is not changed.

    Raises:
        NetworkError: the network is not causal.
    """

    def __init__(self, model: MoViNet) -> None:
        super().__init__()
        if not model.causal:
            raise NetworkError("deploy: expected a causal network, got one of the base form")
        network = model if model.folded else fold(model)
        self.network = network
        self.positions = network.architecture.options.position_encoding
        self.stem = _Convolution(network.stem)
        blocks = [block for block in network.blocks.values() if isinstance(block, Bottleneck)]
        self.blocks = nn.ModuleList([_Block(block) for block in blocks])
        self.project = _Convolution(network.head.project)
        self.hidden = network.head.hidden
        self.classifier = network.head.classifier
        self.state_names = [name for name in network.state_shapes() if not name.endswith("frame_count")]
        self.eval().requires_grad_(False)

    @property
    def input_names(self) -> list[str]:
        """Names of ``forward``'s inputs, in order."""
        return ["frame", "reciprocal", *(["position"] if self.positions else []), *self.state_names]

    @property
    def output_names(self) -> list[str]:
        """Names of ``forward``'s outputs, in order; a new state bears the name of the old one with
        ``new_``."""
        return ["logits", *(f"new_{name}" for name in self.state_names)]

    def counters(self, frame: int, batch: int = 1) -> tuple[Tensor, ...]:
        """The inputs between the frame and the states, for the ``frame``-th frame of the video, from 1."""
        reciprocal = torch.full((batch, 1, 1, 1), 1.0 / frame)
        return (reciprocal, torch.full((batch, 1), frame - 1.0)) if self.positions else (reciprocal,)

    def initial_states(self, batch: int = 1, size: int | tuple[int, int] | None = None) -> list[Tensor]:
        """Zeros for every state, in order; ``size`` as in ``MoViNet.initial_state``."""
        size = self.network.architecture.input.size if size is None else size
        height, width = (size, size) if isinstance(size, int) else size
        height, width = ops.strided(height, STEM_STRIDE), ops.strided(width, STEM_STRIDE)
        shapes: list[tuple[int, ...]] = []
        for block in self.blocks:
            assert isinstance(block, _Block)
            shapes += block.state_shapes(batch, height, width)
            height, width = ops.strided(height, block.stride), ops.strided(width, block.stride)
        return [torch.zeros(shape) for shape in [*shapes, (batch, self.hidden.in_features, 1, 1)]]

    def forward(self, frame: Tensor, reciprocal: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        position, states = (rest[0], list(rest[1:])) if self.positions else (None, list(rest))
        new: list[Tensor] = []
        x: Tensor = self.stem(frame)
        for block in self.blocks:
            x = block(x, reciprocal, position, states, new)
        total = states.pop(0) + _mean(self.project(x))
        new.append(total)
        hidden = activate(self.hidden((total * reciprocal).flatten(1)), "swish")
        return (self.classifier(hidden), *new)


class _Convolution(nn.Module):
    """A folded convolution of one frame, of weights in ONNX's memory order."""

    def __init__(self, layer: ConvNorm) -> None:
        super().__init__()
        self.stride, self.groups = layer.stride, layer.groups
        self.activation: Activation | None = layer.activation
        self.weight = nn.Parameter(layer.weight.detach().clone(memory_format=torch.contiguous_format))
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        x, padding = ops.pad_same(x, self.weight.shape[-1], self.stride)
        return activate(
            F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups), self.activation
        )


class _Temporal(nn.Module):
    """A temporal or 3-D depthwise convolution as one 2-D depthwise convolution for each tap in time."""

    def __init__(self, layer: TemporalConvNorm) -> None:
        super().__init__()
        space, self.past, self.stride = layer.kernel.space, layer.kernel.time - 1, layer.stride
        self.activation: Activation | None = layer.activation
        taps = layer.weight.detach().reshape(-1, 1, layer.kernel.time, space, space).unbind(2)
        self.taps = nn.ParameterList([nn.Parameter(tap.clone().contiguous()) for tap in taps])
        self.bias = layer.bias

    def forward(self, x: Tensor, states: list[Tensor], new: list[Tensor]) -> Tensor:
        channels = x.shape[1]
        y = self._tap(x, self.taps[self.past], self.bias)
        if self.past:
            buffer = states.pop(0)
            for index in range(self.past):
                frame = buffer[:, index * channels : (index + 1) * channels]
                y = y + self._tap(frame, self.taps[index], None)
            new.append(torch.cat([buffer[:, channels:], x], 1))
        return activate(y, self.activation)

    def _tap(self, frame: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        frame, padding = ops.pad_same(frame, weight.shape[-1], self.stride)
        return F.conv2d(frame, weight, bias, self.stride, padding, 1, weight.shape[0])


class _Squeeze(nn.Module):
    """Squeeze-and-excitation of one frame, its dense layers as 1x1 convolutions."""

    def __init__(self, layer: SqueezeExcite) -> None:
        super().__init__()
        self.sees, self.gate, self.activation = layer.sees, layer.gate, layer.activation
        self.reduce = nn.Parameter(layer.reduce.weight.detach()[:, :, None, None].clone())
        self.reduce_bias = layer.reduce.bias
        self.expand = nn.Parameter(layer.expand.weight.detach()[:, :, None, None].clone())
        self.expand_bias = layer.expand.bias
        self.scale = None if layer.position is None else layer.position.scale

    def forward(
        self, x: Tensor, reciprocal: Tensor, position: Tensor | None, states: list[Tensor], new: list[Tensor]
    ) -> Tensor:
        descriptor = _mean(x)
        if self.sees != "2d":
            total = states.pop(0) + descriptor
            new.append(total)
            time = total * reciprocal
            descriptor = time if self.sees == "3d" else torch.cat([time, descriptor], 1)
        if self.scale is not None and position is not None:
            encoding = encode_position(position, self.reduce.shape[1], descriptor.dtype)
            descriptor = descriptor + self.scale * encoding[:, 0, :, None, None]
        hidden = activate(F.conv2d(descriptor, self.reduce, self.reduce_bias), self.activation)
        gate: Gate = self.gate
        return x * open_gate(F.conv2d(hidden, self.expand, self.expand_bias), gate)


class _Block(nn.Module):
    """A folded bottleneck of one frame."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.stride = block.stride
        self.channels = block.expand.weight.shape[0]
        self.expand = _Convolution(block.expand)
        self.spatial = None if block.spatial is None else _Convolution(block.spatial)
        self.temporal = None if block.temporal is None else _Temporal(block.temporal)
        self.squeeze = None if block.squeeze is None else _Squeeze(block.squeeze)
        self.project = _Convolution(block.project)
        self.skip = None if block.skip is None else _Convolution(block.skip.project)

    def forward(
        self, x: Tensor, reciprocal: Tensor, position: Tensor | None, states: list[Tensor], new: list[Tensor]
    ) -> Tensor:
        y: Tensor = self.expand(x)
        if self.spatial is not None:
            y = self.spatial(y)
        if self.temporal is not None:
            y = self.temporal(y, states, new)
        if self.squeeze is not None:
            y = self.squeeze(y, reciprocal, position, states, new)
        if self.skip is not None:
            x = self.skip(ops.average_pool_same(x, self.stride) if self.stride > 1 else x)
        projected: Tensor = self.project(y)
        return x + projected

    def state_shapes(self, batch: int, height: int, width: int) -> list[tuple[int, ...]]:
        shapes: list[tuple[int, ...]] = []
        if self.temporal is not None and self.temporal.past:
            stride = self.stride if self.spatial is not None else 1
            size = ops.strided(height, stride), ops.strided(width, stride)
            shapes.append((batch, self.temporal.past * self.channels, *size))
        if self.squeeze is not None and self.squeeze.sees != "2d":
            shapes.append((batch, self.channels, 1, 1))
        return shapes


def _mean(x: Tensor) -> Tensor:
    # A pooling of known size: runtimes keep their own memory order through it, through a reduction they do
    # not.
    return F.avg_pool2d(x, (x.shape[2], x.shape[3]))
