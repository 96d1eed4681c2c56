"""The released networks: A0 to A5 and the small T0, each in its base and its stream form.

The widths and kernels are those of the official release (Kondratyuk et al., CVPR 2021, as shipped); T0 is not
in the paper. The stream forms of A3, A4 and A5 encode the position in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Stage
from search_space.errors import ArchitectureError

_STRIDES = (2, 2, 2, 1, 2)


def _stages(*rows: str) -> tuple[Stage, ...]:
    """Read rows such as ``56 | 53 184 | 33 112 184``: a width, then kernels, each with its expansions."""
    return tuple(_stage(row, stride) for row, stride in zip(rows, _STRIDES, strict=True))


def _stage(row: str, stride: int) -> Stage:
    width, *groups = row.split("|")
    layers: list[Layer] = []
    for group in groups:
        kernel, *expansions = map(int, group.split())
        layers += [Layer(Kernel(*divmod(kernel, 10)), expansion) for expansion in expansions]
    return Stage(int(width), stride, tuple(layers))


_BASE: dict[str, Architecture] = {
    "T0": Architecture(
        stem=8,
        stages=_stages(
            "8 | 15 16",
            "32 | 33 72 | 15 72",
            "56 | 53 112 | 15 112 | 33 112",
            "56 | 53 184 | 15 184 | 33 184 184",
            "104 | 53 344 | 15 344 344 | 33 344",
        ),
        head=240,
        hidden=1024,
        input=ClipShape(25, 160, 2.5),
    ),
    "A0": Architecture(
        stem=8,
        stages=_stages(
            "8 | 15 24",
            "32 | 33 80 80 80",
            "56 | 53 184 | 33 112 184",
            "56 | 53 184 | 33 184 184 184",
            "104 | 53 384 | 15 280 280 344",
        ),
        head=480,
        hidden=2048,
        input=ClipShape(50, 172, 5),
    ),
    "A1": Architecture(
        stem=16,
        stages=_stages(
            "16 | 15 40 | 33 40",
            "40 | 33 96 120 96 96",
            "64 | 53 216 | 33 128 216 168 216",
            "64 | 53 216 | 33 216 216 128 | 15 128 | 33 216",
            "136 | 53 456 | 15 360 360 360 456 | 33 456 | 13 544",
        ),
        head=600,
        hidden=2048,
        input=ClipShape(50, 172, 5),
    ),
    "A2": Architecture(
        stem=16,
        stages=_stages(
            "16 | 15 40 | 33 40 64",
            "40 | 33 96 120 96 96 120",
            "72 | 53 240 | 33 160 240 192 240",
            "72 | 53 240 | 33 240 240 240 | 15 144 | 33 240",
            "144 | 53 480 | 15 384 384 480 480 | 33 480 | 13 576",
        ),
        head=640,
        hidden=2048,
        input=ClipShape(50, 224, 5),
    ),
    "A3": Architecture(
        stem=16,
        stages=_stages(
            "16 | 15 40 | 33 40 64 40",
            "48 | 33 112 144 112 | 15 112 | 33 144 144",
            "80 | 53 240 | 33 152 240 192 240",
            "88 | 53 264 | 33 264 264 264 | 15 160 | 33 264 264 264",
            "168 | 53 560 | 15 448 448 560 560 | 33 560 | 15 448 448 | 33 560 | 13 672",
        ),
        head=744,
        hidden=2048,
        input=ClipShape(120, 256, 12),
    ),
    "A4": Architecture(
        stem=24,
        stages=_stages(
            "24 | 15 64 | 33 64 96 64 96 64",
            "56 | 33 168 168 136 136 168 168 168 | 15 136 | 33 136",
            "96 | 53 320 | 33 160 320 192 320 160 320 256 320",
            "96 | 53 320 | 33 320 320 320 | 15 192 | 33 320 320 192 320 320",
            "192 | 53 640 | 15 512 512 640 640 | 33 640 | 15 512 512 640 768 640 | 33 640 768",
        ),
        head=856,
        hidden=2048,
        input=ClipShape(80, 290, 8),
    ),
    "A5": Architecture(
        stem=24,
        stages=_stages(
            "24 | 15 64 64 | 33 96 64 96 64",
            "64 | 53 192 | 33 152 152 152 192 192 192 152 152 192 192",
            "112 | 53 376 | 33 224 376 376 296 376 224 376 376 296 376 376 376",
            "120 | 53 376 | 33 376 376 376 | 15 224 | 33 376 376 224 376 376 376",
            "224 | 53 744 | 33 744 | 15 600 600 744 744 | 33 744 | 15 896 600 600 896 744 | 33 744"
            " | 15 896 600 600 744 | 33 744",
        ),
        head=992,
        hidden=2048,
        input=ClipShape(120, 320, 12),
    ),
}


def _with_streams() -> dict[str, Architecture]:
    networks: dict[str, Architecture] = {}
    for name, network in _BASE.items():
        encoded = name in ("A3", "A4", "A5")
        networks[f"{name}-base"] = network.with_options(BASE)
        networks[f"{name}-stream"] = network.with_options(replace(STREAM, position_encoding=encoded))
    return networks


PUBLISHED: Mapping[str, Architecture] = MappingProxyType(_with_streams())
"""The released networks: ``A0-base``, ``A0-stream``, ... ``A5-stream``, ``T0-base``, ``T0-stream``."""


def published(name: str) -> Architecture:
    """Return the released network of that name, in any case; a name alone (``A0``) is the base form.

    Raises:
        ArchitectureError: no published network has that name.
    """
    family, _, form = name.strip().partition("-")
    key = f"{family.upper()}-{form.lower() or 'base'}"
    if key not in PUBLISHED:
        raise ArchitectureError(
            f"there is no published network {name!r}", hint=f"there are {', '.join(PUBLISHED)}"
        )
    return PUBLISHED[key]
