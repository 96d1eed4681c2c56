"""The layers of a MoViNet, written once for the clip form, the step form and the deploy form.

Every layer maps folded frames (batch * frames, channels, height, width) in channels-last order to the same.
What depends on time takes ``frames``, the number of frames of each clip or chunk, and a ``Memory`` when it
runs as a stream.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.parts import Activation, ConvolutionType, Gate, Kernel, Options, SqueezeType
from search_space.network.convolution import (
    convolve_clip,
    convolve_frames,
    convolve_time,
    from_rows,
    squeeze_space,
    to_rows,
)
from search_space.network.stream_state import COUNT_DTYPE, Memory

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.01  # Keras's 0.99
# The official code's constant, not 1 / 6: a difference of 2e-5 a layer, of 1e-4 over a network.
HARD_SIGMOID_SLOPE = 0.16667


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to a multiple of ``divisor``, never more than 10 % down (official make_divisible)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def activate(x: Tensor, activation: Activation | None) -> Tensor:
    """Apply an activation by name; in place if no gradient is recorded, since ``x`` is a new tensor."""
    inplace = not torch.is_grad_enabled()
    match activation:
        case None:
            return x
        case "swish":
            return F.silu(x, inplace)
        case "hard_swish":
            return F.hardswish(x, inplace)
        case "relu":
            return F.relu(x, inplace)
        case "relu6":
            return F.relu6(x, inplace)


def open_gate(x: Tensor, gate: Gate) -> Tensor:
    """Squash the squeeze-and-excitation gate to 0..1, by name."""
    match gate:
        case "sigmoid":
            return torch.sigmoid(x)
        case "hard_sigmoid":
            return F.relu6(x + 3.0) * HARD_SIGMOID_SLOPE
        case "hard_sigmoid_keras":
            return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)


class ConvNorm(nn.Module):
    """A 2-D "SAME" convolution of every frame, batch norm and an activation; dense or depthwise.

    Folding replaces ``norm`` by None and gives the convolution a ``bias``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        activation: Activation | None = None,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.groups = inputs if depthwise else 1
        self.activation: Activation | None = activation
        self.weight = nn.Parameter(
            torch.empty(outputs, inputs // self.groups, kernel, kernel, memory_format=torch.channels_last)
        )
        self.bias: nn.Parameter | None = None
        self.norm: nn.BatchNorm2d | None = _batch_norm(outputs)
        he_normal(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map folded frames to folded frames."""
        x = convolve_frames(x, self.weight, self.bias, self.stride, self.groups)
        return _finish(x, self.norm, self.activation)


class TemporalConvNorm(nn.Module):
    """A depthwise convolution over time, of 1 x 1 or k_s x k_s pixels, batch norm and an activation.

    A causal one reads the last k_t - 1 frames from the stream buffer, or zeros at the start of a video.

    Args:
        channels: channels of the input and of the output.
        kernel: k_t x k_s x k_s.
        flat: keep the kernel as 2-D weights (channels, 1, k_t, 1); only for k_s = 1.
        name: name of the layer, for its stream buffer.
    """

    def __init__(
        self,
        channels: int,
        kernel: Kernel,
        *,
        stride: int,
        activation: Activation | None,
        causal: bool,
        flat: bool,
        name: str,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.activation: Activation | None = activation
        self.causal = causal
        self.buffer = f"state_{name}_stream_buffer"
        shape = (kernel.time, 1) if flat else (kernel.time, kernel.space, kernel.space)
        self.weight = nn.Parameter(torch.empty(channels, 1, *shape))
        self.bias: nn.Parameter | None = None
        self.norm: nn.BatchNorm2d | None = _batch_norm(channels)
        he_normal(self.weight)

    def forward(self, x: Tensor, frames: int, memory: Memory | None) -> Tensor:
        """Map folded frames to folded frames; write the stream buffer."""
        height, width = x.shape[-2:]
        rows = to_rows(x, frames)
        padding = 0 if self.causal else self.kernel.time // 2
        if self.causal and self.kernel.time > 1:
            rows = self._with_past(rows, frames, memory)
        if self.kernel.space == 1 and self.stride == 1:
            weight = self.weight.view(-1, 1, self.kernel.time, 1)
            x = from_rows(convolve_time(rows, weight, self.bias, padding), height, width)
        else:
            x = convolve_clip(
                rows, self.weight, self.bias, (height, width), stride=self.stride, padding=padding
            )
        return _finish(x, self.norm, self.activation)

    def _with_past(self, rows: Tensor, frames: int, memory: Memory | None) -> Tensor:
        past = self.kernel.time - 1
        if memory is None:
            return F.pad(rows, (0, 0, 0, 0, past, 0))
        rows = torch.cat([memory.before[self.buffer], rows], 1)
        # A copy: a view would keep the whole chunk alive, and exporters mishandle views as states.
        memory.after[self.buffer] = rows[:, frames:].clone()
        return rows

    def state_shapes(self, batch: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Return the stream buffer's shape for inputs of this size; nothing if the layer needs no past."""
        if not self.causal or self.kernel.time == 1:
            return {}
        return {self.buffer: (batch, self.kernel.time - 1, height * width, self.weight.shape[0])}


class CumulativeMean(nn.Module):
    """The mean of a per-frame descriptor over all frames so far; its state is a running sum and a count."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.sum = f"state_{name}_pool_buffer"
        self.count = f"state_{name}_pool_frame_count"

    def forward(self, descriptor: Tensor, memory: Memory | None) -> Tensor:
        """Map (batch, frames, channels) to the mean up to and with each frame, of the same shape."""
        frames = descriptor.shape[1]
        if frames == 1 and memory is not None:
            total = memory.before[self.sum] + descriptor[:, 0]
            count = memory.before[self.count] + 1
            memory.after[self.sum], memory.after[self.count] = total, count
            return (total / count[:, None].to(total.dtype))[:, None]
        total = descriptor.cumsum(1)
        count = torch.arange(1, frames + 1, device=descriptor.device, dtype=COUNT_DTYPE)[None]
        if memory is not None:
            total = total + memory.before[self.sum][:, None]
            count = count + memory.before[self.count][:, None]
            memory.after[self.sum] = total[:, -1].clone()
            memory.after[self.count] = count[:, -1].clone()
        return total / count[..., None].to(total.dtype)

    def state_shapes(self, batch: int, channels: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the running sum and the frame count."""
        return {self.sum: (batch, channels), self.count: (batch,)}


class PositionEncoding(nn.Module):
    """A trainable multiple of a sinusoid of the frame index, added to a descriptor (A3-A5, stream form).

    Half the channels hold the sines of the even angles, the other half the cosines of the odd ones.
    """

    def __init__(self, channels: int, name: str) -> None:
        super().__init__()
        self.channels = channels
        self.count = f"state_{name}_pos_enc_frame_count"
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, descriptor: Tensor, memory: Memory | None) -> Tensor:
        """Map (batch, frames, channels) to the same shape."""
        frames = descriptor.shape[1]
        position = torch.arange(frames, device=descriptor.device, dtype=COUNT_DTYPE)[None]
        if memory is not None:
            start = memory.before[self.count]
            position = position + start[:, None]
            memory.after[self.count] = start + frames
        return descriptor + self.scale * encode_position(position, self.channels, descriptor.dtype)

    def state_shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of the position's frame count."""
        return {self.count: (batch,)}


def encode_position(position: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """Map frame indices (batch, frames) to sinusoids (batch, frames, channels); see ``PositionEncoding``."""
    wide = torch.promote_types(dtype, torch.float32)
    pair = torch.arange(channels // 2, device=position.device, dtype=wide)
    rate = torch.exp(pair * (-2.0 * math.log(10000.0) / channels))
    angle = position[..., None].to(wide) * rate
    return torch.cat([angle.sin(), angle.cos()], -1).to(dtype)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (paper, 3.1; 2plus3d: 3.2): each frame's channels times a gate of 0..1.

    ``2d`` looks at this frame's mean, ``3d`` at the mean over time too (so far, if causal), ``2plus3d`` at
    both.
    """

    def __init__(self, channels: int, options: Options, name: str) -> None:
        super().__init__()
        self.sees: SqueezeType = options.squeeze
        self.causal = options.causal
        self.gate: Gate = options.gate
        self.activation: Activation = options.activation
        width = channels * (2 if self.sees == "2plus3d" else 1)
        hidden = make_divisible(0.25 * width)
        self.reduce = _dense(width, hidden)
        self.expand = _dense(hidden, channels)
        self.mean = CumulativeMean(name) if self.causal and self.sees != "2d" else None
        self.position = PositionEncoding(width, name) if options.position_encoding else None

    def forward(self, x: Tensor, frames: int, memory: Memory | None) -> Tensor:
        """Map folded frames to folded frames."""
        x, space = squeeze_space(x)
        descriptor = self._descriptor(space.view(-1, frames, x.shape[1]), memory)
        if self.position is not None:
            descriptor = self.position(descriptor, memory)
        hidden = activate(self.reduce(descriptor), self.activation)
        gate = open_gate(self.expand(hidden), self.gate)
        if gate.shape[1] != frames:
            gate = gate.expand(-1, frames, -1)
        gate = gate.reshape(x.shape[0], x.shape[1], 1, 1)
        return x * gate if torch.is_grad_enabled() else x.mul_(gate)

    def _descriptor(self, space: Tensor, memory: Memory | None) -> Tensor:
        if self.sees == "2d":
            return space
        time = space.mean(1, keepdim=True) if self.mean is None else self.mean(space, memory)
        if self.sees == "3d":
            # Without time in the descriptor one gate serves all frames, unless a position tells them apart.
            return time.expand_as(space) if self.position is not None else time
        return torch.cat([time.expand_as(space), space], -1)

    def state_shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the running sum, its frame count and the position."""
        shapes = {} if self.mean is None else self.mean.state_shapes(batch, self.expand.out_features)
        return shapes | (
            self.position.state_shapes(batch) if self.position is not None and self.causal else {}
        )


def depthwise(
    channels: int, kernel: Kernel, stride: int, options: Options, name: str
) -> tuple[ConvNorm | None, TemporalConvNorm | None]:
    """Return the depthwise layers of a bottleneck: the spatial one, the temporal or 3-D one; or None."""
    convolution: ConvolutionType = options.convolution
    if convolution == "3d":
        if kernel.time == 1:
            return _spatial(channels, kernel, stride, options), None
        whole = TemporalConvNorm(
            channels,
            kernel,
            stride=stride,
            activation=options.activation,
            causal=options.causal,
            flat=False,
            name=name,
        )
        return None, whole
    temporal = None
    if kernel.time > 1:
        temporal = TemporalConvNorm(
            channels,
            Kernel(kernel.time, 1),
            stride=1,
            activation=options.activation,
            causal=options.causal,
            flat=convolution == "2plus1d",
            name=name,
        )
    return _spatial(channels, kernel, stride, options), temporal


def _spatial(channels: int, kernel: Kernel, stride: int, options: Options) -> ConvNorm:
    return ConvNorm(
        channels, channels, kernel.space, stride=stride, activation=options.activation, depthwise=True
    )


_DRAWS = ContextVar("whether new layers draw their weights", default=True)


@contextmanager
def undrawn() -> Iterator[None]:
    """Leave the kernels of layers that are built in the block undefined, since others follow at once."""
    token = _DRAWS.set(False)
    try:
        yield
    finally:
        _DRAWS.reset(token)


def he_normal(weight: Tensor) -> None:
    """Initialise by He's normal distribution over the fan-in, truncated at two deviations as in Keras."""
    if not _DRAWS.get():
        return
    fan_in = math.prod(weight.shape[1:])
    # Truncation takes 12 % of the standard deviation; this restores it.
    deviation = math.sqrt(2.0 / fan_in) / 0.87962566103423978
    nn.init.trunc_normal_(weight, 0.0, deviation, -2.0 * deviation, 2.0 * deviation)


def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    he_normal(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM)


def _finish(x: Tensor, norm: nn.BatchNorm2d | None, activation: Activation | None) -> Tensor:
    return activate(x if norm is None else norm(x), activation)
