"""A whole clip in the form that exporters and runtimes take well: the clip form beside ``StepModule``'s step.

The same function as ``forward`` of one clip, of plain 2-D operations on tensors of at most four axes: the
frames of the clip are the batch, a temporal or 3-D depthwise convolution is a sum of 2-D ones over shifted
frames, and a mean over time, of all frames or of those so far, is one product with a constant matrix.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.parts import Activation
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import average_pool_same, pad_same
from search_space.network.ensemble import Ensemble, networks_of
from search_space.network.folding import fold
from search_space.network.layers import SqueezeExcite, TemporalConvNorm, activate
from search_space.network.model import MoViNet
from search_space.network.step_module import FoldedConvolution, FoldedSqueeze, image_mean, mean_of


class ClipModule(nn.Module):
    """A network, or an ensemble of such, of base or stream form, as a function of one whole clip.

    ``forward(clip)`` takes (frames, 3, height, width), 0..1, and returns logits (1, classes).

    Args:
        model: the network, folded or not; it is not changed.
        frames: frames of a clip; by default the architecture's.
    """

    input_names = ("clip",)
    output_names = ("logits",)

    def __init__(self, model: MoViNet | Ensemble, frames: int | None = None) -> None:
        super().__init__()
        networks = networks_of(model)
        self.size = max(network.architecture.input.size for network in networks)
        self.frames = frames or networks[0].architecture.input.frames
        self.networks = nn.ModuleList([_Network(network, self.frames) for network in networks])
        self.eval().requires_grad_(False)

    def forward(self, clip: Tensor) -> Tensor:
        """Compute the function that the class describes."""
        logits = [network(clip) for network in self.networks]
        return mean_of(logits)


class _Network(nn.Module):
    """One network of the clip form."""

    mean: Tensor

    def __init__(self, model: MoViNet, frames: int) -> None:
        super().__init__()
        network = model if model.folded else fold(model)
        self.stem = FoldedConvolution(network.stem)
        self.blocks = nn.ModuleList([_Block(block, frames) for block in network.bottlenecks])
        self.project = FoldedConvolution(network.head.project)
        self.hidden = network.head.hidden
        self.classifier = network.head.classifier
        self.register_buffer("mean", torch.full((1, frames), 1.0 / frames))

    def forward(self, clip: Tensor) -> Tensor:
        x: Tensor = self.stem(clip)
        for block in self.blocks:
            x = block(x)
        pooled = self.mean @ image_mean(self.project(x)).flatten(1)
        logits: Tensor = self.classifier(activate(self.hidden(pooled), "swish"))
        return logits


class _Temporal(nn.Module):
    """A temporal or 3-D depthwise convolution as one 2-D depthwise convolution for each tap in time."""

    def __init__(self, layer: TemporalConvNorm) -> None:
        super().__init__()
        space, time, self.stride = layer.kernel.space, layer.kernel.time, layer.stride
        self.activation: Activation | None = layer.activation
        self.before = time - 1 if layer.causal else time // 2
        self.after = 0 if layer.causal else time - 1 - self.before
        taps = layer.weight.detach().reshape(-1, 1, time, space, space).unbind(2)
        self.taps = nn.ParameterList([nn.Parameter(tap.clone().contiguous()) for tap in taps])
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        frames, space = x.shape[0], self.taps[0].shape[-1]
        x, padding = pad_same(x, space, self.stride)
        # Only the time is padded here: axes of an exported ``pad`` are those of images in some runtimes.
        silence = [x.new_zeros(count, *x.shape[1:]) for count in (self.before, self.after) if count]
        if silence:
            x = torch.cat([silence[0], x, *silence[1:]] if self.before else [x, *silence])
        y: Tensor | None = None
        for index, tap in enumerate(self.taps):
            bias = self.bias if index == 0 else None
            part = F.conv2d(
                x[index : index + frames].contiguous(), tap, bias, self.stride, padding, 1, tap.shape[0]
            )
            y = part if y is None else y + part
        assert y is not None, "a kernel has at least one tap"
        return activate(y, self.activation)


class _Squeeze(FoldedSqueeze):
    """Squeeze-and-excitation of all frames of a clip."""

    mean: Tensor
    positions: Tensor | None

    def __init__(self, layer: SqueezeExcite, frames: int) -> None:
        super().__init__(layer)
        count = torch.arange(1, frames + 1, dtype=torch.float32)
        so_far = torch.tril(torch.ones(frames, frames)) / count[:, None]
        self.register_buffer("mean", so_far if layer.causal else torch.full_like(so_far, 1.0 / frames))
        position = torch.arange(frames, dtype=torch.float32)[None]
        encoding = None if self.scale is None else self.encoding(position, torch.float32)[0].detach()
        self.register_buffer("positions", encoding)

    def of_clip(self, x: Tensor) -> Tensor:
        """Map (frames, channels, height, width) to the same, times the gates."""
        descriptor = image_mean(x).flatten(1)
        if self.sees != "2d":
            time = self.mean @ descriptor
            descriptor = time if self.sees == "3d" else torch.cat([time, descriptor], 1)
        if self.positions is not None:
            descriptor = descriptor + self.positions
        return self.gated(x, descriptor.reshape(*descriptor.shape, 1, 1))


class _Block(nn.Module):
    """A folded bottleneck of all frames of a clip."""

    def __init__(self, block: Bottleneck, frames: int) -> None:
        super().__init__()
        self.stride = block.stride
        self.expand = FoldedConvolution(block.expand)
        self.spatial = None if block.spatial is None else FoldedConvolution(block.spatial)
        self.temporal = None if block.temporal is None else _Temporal(block.temporal)
        self.squeeze = None if block.squeeze is None else _Squeeze(block.squeeze, frames)
        slope = 1.0 if self.squeeze is None else self.squeeze.slope
        self.project = FoldedConvolution(block.project, slope)
        self.skip = None if block.skip is None else FoldedConvolution(block.skip.project)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expand(x)
        if self.spatial is not None:
            y = self.spatial(y)
        if self.temporal is not None:
            y = self.temporal(y)
        if self.squeeze is not None:
            y = self.squeeze.of_clip(y)
        if self.skip is not None:
            x = self.skip(average_pool_same(x, self.stride) if self.stride > 1 else x)
        projected: Tensor = self.project(y)
        return x + projected
