"""The parts of an architecture: kernels, layers, stages, the shape of its clips, options."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal, TypedDict, get_args

from search_space.errors import ArchitectureError

ConvolutionType = Literal["3d", "2plus1d", "3d_2plus1d"]
SqueezeType = Literal["3d", "2d", "2plus3d", "none"]
Activation = Literal["swish", "hard_swish", "relu", "relu6"]
Gate = Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_keras"]

_CLIP = re.compile(r"(\d+)x(\d+)x(\d+(?:\.\d+)?)", re.ASCII)

MAX_CHANNELS = 65_536
MAX_LAYERS = 26
"""Largest number of layers of one stage: the text form has 26 letters; the deepest released stage has 18."""


def check_whole(what: str, value: object, low: int, high: int) -> None:
    """Raise ArchitectureError unless ``value`` is a whole number from ``low`` to ``high``."""
    if type(value) is not int or not low <= value <= high:
        raise ArchitectureError(f"{what} is {value!r}", hint=f"give a whole number from {low} to {high:,}")


def round_to_8(value: float) -> int:
    """Round to the nearest multiple of 8, ties up, at least 8: 0.75 x 24 is A2's 16."""
    return max(8, int(value + 4) // 8 * 8)


@dataclass(frozen=True, slots=True, order=True)
class Kernel:
    """A depthwise kernel of ``time`` frames by ``space`` x ``space`` pixels, such as ``5x3x3``; odd, to 9."""

    time: int
    space: int

    def __post_init__(self) -> None:
        for what, value in (("time", self.time), ("space", self.space)):
            check_whole(f"kernel {what}", value, 1, 9)
            if value % 2 == 0:
                raise ArchitectureError(
                    f"kernel {self.time}x{self.space}x{self.space} is even in {what}",
                    hint="sizes are odd, so that the kernel has a centre: 1, 3, 5, 7 or 9",
                )

    def __str__(self) -> str:
        return f"{self.time}x{self.space}x{self.space}"

    @classmethod
    def parse(cls, text: str) -> Kernel:
        """Read ``TIMExSPACExSPACE``, such as ``5x3x3``."""
        parts = text.split("x") if isinstance(text, str) else []
        if len(parts) != 3 or parts[1] != parts[2] or not all(p.isascii() and p.isdigit() for p in parts):
            raise ArchitectureError(
                f"kernel {text!r} is not of the form TIMExSPACExSPACE", hint="write it like 5x3x3"
            )
        return cls(int(parts[0]), int(parts[1]))


@dataclass(frozen=True, slots=True)
class Layer:
    """One bottleneck: depthwise kernel, absolute expansion width in channels, squeeze-excitation or not.

    ``code`` is one number for the three, equal iff the layers are, under which costs are looked up quickly.
    """

    kernel: Kernel
    expansion: int
    squeeze: bool = True
    code: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise ArchitectureError(f"a layer's kernel is {self.kernel!r}", hint="give a Kernel")
        check_whole("expansion", self.expansion, 1, MAX_CHANNELS)
        if type(self.squeeze) is not bool:
            raise ArchitectureError(f"a layer's squeeze is {self.squeeze!r}", hint="give true or false")
        code = ((self.expansion * 2 + self.squeeze) * 10 + self.kernel.time) * 10 + self.kernel.space
        object.__setattr__(self, "code", code)


@dataclass(frozen=True, slots=True)
class Stage:
    """A row of bottlenecks of one output ``width``; only the first has the spatial ``stride``."""

    width: int
    stride: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        check_whole("stage width", self.width, 1, MAX_CHANNELS)
        check_whole("stage stride", self.stride, 1, 2)
        if not isinstance(self.layers, tuple) or not all(isinstance(layer, Layer) for layer in self.layers):
            raise ArchitectureError(
                f"a stage's layers are {self.layers!r}", hint="give a tuple of Layer objects"
            )
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise ArchitectureError(
                f"a stage has {len(self.layers)} layers", hint=f"a stage has 1 to {MAX_LAYERS} layers"
            )


@dataclass(frozen=True, slots=True)
class ClipShape:
    """The clip that a network is made for: ``frames`` of ``size`` x ``size`` pixels at ``fps`` a second."""

    frames: int
    size: int
    fps: float

    def __post_init__(self) -> None:
        check_whole("frames", self.frames, 1, 100_000)
        check_whole("size", self.size, 1, 8_192)
        number = isinstance(self.fps, int | float) and not isinstance(self.fps, bool)
        if not number or not math.isfinite(self.fps) or not 0.001 <= self.fps <= 1_000:
            raise ArchitectureError(
                f"fps is {self.fps!r}", hint="give frames a second, a number from 0.001 to 1,000"
            )
        object.__setattr__(self, "fps", float(self.fps))

    def __str__(self) -> str:
        return f"{self.frames}x{self.size}x{self.fps:g}"

    @classmethod
    def parse(cls, text: str) -> ClipShape:
        """Read ``FRAMESxSIZExFPS``, such as ``8x32x4``.

        Raises:
            ArchitectureError: the text is of another form, or a number is out of range.
        """
        match = _CLIP.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ArchitectureError(f"clip {text!r}", hint="write FRAMESxSIZExFPS, such as 8x32x4")
        return cls(int(match[1]), int(match[2]), float(match[3]))


@dataclass(frozen=True, slots=True)
class Options:
    """The way in which layers are built, in the official code's words (movinet.py, movinet_layers.py).

    ``hard_sigmoid`` is relu6(x + 3) / 6, ``hard_sigmoid_keras`` is clip(0.2 x + 0.5, 0, 1), which the
    published stream checkpoints were trained with. Position encoding needs a causal network whose
    squeeze-excitation looks along time (``3d`` or ``2plus3d``).
    """

    convolution: ConvolutionType = "3d"
    squeeze: SqueezeType = "3d"
    activation: Activation = "swish"
    gate: Gate = "sigmoid"
    causal: bool = False
    position_encoding: bool = False

    def __post_init__(self) -> None:
        for name, kind in (
            ("convolution", ConvolutionType),
            ("squeeze", SqueezeType),
            ("activation", Activation),
            ("gate", Gate),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ArchitectureError(
                    f"option {name} is {getattr(self, name)!r}", hint=f"one of {', '.join(get_args(kind))}"
                )
        for name in ("causal", "position_encoding"):
            if type(getattr(self, name)) is not bool:
                raise ArchitectureError(
                    f"option {name} is {getattr(self, name)!r}", hint="give true or false"
                )
        if self.position_encoding and not (self.causal and self.squeeze in ("3d", "2plus3d")):
            raise ArchitectureError(
                f"position_encoding with causal={self.causal} and squeeze={self.squeeze!r}",
                hint="it needs a causal network whose squeeze is 3d or 2plus3d",
            )

    @property
    def form(self) -> Literal["base", "stream"]:
        """``stream`` if the network is causal, so that it can run frame by frame; else ``base``."""
        return "stream" if self.causal else "base"


BASE = Options()
STREAM = Options("2plus1d", "2plus3d", "hard_swish", "hard_sigmoid", causal=True)


class Parts(TypedDict):
    """The arguments of an ``Architecture`` by name, as its text and JSON forms hold them."""

    stem: int
    stages: tuple[Stage, ...]
    head: int
    hidden: int
    input: ClipShape
    options: Options
