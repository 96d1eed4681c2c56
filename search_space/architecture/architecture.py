"""An immutable, canonical description of one MoViNet: what a search calls a candidate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from search_space.architecture.json_form import located, parts_from_json, parts_to_json
from search_space.architecture.parts import (
    BASE,
    MAX_CHANNELS,
    ClipShape,
    Layer,
    Options,
    Parts,
    Stage,
    check_whole,
)
from search_space.architecture.text_form import format_parts, parse_parts
from search_space.errors import ArchitectureError


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network, and nothing but its active structure; equal iff the networks are equal.

    Where a stage begins is part of the structure, since it names the layers and their states.
    If no layer uses squeeze-excitation, ``options.squeeze`` becomes ``none``, and the options that only
    squeeze-excitation uses (gate, position encoding) get their defaults.

    Args:
        stem: output channels of the 1x3x3 stem convolution with stride 1x2x2.
        stages: the bottleneck stages in order (five in the paper, Table 1).
        head: output channels of conv7, the 1x1x1 convolution before pooling.
        hidden: output features of dense9.
        input: shape of the clips that the network is made for.
        options: the way in which the layers are built.

    Raises:
        ArchitectureError: a part is of the wrong type or out of range.
    """

    stem: int
    stages: tuple[Stage, ...]
    head: int
    hidden: int
    input: ClipShape
    options: Options = BASE

    def __post_init__(self) -> None:
        for name in ("stem", "head", "hidden"):
            check_whole(name, getattr(self, name), 1, MAX_CHANNELS)
        if not isinstance(self.stages, tuple) or not all(isinstance(stage, Stage) for stage in self.stages):
            raise ArchitectureError(f"stages are {self.stages!r}", hint="give a tuple of Stage objects")
        if not 1 <= len(self.stages) <= 16:
            raise ArchitectureError(f"there are {len(self.stages)} stages", hint="give 1 to 16")
        if not isinstance(self.input, ClipShape) or not isinstance(self.options, Options):
            raise ArchitectureError(
                "input or options are of another type", hint="give a ClipShape and Options"
            )
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

    def _parts(self) -> Parts:
        return {
            "stem": self.stem,
            "stages": self.stages,
            "head": self.head,
            "hidden": self.hidden,
            "input": self.input,
            "options": self.options,
        }

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All bottlenecks in order."""
        return tuple(layer for stage in self.stages for layer in stage.layers)

    def with_input(self, input: ClipShape) -> Architecture:
        """Return the same network made for another clip."""
        return replace(self, input=input)

    def with_options(self, options: Options) -> Architecture:
        """Return the same layers built in another way; ``squeeze: none`` takes it from every layer."""
        return replace(self, options=options)

    @property
    def text(self) -> str:
        """The canonical one-line form; :meth:`parse` reads it. Only letters, digits and ``._+-``."""
        return format_parts(self._parts())

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read the one-line form.

        Raises:
            ArchitectureError: names the part that cannot be read.
        """
        return cls(**parse_parts(text))

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, strings and numbers that :meth:`from_json` reads."""
        return parts_to_json(self._parts())

    @classmethod
    def from_json(cls, data: object) -> Architecture:
        """Read what :meth:`to_json` wrote.

        Raises:
            ArchitectureError: names the place of a missing, unknown or wrong entry.
        """
        parts = parts_from_json(data)
        return located("architecture", cls, **parts)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the canonical JSON form; equal for equal architectures."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
