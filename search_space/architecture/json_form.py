"""The JSON form of an architecture: strict in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from search_space.architecture.parts import ClipShape, Kernel, Layer, Options, Parts, Stage
from search_space.errors import ArchitectureError

T = TypeVar("T")

_OPTION_NAMES = ("convolution", "squeeze", "activation", "gate", "causal", "position_encoding")


def parts_to_json(parts: Parts) -> dict[str, Any]:
    """Return plain dictionaries, lists, strings and numbers; the keys are the fields of the dataclasses."""
    clip = parts["input"]
    return {
        "stem": parts["stem"],
        "stages": [
            {
                "width": stage.width,
                "stride": stage.stride,
                "layers": [
                    {"kernel": str(layer.kernel), "expansion": layer.expansion, "squeeze": layer.squeeze}
                    for layer in stage.layers
                ],
            }
            for stage in parts["stages"]
        ],
        "head": parts["head"],
        "hidden": parts["hidden"],
        "input": {"frames": clip.frames, "size": clip.size, "fps": clip.fps},
        "options": {name: getattr(parts["options"], name) for name in _OPTION_NAMES},
    }


def parts_from_json(data: object) -> Parts:
    """Read what :func:`parts_to_json` wrote.

    Raises:
        ArchitectureError: names the place of a missing, unknown or wrong entry.
    """
    top = _fields(data, "architecture", ("stem", "stages", "head", "hidden", "input", "options"))
    clip = _fields(top["input"], "input", ("frames", "size", "fps"))
    options = _fields(top["options"], "options", _OPTION_NAMES)
    return {
        "stem": top["stem"],
        "stages": tuple(
            _stage(item, f"stages[{i}]") for i, item in enumerate(_list(top["stages"], "stages"))
        ),
        "head": top["head"],
        "hidden": top["hidden"],
        "input": located("input", ClipShape, **clip),
        "options": located("options", Options, **options),
    }


def located(where: str, build: Callable[..., T], **fields: Any) -> T:
    """Return ``build(**fields)``; an ArchitectureError from it begins with the place, ``where``."""
    try:
        return build(**fields)
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error.message}", hint=error.hint) from error


def _stage(data: object, where: str) -> Stage:
    fields = _fields(data, where, ("width", "stride", "layers"))
    layers = tuple(
        _layer(item, f"{where}.layers[{i}]")
        for i, item in enumerate(_list(fields["layers"], f"{where}.layers"))
    )
    return located(where, Stage, width=fields["width"], stride=fields["stride"], layers=layers)


def _layer(data: object, where: str) -> Layer:
    fields = _fields(data, where, ("kernel", "expansion", "squeeze"))
    kernel = located(where, Kernel.parse, text=fields["kernel"])
    return located(where, Layer, kernel=kernel, expansion=fields["expansion"], squeeze=fields["squeeze"])


def _fields(data: object, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ArchitectureError(f"{where} is {data!r}", hint=f"give an object with {', '.join(names)}")
    for name in names:
        if name not in data:
            raise ArchitectureError(f"{where} has no {name!r}", hint=f"it has {', '.join(names)}")
    for name in data:
        if name not in names:
            raise ArchitectureError(
                f"{where} has an unknown entry {name!r}", hint=f"it has {', '.join(names)}"
            )
    return dict(data)


def _list(data: object, where: str) -> list[object]:
    if not isinstance(data, list | tuple):
        raise ArchitectureError(f"{where} is {data!r}", hint="give a list")
    return list(data)
