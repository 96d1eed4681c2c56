"""A MoViNet of PyTorch's own layers, as one would write it down: what the network is, in one file.

A clip (batch, channels, frames, height, width) goes through a stem, a row of bottlenecks and a head; every
tensor between has these five axes. ``MoViNet`` computes the same faster, and frame by frame as well, with
layers of its own that programs which know layers by their class do not know. Here each multiply-add is in an
``nn.Conv3d`` or an ``nn.Linear``. Weights have ``MoViNet``'s names, with ``conv`` before a convolution's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Activation, Gate, Kernel, Layer, Options
from search_space.errors import NetworkError
from search_space.network.convolution import check_clip, same_padding
from search_space.network.heads import Head
from search_space.network.layers import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    HARD_SIGMOID_SLOPE,
    encode_position,
    make_divisible,
)

POINT = Kernel(1, 1)


class PlainMoViNet(nn.Module):
    """A MoViNet for whole clips, to read, to count and to inspect; ``build`` and ``to_plain`` make it.

    Attributes:
        architecture: the architecture that it was built from.
        head_type: meaning of its outputs.
        classes: number of its outputs.
    """

    def __init__(
        self, architecture: Architecture, head: Head, *, dropout: float = 0.0, stochastic_depth: float = 0.0
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.head_type = head
        self.classes = head.outputs
        options = architecture.options
        self.stem = ConvNorm(3, architecture.stem, Kernel(1, 3), stride=2, activation=options.activation)
        self.blocks = nn.Sequential()
        width, count = architecture.stem, len(architecture.layers)
        for i, stage in enumerate(architecture.stages):
            for j, layer in enumerate(stage.layers):
                stride = stage.stride if j == 0 else 1
                drop = stochastic_depth * (len(self.blocks) + 1) / count
                block = Bottleneck(width, stage.width, layer, stride, options, drop=drop)
                self.blocks.add_module(f"block{i}_layer{j}", block)
                width = stage.width
        self.head = PoolHead(width, architecture, head.outputs, dropout)

    def forward(self, clip: Tensor) -> Tensor:
        """Classify whole clips.

        Args:
            clip: (batch, 3, frames, height, width), 0..1, in the network's floating type.

        Returns:
            Logits (batch, classes).

        Raises:
            NetworkError: wrong rank, channels, size or type.
        """
        check_clip(clip, self.stem.conv.weight, "clip")
        logits: Tensor = self.head(self.blocks(self.stem(clip)))
        return logits

    def step(self, *_: object, **__: object) -> NoReturn:
        """Raise NetworkError: only ``MoViNet`` runs frame by frame."""
        raise _whole_clips_only("step")

    def initial_state(self, *_: object, **__: object) -> NoReturn:
        """Raise NetworkError, as ``step`` does."""
        raise _whole_clips_only("initial_state")

    def frame_logits(self, *_: object, **__: object) -> NoReturn:
        """Raise NetworkError, as ``step`` does."""
        raise _whole_clips_only("frame_logits")


class Padding(nn.Module):
    """Zeros around a clip, so that a kernel at every ``stride``-th pixel gives ceil(size / stride) a side.

    A causal layer has all of its zero frames before the clip: no output sees a later frame.
    """

    def __init__(self, kernel: Kernel, stride: int, causal: bool = False) -> None:
        super().__init__()
        self.space, self.stride = kernel.space, stride
        self.frames = (kernel.time - 1, 0) if causal else (kernel.time // 2, kernel.time // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Pad frames, rows and columns; strided layers need one row less before than behind an even size."""
        rows, columns = (same_padding(size, self.space, self.stride) for size in x.shape[3:])
        zeros = (*columns, *rows, *self.frames)
        return F.pad(x, zeros) if any(zeros) else x


class ConvNorm(nn.Module):
    """A convolution, dense or depthwise, batch norm and an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Kernel = POINT,
        *,
        stride: int = 1,
        depthwise: bool = False,
        causal: bool = False,
        activation: Activation | None = None,
    ) -> None:
        super().__init__()
        size, groups = (kernel.time, kernel.space, kernel.space), inputs if depthwise else 1
        self.pad = Padding(kernel, stride, causal)
        self.conv = nn.Conv3d(inputs, outputs, size, (1, stride, stride), groups=groups, bias=False)
        self.norm = nn.BatchNorm3d(outputs, BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM)
        self.activation = nn.Identity() if activation is None else ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip to a clip."""
        y: Tensor = self.activation(self.norm(self.conv(self.pad(x))))
        return y


class Bottleneck(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, projection; added to what came in.

    A depthwise kernel of k_t x k_s x k_s is one convolution (``3d``), or 1 x k_s x k_s and then k_t x 1 x 1.
    """

    def __init__(
        self, inputs: int, outputs: int, layer: Layer, stride: int, options: Options, *, drop: float
    ) -> None:
        super().__init__()
        wide, kernel, activation = layer.expansion, layer.kernel, options.activation
        self.expand = ConvNorm(inputs, wide, activation=activation)
        self.spatial = self.temporal = self.squeeze = self.skip = None
        whole = options.convolution == "3d" and kernel.time > 1
        if not whole:
            flat = Kernel(1, kernel.space)
            self.spatial = ConvNorm(wide, wide, flat, stride=stride, depthwise=True, activation=activation)
        if kernel.time > 1:
            self.temporal = ConvNorm(
                wide,
                wide,
                kernel if whole else Kernel(kernel.time, 1),
                stride=stride if whole else 1,
                depthwise=True,
                causal=options.causal,
                activation=activation,
            )
        if layer.squeeze and options.squeeze != "none":
            self.squeeze = SqueezeExcite(wide, options)
        self.project = Projection(wide, outputs)
        self.drop = DropClips(drop)
        if stride > 1 or inputs != outputs:
            self.skip = Skip(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip to a clip."""
        y: Tensor = self.expand(x)
        for part in (self.spatial, self.temporal, self.squeeze):
            y = y if part is None else part(y)
        y = self.drop(self.project(y))
        return y + (x if self.skip is None else self.skip(x))


class Projection(ConvNorm):
    """The 1x1x1 convolution back to few channels, times a trainable number that begins at zero (ReZero)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip to a clip."""
        return self.scale * super().forward(x)


class Skip(nn.Module):
    """The way around a bottleneck that changes size or width: mean of 3x3 pixels, 1x1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.pool = MeanOfPixels(stride) if stride > 1 else nn.Identity()
        self.project = ConvNorm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip to a clip."""
        y: Tensor = self.project(self.pool(x))
        return y


class MeanOfPixels(nn.Module):
    """The mean of 3x3 pixels, at the edges of those that are in the image."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.pad = Padding(Kernel(1, 3), stride)
        self.pool = nn.AvgPool3d((1, 3, 3), (1, stride, stride))

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip to a smaller one."""
        # The mean of nine pixels, some of them padded zeros, over the share of the nine that are none.
        share = self.pool(self.pad(torch.ones_like(x[:1, :1, :1])))
        mean: Tensor = self.pool(self.pad(x)) / share
        return mean


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: two dense layers turn means of the channels into gates of 0..1 for them.

    The means are those of each frame (``2d``), of all frames (``3d``), or both (``2plus3d``). In a causal
    network those of all frames are of the frames so far.
    """

    def __init__(self, channels: int, options: Options) -> None:
        super().__init__()
        self.sees, self.causal = options.squeeze, options.causal
        seen = channels * (2 if options.squeeze == "2plus3d" else 1)
        hidden = make_divisible(0.25 * seen)
        self.pool = nn.AdaptiveAvgPool3d((None, 1, 1))
        self.position = PositionEncoding(seen) if options.position_encoding else nn.Identity()
        self.reduce = nn.Linear(seen, hidden)
        self.activation = ACTIVATIONS[options.activation]()
        self.expand = nn.Linear(hidden, channels)
        self.gate = GATES[options.gate]()

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip to a clip."""
        mean = self.pool(x).flatten(2).transpose(1, 2)  # (batch, frames, channels)
        if self.sees != "2d":
            over_time = mean_so_far(mean) if self.causal else mean.mean(1, keepdim=True)
            mean = over_time if self.sees == "3d" else torch.cat([over_time.expand_as(mean), mean], 2)
        gates: Tensor = self.gate(self.expand(self.activation(self.reduce(self.position(mean)))))
        return x * gates.transpose(1, 2)[..., None, None]


def mean_so_far(x: Tensor) -> Tensor:
    """Return the means up to and with each frame, for (batch, frames, channels)."""
    count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)
    return x.cumsum(1) / count[:, None]


class PositionEncoding(nn.Module):
    """A trainable multiple of a sinusoid of the frame's index (A3 to A5, stream form)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, frames, channels) to the same shape."""
        frame = torch.arange(x.shape[1], device=x.device)[None]
        return x + self.scale * encode_position(frame, self.channels, x.dtype)


class HardSigmoid(nn.Module):
    """A straight line from 0 at ``-reach`` to 1 at ``reach``; torch's differs in the fifth digit."""

    def __init__(self, slope: float, reach: float) -> None:
        super().__init__()
        self.slope, self.reach = slope, reach

    def forward(self, x: Tensor) -> Tensor:
        """Map any tensor to one of its shape."""
        raised = (x + self.reach).clamp(0.0, 2 * self.reach)
        return raised * self.slope


class DropClips(nn.Module):
    """Stochastic depth: in training a clip's bottleneck is left out with probability ``rate``."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero whole clips and scale up the others."""
        if not self.training or self.rate == 0:
            return x
        keep = 1.0 - self.rate
        return x * x.new_empty(x.shape[0], 1, 1, 1, 1).bernoulli_(keep).div_(keep)


class PoolHead(nn.Module):
    """conv7, the mean over space and time, dense9, swish, dropout and the classifier (paper, Table 1)."""

    def __init__(self, inputs: int, architecture: Architecture, outputs: int, dropout: float) -> None:
        super().__init__()
        self.project = ConvNorm(inputs, architecture.head, activation=architecture.options.activation)
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.hidden = nn.Linear(architecture.head, architecture.hidden)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(architecture.hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip to logits (batch, outputs)."""
        hidden = self.activation(self.hidden(self.pool(self.project(x)).flatten(1)))
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits


ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "swish": nn.SiLU,
    "hard_swish": nn.Hardswish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
}
GATES: Mapping[Gate, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": lambda: HardSigmoid(HARD_SIGMOID_SLOPE, 3.0),
    "hard_sigmoid_keras": lambda: HardSigmoid(0.2, 2.5),
}


def _whole_clips_only(what: str) -> NetworkError:
    return NetworkError(
        f"{what}: the plain form of a network takes whole clips only",
        hint="use the normal form, build() without plain=True, of a causal architecture (stream form)",
    )


def copy_weights(network: nn.Module, plain: PlainMoViNet) -> None:
    """Give a plain network copies of all weights and statistics of the ``MoViNet`` of its architecture."""
    weights = network.state_dict()
    copies = {
        name: weights[name.replace(".conv.", ".")]
        .reshape(tensor.shape)
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in plain.state_dict().items()
    }
    plain.load_state_dict(copies, assign=True)
