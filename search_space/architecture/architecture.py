"""What a candidate is: an immutable, canonical description of one MoViNet."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from search_space.errors import ArchitectureError

ConvolutionType = Literal["3d", "2plus1d", "3d_2plus1d"]
SqueezeType = Literal["3d", "2d", "2plus3d", "none"]
Activation = Literal["swish", "hard_swish", "relu", "relu6"]
Gate = Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_keras"]

MAX_CHANNELS = 65_536
MAX_LAYERS = 26
"""Most layers of one stage; the deepest released stage has 18, and a text form has 26 letters for them."""


def _check(what: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ArchitectureError(f"{what} is {value!r}", hint=f"give a whole number from {low} to {high:,}")


@dataclass(frozen=True, slots=True, order=True)
class Kernel:
    """A depthwise kernel of ``time`` frames by ``space`` x ``space`` pixels, such as ``5x3x3``; odd, to 9."""

    time: int
    space: int

    def __post_init__(self) -> None:
        for what, value in (("time", self.time), ("space", self.space)):
            _check(f"kernel {what}", value, 1, 9)
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
        _check("expansion", self.expansion, 1, MAX_CHANNELS)
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
        _check("stage width", self.width, 1, MAX_CHANNELS)
        _check("stage stride", self.stride, 1, 2)
        if not isinstance(self.layers, tuple) or not all(isinstance(layer, Layer) for layer in self.layers):
            raise ArchitectureError(
                f"a stage's layers are {self.layers!r}", hint="give a tuple of Layer objects"
            )
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise ArchitectureError(
                f"a stage has {len(self.layers)} layers", hint=f"a stage has 1 to {MAX_LAYERS} layers"
            )


@dataclass(frozen=True, slots=True)
class Input:
    """The clip that a network is made for: ``frames`` of ``size`` x ``size`` pixels at ``fps`` a second."""

    frames: int
    size: int
    fps: float

    def __post_init__(self) -> None:
        _check("frames", self.frames, 1, 100_000)
        _check("size", self.size, 1, 8_192)
        number = isinstance(self.fps, int | float) and not isinstance(self.fps, bool)
        if not number or not math.isfinite(self.fps) or not 0.001 <= self.fps <= 1_000:
            raise ArchitectureError(
                f"fps is {self.fps!r}", hint="give frames a second, a number from 0.001 to 1,000"
            )
        object.__setattr__(self, "fps", float(self.fps))

    def __str__(self) -> str:
        return f"{self.frames}x{self.size}x{self.fps:g}"


@dataclass(frozen=True, slots=True)
class Options:
    """How the layers are built, in the official implementation's words (movinet.py, movinet_layers.py).

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


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network, and nothing but its active structure; equal iff the networks are equal.

    Where a stage begins is part of the structure, since it names the layers and their states.
    Squeeze-excitation that no layer has is no option either: ``options.squeeze`` is then ``none``, whatever
    was given, and what only squeeze-excitation uses (gate, position encoding) has its default.

    Args:
        stem: output channels of the 1x3x3 stem convolution with stride 1x2x2.
        stages: the bottleneck stages in order (five in the paper, Table 1).
        head: output channels of conv7, the 1x1x1 convolution before pooling.
        hidden: output features of dense9.
        input: the clip it is made for.
        options: how its layers are built.

    Raises:
        ArchitectureError: a part is of the wrong type or out of range.
    """

    stem: int
    stages: tuple[Stage, ...]
    head: int
    hidden: int
    input: Input
    options: Options = BASE

    def __post_init__(self) -> None:
        for name in ("stem", "head", "hidden"):
            _check(name, getattr(self, name), 1, MAX_CHANNELS)
        if not isinstance(self.stages, tuple) or not all(isinstance(stage, Stage) for stage in self.stages):
            raise ArchitectureError(f"stages are {self.stages!r}", hint="give a tuple of Stage objects")
        if not 1 <= len(self.stages) <= 16:
            raise ArchitectureError(f"there are {len(self.stages)} stages", hint="give 1 to 16")
        if not isinstance(self.input, Input) or not isinstance(self.options, Options):
            raise ArchitectureError("input or options are of another type", hint="give an Input and Options")
        self._drop_absent_squeeze()

    def _drop_absent_squeeze(self) -> None:
        if self.options.squeeze != "none" and any(layer.squeeze for s in self.stages for layer in s.layers):
            return
        stages = tuple(
            replace(stage, layers=tuple(replace(layer, squeeze=False) for layer in stage.layers))
            if any(layer.squeeze for layer in stage.layers)
            else stage
            for stage in self.stages
        )
        plain = replace(self.options, squeeze="none", gate="sigmoid", position_encoding=False)
        object.__setattr__(self, "stages", stages)
        object.__setattr__(self, "options", plain)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All bottlenecks in order."""
        return tuple(layer for stage in self.stages for layer in stage.layers)

    def with_input(self, input: Input) -> Architecture:
        """The same network made for another clip."""
        return replace(self, input=input)

    def with_options(self, options: Options) -> Architecture:
        """The same layers built in another way; ``squeeze: none`` takes it from every layer."""
        return replace(self, options=options)

    @property
    def text(self) -> str:
        """The canonical one-line form; :meth:`parse` reads it. Only letters, digits and ``._+-``."""
        from search_space.architecture.text_form import format_architecture

        return format_architecture(self)

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read the one-line form.

        Raises:
            ArchitectureError: names the part that cannot be read.
        """
        from search_space.architecture.text_form import parse_architecture

        return parse_architecture(text)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers that :meth:`from_json` reads."""
        from search_space.architecture.json_form import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, data: object) -> Architecture:
        """Read what :meth:`to_json` wrote.

        Raises:
            ArchitectureError: names the place of a missing, unknown or wrong entry.
        """
        from search_space.architecture.json_form import from_json

        return from_json(data)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the canonical JSON form; equal for equal architectures."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
