"""The costs of a network in closed form: multiply-adds, parameters, activation and stream-state bytes.

Nothing here runs a network. Bytes are those of float32 at batch 1, and of an ideal runtime: alive at any time
are an operator's input and output and, inside a bottleneck, the input that its skip still needs; elementwise
operators work in place, and batch norms are folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape, Layer, Options, Stage
from search_space.cost.operators import (
    IMAGE_CHANNELS,
    STEM_STRIDE,
    Position,
    head_operators,
    layer_operators,
    squeeze_width,
    squeezed_frames,
    stem_operators,
    strided,
)
from search_space.errors import ArchitectureError

ELEMENT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """The costs of one network for one clip.

    Attributes:
        macs: multiply-adds of convolutions and dense layers over the whole clip.
        parameters: trainable parameters.
        activation_bytes: peak of the clip form.
        state_bytes: state that the step form keeps between frames; 0 for base networks.
        step_bytes: peak of the step form for one frame: the old state, the new one as far as it is written,
            and the activations; 0 for base networks.
        frames: frames of the clip.
    """

    macs: int
    parameters: int
    activation_bytes: int
    state_bytes: int
    step_bytes: int
    frames: int

    @property
    def macs_per_frame(self) -> float:
        """Multiply-adds a frame of the clip."""
        return self.macs / self.frames


class _Terms(NamedTuple):
    """The costs of one layer; ``alive`` and ``step_alive`` are peaks in elements, the rest are sums."""

    macs: int
    parameters: int
    alive: int
    state: int
    step_alive: int


class _Row(dict[int, _Terms]):
    """The terms of layers at one position, by the layers' codes; worked out when first asked for."""

    def __init__(self, position: Position, frames: int, options: Options) -> None:
        super().__init__()
        self._at = position, frames, options

    def of(self, layer: Layer) -> _Terms:
        terms = self.get(layer.code)
        if terms is None:
            terms = self[layer.code] = _layer_terms(layer, *self._at)
        return terms


class _Tables:
    """The layers' terms that have been worked out, for one number of frames and one set of options."""

    def __init__(self, frames: int, options: Options) -> None:
        self.frames = frames
        self.options = options
        self._rows: dict[tuple[int, int, int, int], _Row] = {}

    def row(self, inputs: int, outputs: int, stride: int, size: int) -> _Row:
        row = self._rows.get((inputs, outputs, stride, size))
        if row is None:
            if len(self._rows) >= 100_000:
                self._rows.clear()
            position = Position(inputs, outputs, stride, size)
            row = self._rows[position] = _Row(position, self.frames, self.options)
        return row

    def stage(self, stage: Stage, inputs: int, size: int) -> list[_Terms]:
        """Return the terms of a stage's layers in order; ``size`` is the pixels a side of its input."""
        layers, width = stage.layers, stage.width
        terms = [self.row(inputs, width, stage.stride, size).of(layers[0])]
        if len(layers) > 1:
            row = self.row(width, width, 1, -(-size // stage.stride))
            try:
                terms += [row[layer.code] for layer in layers[1:]]
            except KeyError:
                terms += [row.of(layer) for layer in layers[1:]]
        return terms


def _layer_terms(layer: Layer, position: Position, frames: int, options: Options) -> _Terms:
    past = layer.kernel.time - 1
    listed = layer_operators(layer, position, frames, options, "")
    return _Terms(
        macs=sum(operator.macs for operator in listed),
        parameters=sum(operator.parameters for operator in listed),
        alive=_layer_alive(layer, position, frames, options, past=0),
        state=_layer_state(layer, position, options) if options.causal else 0,
        step_alive=_layer_alive(layer, position, 1, options, past=past) if options.causal else 0,
    )


_tables = lru_cache(maxsize=256)(_Tables)


def _layer_state(layer: Layer, position: Position, options: Options) -> int:
    """Return the elements of a layer's state: stream buffer, running sum with its frame count, position."""
    # A separate temporal convolution comes after the spatial stride, a volume convolution has it.
    held = position.size if options.convolution == "3d" else strided(position.size, position.stride)
    state = (layer.kernel.time - 1) * held**2 * layer.expansion
    if layer.squeeze and options.squeeze != "2d":
        state += layer.expansion + 1 + int(options.position_encoding)
    return state


def _layer_alive(layer: Layer, position: Position, frames: int, options: Options, *, past: int) -> int:
    """Return the most elements alive at once in a bottleneck; ``past`` frames come from the stream buffer."""
    inputs, outputs, stride, size = position
    before, after = frames * size**2, frames * strided(size, stride) ** 2
    kept, wide = before * inputs, layer.expansion
    out = after * outputs
    joined = wide * (after + past * strided(size, stride) ** 2)
    if options.convolution == "3d":
        peak = kept + wide * (before + past * size**2) + wide * after
    else:
        peak = kept + wide * (before + after)
        if layer.kernel.time > 1:
            peak = max(peak, kept + joined + wide * after)
    if layer.squeeze:
        runs, hidden = squeezed_frames(frames, options), squeeze_width(wide, options)
        seen = wide * (2 if options.squeeze == "2plus3d" else 1)
        peak = max(peak, kept + wide * after + runs * (hidden + max(seen, wide)))
    peak = max(peak, kept + wide * after + out)
    if stride > 1:
        peak = max(peak, kept + out + after * inputs, out + after * inputs + out)
    elif inputs != outputs:
        peak = max(peak, kept + out + out)
    return peak


def layer_macs(layer: Layer, position: Position, frames: int, options: Options) -> int:
    """Return the multiply-adds of one bottleneck over a clip."""
    return _tables(frames, options).row(*position).of(layer).macs


@lru_cache(maxsize=65_536)
def stem_macs(channels: int, size: int, frames: int) -> int:
    """Return the multiply-adds of the stem over a clip of ``size`` pixels a side."""
    return stem_operators(channels, ClipShape(frames, size, 1))[0].macs


@lru_cache(maxsize=65_536)
def head_macs(inputs: int, widths: tuple[int, int, int], size: int, frames: int) -> int:
    """Return the multiply-adds of conv7, dense9 and the classifier (their ``widths``) on ``size`` pixels."""
    return sum(operator.macs for operator in head_operators(inputs, widths, size, frames))


@lru_cache(maxsize=65_536)
def _head_parameters(inputs: int, widths: tuple[int, int, int]) -> int:
    return sum(operator.parameters for operator in head_operators(inputs, widths, 1, 1))


def macs(architecture: Architecture, classes: int = 600, *, input: ClipShape | None = None) -> int:
    """Return the multiply-adds of convolutions and dense layers over the whole clip.

    Args:
        architecture: the network.
        classes: outputs of the classifier.
        input: the clip; by default the one that the network is made for.
    """
    _check_classes(classes)
    clip = input or architecture.input
    tables = _tables(clip.frames, architecture.options)
    total = stem_macs(architecture.stem, clip.size, clip.frames)
    size, channels = -(-clip.size // STEM_STRIDE), architecture.stem
    for stage in architecture.stages:
        for terms in tables.stage(stage, channels, size):
            total += terms[0]
        size, channels = -(-size // stage.stride), stage.width
    widths = (architecture.head, architecture.hidden, classes)
    return total + head_macs(channels, widths, size, clip.frames)


def compute_cost(architecture: Architecture, classes: int = 600, *, input: ClipShape | None = None) -> Cost:
    """Return all costs of a network.

    Args:
        architecture: the network.
        classes: outputs of the classifier.
        input: the clip; by default the one that the network is made for.
    """
    _check_classes(classes)
    clip = input or architecture.input
    frames, stem, head, hidden = clip.frames, architecture.stem, architecture.head, architecture.hidden
    tables = _tables(frames, architecture.options)
    stream = architecture.options.causal
    size = -(-clip.size // STEM_STRIDE)
    first = IMAGE_CHANNELS * clip.size**2 + stem * size**2
    total = stem_macs(stem, clip.size, frames)
    parameters = stem_operators(stem, clip)[0].parameters
    alive, state, step_alive = frames * first, 0, first
    channels = stem
    for stage in architecture.stages:
        for added_macs, added_parameters, layer_alive, layer_state, layer_step in tables.stage(
            stage, channels, size
        ):
            total += added_macs
            parameters += added_parameters
            state += layer_state
            alive = max(alive, layer_alive)
            step_alive = max(step_alive, state + layer_step)
        size, channels = -(-size // stage.stride), stage.width
    widths = (head, hidden, classes)
    total += head_macs(channels, widths, size, frames)
    parameters += _head_parameters(channels, widths)
    last = (channels + head) * size**2
    state += head + 1
    return Cost(
        macs=total,
        parameters=parameters,
        activation_bytes=ELEMENT_BYTES * max(alive, frames * last, head + hidden, hidden + classes),
        state_bytes=ELEMENT_BYTES * state if stream else 0,
        step_bytes=ELEMENT_BYTES * (state + max(step_alive, state + last)) if stream else 0,
        frames=frames,
    )


def _check_classes(classes: int) -> None:
    if classes < 1:
        raise ArchitectureError(f"classes is {classes}", hint="give the number of classes, at least 1")
