"""Every operator of a network that multiplies, with its multiply-adds and parameters in closed form.

Multiply-adds are those of the clip form, a whole clip, batch 1; papers and fvcore call them FLOPs. They
include products with padded zeros, as fvcore's do. Batch norms are counted apart, in elements that they
normalise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape, Layer, Options

STEM_STRIDE = 2
STEM_KERNEL = 3
IMAGE_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Operator:
    """One convolution or dense layer and the batch norm behind it, if there is one.

    Attributes:
        layer: ``stem``, ``block0_layer0``, ... or ``head``; the blocks are named as the stream's states are.
        name: role in the layer: ``expand``, ``spatial``, ``temporal``, ``volume`` (a depthwise convolution
            over time and space at once), ``reduce`` and ``gate`` (squeeze-excitation), ``project``, ``skip``,
            ``stem``, ``hidden``, ``classifier``.
        kind: ``conv`` or ``linear``, as fvcore tells them apart.
        macs: multiply-adds over the whole clip.
        parameters: trainable parameters, with those of its batch norm and its scalars.
        normalised: elements of its batch norm's output; 0 without one.
    """

    layer: str
    name: str
    kind: Literal["conv", "linear"]
    macs: int
    parameters: int
    normalised: int


class Position(NamedTuple):
    """The position of a bottleneck: channels in and out, spatial stride, pixels a side of its input."""

    inputs: int
    outputs: int
    stride: int
    size: int


def strided(size: int, stride: int) -> int:
    """Return the pixels a side after a "SAME" convolution: ceil(size / stride)."""
    return -(-size // stride)


def squeeze_width(expansion: int, options: Options) -> int:
    """Return a squeeze-excitation's hidden channels: a quarter of its input, to 8 and never 10 % down."""
    seen = 0.25 * expansion * _descriptors(options)
    width = max(8, int(seen + 4) // 8 * 8)
    return width + 8 if width < 0.9 * seen else width


def squeezed_frames(frames: int, options: Options) -> int:
    """Return how often a squeeze-excitation runs on a clip: for every frame, or once for all frames."""
    return 1 if options.squeeze == "3d" and not options.causal else frames


def _descriptors(options: Options) -> int:
    return 2 if options.squeeze == "2plus3d" else 1


def stem_operators(channels: int, clip: ClipShape) -> list[Operator]:
    """Return the stem's operator, the 1x3x3 convolution with stride 1x2x2."""
    positions = clip.frames * strided(clip.size, STEM_STRIDE) ** 2
    weights = STEM_KERNEL**2 * IMAGE_CHANNELS * channels
    return [
        Operator("stem", "stem", "conv", positions * weights, weights + 2 * channels, positions * channels)
    ]


def layer_operators(
    layer: Layer, position: Position, frames: int, options: Options, name: str
) -> list[Operator]:
    """Return one bottleneck's operators in order, under the layer's ``name``, for ``frames`` frames."""
    inputs, outputs, stride, size = position
    before = frames * size**2
    after = frames * strided(size, stride) ** 2

    def norm_conv(what: str, positions: int, weights: int, channels: int, scalars: int = 0) -> Operator:
        parameters = weights + 2 * channels + scalars
        return Operator(name, what, "conv", positions * weights, parameters, positions * channels)

    wide, time, space = layer.expansion, layer.kernel.time, layer.kernel.space
    operators = [norm_conv("expand", before, inputs * wide, wide)]
    if options.convolution == "3d" and time > 1:
        operators.append(norm_conv("volume", after, time * space**2 * wide, wide))
    else:
        operators.append(norm_conv("spatial", after, space**2 * wide, wide))
        if time > 1:
            operators.append(norm_conv("temporal", after, time * wide, wide))
    if layer.squeeze:
        operators += _squeeze_operators(wide, frames, options, name)
    # The projection's scalar is ReZero's.
    operators.append(norm_conv("project", after, wide * outputs, outputs, scalars=1))
    if stride > 1 or inputs != outputs:
        operators.append(norm_conv("skip", after, inputs * outputs, outputs))
    return operators


def _squeeze_operators(wide: int, frames: int, options: Options, name: str) -> list[Operator]:
    runs, seen, hidden = (
        squeezed_frames(frames, options),
        wide * _descriptors(options),
        squeeze_width(wide, options),
    )
    scalars = int(options.position_encoding)
    return [
        Operator(name, "reduce", "linear", runs * seen * hidden, seen * hidden + hidden + scalars, 0),
        Operator(name, "gate", "linear", runs * hidden * wide, hidden * wide + wide, 0),
    ]


def head_operators(inputs: int, widths: tuple[int, int, int], size: int, frames: int) -> list[Operator]:
    """Return the head's operators: conv7 on every position, then dense9 and the classifier once a clip.

    Args:
        inputs: channels of the input.
        widths: widths of conv7, of dense9, and of the classifier (the classes).
        size: pixels a side.
        frames: frames of the clip.
    """
    head, hidden, classes = widths
    positions = frames * size**2
    weights = inputs * head
    return [
        Operator("head", "project", "conv", positions * weights, weights + 2 * head, positions * head),
        Operator("head", "hidden", "linear", head * hidden, head * hidden + hidden, 0),
        Operator("head", "classifier", "linear", hidden * classes, hidden * classes + classes, 0),
    ]


def operators(
    architecture: Architecture, classes: int = 600, *, input: ClipShape | None = None
) -> list[Operator]:
    """Return all operators of a network in the order in which they run.

    Args:
        architecture: the network.
        classes: outputs of the classifier.
        input: the clip; by default the one that the network is made for.
    """
    clip = input or architecture.input
    result = stem_operators(architecture.stem, clip)
    size, channels = strided(clip.size, STEM_STRIDE), architecture.stem
    for i, stage in enumerate(architecture.stages):
        stride = stage.stride
        for j, layer in enumerate(stage.layers):
            position = Position(channels, stage.width, stride, size)
            result += layer_operators(
                layer, position, clip.frames, architecture.options, f"block{i}_layer{j}"
            )
            size, channels, stride = strided(size, stride), stage.width, 1
    widths = (architecture.head, architecture.hidden, classes)
    return result + head_operators(channels, widths, size, clip.frames)


def totals(
    architecture: Architecture, classes: int = 600, *, input: ClipShape | None = None
) -> dict[str, int]:
    """Return counts by operator as fvcore has them: ``conv``, ``linear``, ``batch_norm`` (two an element)."""
    counts = {"conv": 0, "linear": 0, "batch_norm": 0}
    for operator in operators(architecture, classes, input=input):
        counts[operator.kind] += operator.macs
        counts["batch_norm"] += 2 * operator.normalised
    return counts
