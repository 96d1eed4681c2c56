"""One frame of a stream in the form that exporters and runtimes take well.

The same function as ``step`` of one frame, of plain 2-D operations on contiguous tensors of at most four
axes: batch norm folded, each temporal or 3-D depthwise convolution a sum of 2-D ones with weights of their
own, channels before pixels in memory as ONNX has them. Past frames are tensors of their own, so that none is
ever copied: the newest comes out, and the caller passes the others on. Counting frames is left to the caller
too, who gives 1 / n: a counter ends at 2048 in half precision, and quantisation breaks it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.parts import Activation
from search_space.errors import NetworkError
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import average_pool_same, pad_same, strided
from search_space.network.ensemble import Ensemble, networks_of
from search_space.network.folding import fold
from search_space.network.layers import (
    HARD_SIGMOID_SLOPE,
    ConvNorm,
    SqueezeExcite,
    TemporalConvNorm,
    activate,
    encode_position,
)
from search_space.network.model import STEM_STRIDE, MoViNet

NEW = "new_"
_BUFFER = "stream_buffer"


class StepModule(nn.Module):
    """A causal network, or an ensemble of such, as a function of tensors alone.

    ``forward(frame, reciprocal[, position], *states)`` returns ``(logits, *new)`` in the order of
    ``input_names`` and ``output_names``:

    - ``frame``: (batch, 3, height, width), 0..1;
    - ``reciprocal``: (batch, 1, 1, 1), 1 / n for the n-th frame of the video, n from 1;
    - ``position``: (batch, 1), n - 1; only if a network encodes positions;
    - states: named as those of ``step``, without the frame counts. Each of the k_t - 1 past frames of a
      stream buffer is one state, (batch, channels, height, width), ``.._stream_buffer_0`` the oldest; a pool
      buffer is (batch, channels, 1, 1). All zero at the start.

    ``following`` says where each state's next value is: an output, or for all but the newest past frame
    another state. ``advance`` does so with tensors.

    Args:
        model: a causal network, folded or not; it is not changed.
        joined: whether a convolution over time alone is one over its frames, joined into one tall image,
            instead of a sum with one for each frame. XNNPACK takes the former in less time, others do not.

    Raises:
        NetworkError: a network is not causal.
    """

    def __init__(self, model: MoViNet | Ensemble, *, joined: bool = False) -> None:
        super().__init__()
        networks = networks_of(model)
        if not model.causal:
            raise NetworkError("deploy: expected a causal network, got one of the base form")
        prefixes = [""] if isinstance(model, MoViNet) else [f"{index}." for index in range(len(networks))]
        self.size = max(network.architecture.input.size for network in networks)
        self.positions = any(network.architecture.options.position_encoding for network in networks)
        self.networks = nn.ModuleList([_Network(network, joined) for network in networks])
        shapes = self._shapes(1, self.size)
        self.state_names = [
            f"{prefix}{name}" for prefix, named in zip(prefixes, shapes, strict=True) for name, _ in named
        ]
        self.eval().requires_grad_(False)

    @property
    def input_names(self) -> list[str]:
        """Names of ``forward``'s inputs, in order."""
        return ["frame", "reciprocal", *(["position"] if self.positions else []), *self.state_names]

    @property
    def output_names(self) -> list[str]:
        """Names of ``forward``'s outputs, in order: ``logits``, and ``new_`` before the name of a state."""
        return ["logits", *(name for name in self.following.values() if name.startswith(NEW))]

    @property
    def following(self) -> dict[str, str]:
        """Name of the output, or of the state, that each state becomes after the frame."""
        older = dict(zip(self.state_names, self.state_names[1:], strict=False))
        moves = {name for name, after in older.items() if _is_next_frame(name, after)}
        return {name: older[name] if name in moves else f"{NEW}{name}" for name in self.state_names}

    def advance(self, states: Sequence[Tensor], new: Sequence[Tensor]) -> list[Tensor]:
        """Return the states after a frame.

        Args:
            states: the states before the frame, in order.
            new: the outputs of ``forward`` after the logits.
        """
        values = dict(zip(self.state_names, states, strict=True))
        values |= zip(self.output_names[1:], new, strict=True)
        return [values[after] for after in self.following.values()]

    def counters(self, frame: int, batch: int = 1) -> tuple[Tensor, ...]:
        """Return the inputs between frame and states, for the ``frame``-th frame of the video, from 1."""
        reciprocal = torch.full((batch, 1, 1, 1), 1.0 / frame)
        return (reciprocal, torch.full((batch, 1), frame - 1.0)) if self.positions else (reciprocal,)

    def initial_states(self, batch: int = 1, size: int | tuple[int, int] | None = None) -> list[Tensor]:
        """Return zeros for every state, in order; ``size`` as in ``MoViNet.initial_state``."""
        shapes = self._shapes(batch, self.size if size is None else size)
        return [torch.zeros(shape) for named in shapes for _, shape in named]

    def _shapes(self, batch: int, size: int | tuple[int, int]) -> list[list[tuple[str, tuple[int, ...]]]]:
        height, width = (size, size) if isinstance(size, int) else size
        networks = [network for network in self.networks if isinstance(network, _Network)]
        return [network.state_shapes(batch, height, width) for network in networks]

    def forward(self, frame: Tensor, reciprocal: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Compute the function that the class describes."""
        position, states = (rest[0], list(rest[1:])) if self.positions else (None, list(rest))
        new: list[Tensor] = []
        logits = [network(frame, reciprocal, position, states, new) for network in self.networks]
        return (mean_of(logits), *new)


def mean_of(logits: Sequence[Tensor]) -> Tensor:
    """Return the mean of the logits of several networks, in operations that every runtime has."""
    total = logits[0]
    for others in logits[1:]:
        total = total + others
    return total if len(logits) == 1 else total * (1.0 / len(logits))


def _is_next_frame(name: str, after: str) -> bool:
    """Return whether two states are successive past frames of one stream buffer."""
    (buffer, _, older), (other, _, newer) = name.rpartition("_"), after.rpartition("_")
    return buffer == other and buffer.endswith(_BUFFER) and int(newer) == int(older) + 1


class _Network(nn.Module):
    """One network of the step."""

    def __init__(self, model: MoViNet, joined: bool) -> None:
        super().__init__()
        network = model if model.folded else fold(model)
        self.stem = FoldedConvolution(network.stem)
        blocks = {name: block for name, block in network.blocks.items() if isinstance(block, Bottleneck)}
        self.blocks = nn.ModuleDict({name: _Block(block, joined) for name, block in blocks.items()})
        self.project = FoldedConvolution(network.head.project)
        self.hidden = network.head.hidden
        self.classifier = network.head.classifier

    def forward(
        self,
        frame: Tensor,
        reciprocal: Tensor,
        position: Tensor | None,
        states: list[Tensor],
        new: list[Tensor],
    ) -> Tensor:
        x: Tensor = self.stem(frame)
        for block in self.blocks.values():
            x = block(x, reciprocal, position, states, new)
        total = states.pop(0) + image_mean(self.project(x))
        new.append(total)
        hidden = activate(self.hidden((total * reciprocal).flatten(1)), "swish")
        logits: Tensor = self.classifier(hidden)
        return logits

    def state_shapes(self, batch: int, height: int, width: int) -> list[tuple[str, tuple[int, ...]]]:
        """Return the names and shapes of the states, in order, for frames of this height and width."""
        height, width = strided(height, STEM_STRIDE), strided(width, STEM_STRIDE)
        shapes: list[tuple[str, tuple[int, ...]]] = []
        for name, block in self.blocks.items():
            assert isinstance(block, _Block)
            shapes += [
                (f"state_{name}_{kind}", shape) for kind, shape in block.state_shapes(batch, height, width)
            ]
            height, width = strided(height, block.stride), strided(width, block.stride)
        return [*shapes, ("state_head_pool_buffer", (batch, self.hidden.in_features, 1, 1))]


class FoldedConvolution(nn.Module):
    """A folded convolution of one frame, of weights in ONNX's memory order and times a number."""

    def __init__(self, layer: ConvNorm, times: float = 1.0) -> None:
        super().__init__()
        self.stride, self.groups = layer.stride, layer.groups
        self.activation: Activation | None = layer.activation
        self.weight = nn.Parameter(layer.weight.detach().clone(memory_format=torch.contiguous_format) * times)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        x, padding = pad_same(x, self.weight.shape[-1], self.stride)
        return activate(
            F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups), self.activation
        )


def _temporal(layer: TemporalConvNorm, joined: bool) -> _Taps | _Joined:
    """Return a temporal or 3-D depthwise convolution; frames are joined only where it mixes no pixels."""
    return _Joined(layer) if joined and layer.kernel.space == 1 else _Taps(layer)


class _Taps(nn.Module):
    """A temporal or 3-D depthwise convolution as one 2-D depthwise convolution for each tap in time."""

    def __init__(self, layer: TemporalConvNorm) -> None:
        super().__init__()
        space, self.past, self.stride = layer.kernel.space, layer.kernel.time - 1, layer.stride
        self.activation: Activation | None = layer.activation
        taps = layer.weight.detach().reshape(-1, 1, layer.kernel.time, space, space).unbind(2)
        self.taps = nn.ParameterList([nn.Parameter(tap.clone().contiguous()) for tap in taps])
        self.bias = layer.bias

    def forward(self, x: Tensor, states: list[Tensor], new: list[Tensor]) -> Tensor:
        y = self._tap(x, self.taps[self.past], self.bias)
        for tap in list(self.taps)[: self.past]:
            y = y + self._tap(states.pop(0), tap, None)
        if self.past:
            new.append(x)
        return activate(y, self.activation)

    def _tap(self, frame: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        frame, padding = pad_same(frame, weight.shape[-1], self.stride)
        return F.conv2d(frame, weight, bias, self.stride, padding, 1, weight.shape[0])


class _Joined(nn.Module):
    """A temporal convolution over frames one below the other: its taps lie the height of a frame apart."""

    def __init__(self, layer: TemporalConvNorm) -> None:
        super().__init__()
        self.past, self.stride = layer.kernel.time - 1, layer.stride
        self.activation: Activation | None = layer.activation
        weight = layer.weight.detach().reshape(-1, 1, layer.kernel.time, 1)
        self.weight = nn.Parameter(weight.clone().contiguous())
        self.bias = layer.bias

    def forward(self, x: Tensor, states: list[Tensor], new: list[Tensor]) -> Tensor:
        frames = [states.pop(0) for _ in range(self.past)] + [x]
        if self.past:
            new.append(x)
        # Channels last while they are joined: LiteRT has them so, and leaves its order for nothing else.
        tall = torch.cat([frame.permute(0, 2, 3, 1) for frame in frames], 1).permute(0, 3, 1, 2)
        apart = (x.shape[2], 1)
        y = F.conv2d(tall, self.weight, self.bias, self.stride, 0, apart, self.weight.shape[0])
        return activate(y, self.activation)


class FoldedSqueeze(nn.Module):
    """Squeeze-and-excitation of one frame, its dense layers as 1x1 convolutions.

    A hard sigmoid is relu6 between two linear functions; the one before goes into the expanding convolution,
    the one after is ``slope``, which is left to the projection that follows.
    """

    def __init__(self, layer: SqueezeExcite) -> None:
        super().__init__()
        self.sees, self.activation = layer.sees, layer.activation
        self.reduce = nn.Parameter(layer.reduce.weight.detach()[:, :, None, None].clone())
        self.reduce_bias = layer.reduce.bias
        # relu6(inner x + 3) * slope is the gate; the Keras form is relu6(1.2 x + 3) / 6.
        self.soft = layer.gate == "sigmoid"
        inner, outer, self.slope = {
            "sigmoid": (1.0, 0.0, 1.0),
            "hard_sigmoid": (1.0, 3.0, HARD_SIGMOID_SLOPE),
            "hard_sigmoid_keras": (1.2, 3.0, 1.0 / 6.0),
        }[layer.gate]
        self.expand = nn.Parameter(layer.expand.weight.detach()[:, :, None, None] * inner)
        self.expand_bias = nn.Parameter(layer.expand.bias.detach() * inner + outer)
        self.scale = None if layer.position is None else layer.position.scale

    def forward(
        self, x: Tensor, reciprocal: Tensor, position: Tensor | None, states: list[Tensor], new: list[Tensor]
    ) -> Tensor:
        descriptor = image_mean(x)
        if self.sees != "2d":
            total = states.pop(0) + descriptor
            new.append(total)
            time = total * reciprocal
            descriptor = time if self.sees == "3d" else torch.cat([time, descriptor], 1)
        if self.scale is not None and position is not None:
            encoding = self.encoding(position, descriptor.dtype)
            # Reshaped: OpenCV 4.14 does not add two axes at once.
            descriptor = descriptor + encoding.reshape(-1, self.reduce.shape[1], 1, 1)
        return self.gated(x, descriptor)

    def encoding(self, position: Tensor, dtype: torch.dtype) -> Tensor:
        """Map frame indices (batch, frames) to what they add to descriptors, (batch, frames, channels)."""
        assert self.scale is not None, "only networks that encode positions have a scale"
        return self.scale * encode_position(position, self.reduce.shape[1], dtype)

    def gated(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Return images times their gates, from their descriptors (images, channels, 1, 1)."""
        hidden = activate(F.conv2d(descriptor, self.reduce, self.reduce_bias), self.activation)
        gate = F.conv2d(hidden, self.expand, self.expand_bias)
        return x * (torch.sigmoid(gate) if self.soft else F.relu6(gate))


class _Block(nn.Module):
    """A folded bottleneck of one frame."""

    def __init__(self, block: Bottleneck, joined: bool) -> None:
        super().__init__()
        self.stride = block.stride
        self.channels = block.expand.weight.shape[0]
        self.expand = FoldedConvolution(block.expand)
        self.spatial = None if block.spatial is None else FoldedConvolution(block.spatial)
        self.temporal = None if block.temporal is None else _temporal(block.temporal, joined)
        self.squeeze = None if block.squeeze is None else FoldedSqueeze(block.squeeze)
        self.project = FoldedConvolution(block.project, 1.0 if self.squeeze is None else self.squeeze.slope)
        self.skip = None if block.skip is None else FoldedConvolution(block.skip.project)

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
            x = self.skip(average_pool_same(x, self.stride) if self.stride > 1 else x)
        projected: Tensor = self.project(y)
        return x + projected

    def state_shapes(self, batch: int, height: int, width: int) -> list[tuple[str, tuple[int, ...]]]:
        shapes: list[tuple[str, tuple[int, ...]]] = []
        if self.temporal is not None:
            stride = self.stride if self.spatial is not None else 1
            shape = (batch, self.channels, strided(height, stride), strided(width, stride))
            shapes += [(f"{_BUFFER}_{index}", shape) for index in range(self.temporal.past)]
        if self.squeeze is not None and self.squeeze.sees != "2d":
            shapes.append(("pool_buffer", (batch, self.channels, 1, 1)))
        return shapes


def image_mean(x: Tensor) -> Tensor:
    """Return the mean over height and width, (batch, channels, 1, 1)."""
    # A pooling of known size: runtimes keep their own memory order through it, through a reduction they do
    # not.
    return F.avg_pool2d(x, (x.shape[2], x.shape[3]))
