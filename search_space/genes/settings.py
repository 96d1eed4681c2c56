"""The settings of a space file: a pydantic model over YAML or Python; its errors have place and remedy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from search_space.architecture.parts import (
    BASE,
    MAX_CHANNELS,
    MAX_LAYERS,
    STREAM,
    ClipShape,
    Kernel,
    Options,
    round_to_8,
)
from search_space.errors import ArchitectureError, SpaceError
from search_space.yaml_document import Document

Granularity = Literal["stage", "layer"]


def _problem(message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("movinas", "{problem}\n{hint}", {"problem": message, "hint": hint})


def _as_tuple(value: object) -> object:
    """Return the choices as a tuple: a single choice may be written without brackets."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _channels(value: object) -> object:
    if type(value) is int and (value % 8 or not 8 <= value <= MAX_CHANNELS):
        nearest = max(8, (value + 4) // 8 * 8)
        raise _problem(f"a width of {value} is no multiple of 8", f"widths are multiples of 8: try {nearest}")
    return value


def _kernel(value: object) -> object:
    if isinstance(value, Kernel):
        return str(value)
    try:
        return str(Kernel.parse(value))  # type: ignore[arg-type]
    except ArchitectureError as error:
        raise _problem(error.message, error.hint) from error


def _number(value: object) -> object:
    """Return a number that YAML 1.1 reads as text: ``6e6``, without a point and a sign."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Channels = Annotated[int, BeforeValidator(_channels)]
KernelText = Annotated[str, BeforeValidator(_kernel)]
Factor = Annotated[float, Field(gt=0, le=64)]
Depth = Annotated[int, Field(ge=1, le=MAX_LAYERS)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _as_widths(value: object) -> object:
    if isinstance(value, dict | BaseModel):
        return value
    return {"also": _as_tuple(value)}


class WidthSettings(_Model):
    """Widths to choose from: ``multipliers`` of a ``base``, rounded to 8, and ``also`` some in channels.

    Widths in channels are taken as they are; the space's ``width_factor`` scales only the base.
    """

    base: Channels | None = None
    multipliers: Annotated[tuple[Factor, ...], BeforeValidator(_as_tuple)] = ()
    also: Annotated[tuple[Channels, ...], BeforeValidator(_as_tuple)] = ()

    @model_validator(mode="after")
    def _has_choices(self) -> WidthSettings:
        if self.multipliers and self.base is None:
            raise _problem("multipliers without a base", "say base: 24 beside them")
        if self.base is None and not self.also:
            raise _problem("there is no width to choose", "give a base with multipliers, or a list of widths")
        return self

    def choices(self, factor: float = 1.0) -> tuple[int, ...]:
        """Return the widths, ascending; two multipliers that round to one width are one choice."""
        scaled: list[int] = []
        if self.base is not None:
            scaled = [round_to_8(self.base * m * factor) for m in self.multipliers or (1.0,)]
        return tuple(sorted({*scaled, *self.also}))


class ExpansionSettings(_Model):
    """Expansions to choose from: ``ratios`` of the stage's base width, to 8; ``also`` some in channels."""

    ratios: Annotated[tuple[Factor, ...], BeforeValidator(_as_tuple)] = ()
    also: Annotated[tuple[Channels, ...], BeforeValidator(_as_tuple)] = ()

    @model_validator(mode="after")
    def _has_choices(self) -> ExpansionSettings:
        if not self.ratios and not self.also:
            raise _problem("there is no expansion to choose", "give ratios such as [1.5, 2, 3]")
        return self

    def choices(self, base: float) -> tuple[int, ...]:
        """Return the expansion widths, ascending, over a stage's base width."""
        return tuple(sorted({*(round_to_8(base * ratio) for ratio in self.ratios), *self.also}))


Widths = Annotated[WidthSettings, BeforeValidator(_as_widths)]
Kernels = Annotated[tuple[KernelText, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
Squeezes = Annotated[tuple[bool, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class FirstLayerSettings(_Model):
    """Choices of the first layer of a stage; those that are not given are shared with the other layers."""

    kernel: Kernels | None = None
    expansion: ExpansionSettings | None = None
    squeeze: Squeezes | None = None


class StageSettings(_Model):
    """One stage's choices. With ``granularity: stage`` its layers share kernel, expansion and squeeze."""

    width: Widths
    stride: Literal[1, 2]
    depth: Annotated[tuple[Depth, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    kernel: Kernels
    expansion: ExpansionSettings
    squeeze: Squeezes = (True,)
    first: FirstLayerSettings | None = None
    granularity: Granularity | None = None

    def base_width(self, factor: float) -> float:
        """Return the width that expansion ratios multiply: the scaled base width, else the middle width."""
        if self.width.base is not None:
            return self.width.base * factor
        return float(self.width.also[len(self.width.also) // 2])


class InputSettings(_Model):
    """Clips to choose from: frames, pixels a side, frames a second."""

    frames: Annotated[tuple[int, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    size: Annotated[tuple[int, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    fps: Annotated[tuple[float, ...], BeforeValidator(_as_tuple), Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_built(self) -> InputSettings:
        try:
            for frames in self.frames:
                for size in self.size:
                    for fps in self.fps:
                        ClipShape(frames, size, fps)
        except ArchitectureError as error:
            raise _problem(error.message, error.hint) from error
        return self


def _options(value: object) -> object:
    named = {"base": BASE, "stream": STREAM}
    if isinstance(value, str):
        if value not in named:
            raise _problem(f"form {value!r} is unknown", "write base, stream, or the options one by one")
        return named[value]
    if isinstance(value, dict):
        fields = dict(value)
        form = fields.pop("form", "base")
        if form not in named:
            raise _problem(f"form {form!r} is unknown", "write base or stream")
        unknown = sorted(set(fields) - set(Options.__slots__))
        if unknown:
            raise _problem(
                f"option {unknown[0]!r} is unknown", f"there are form, {', '.join(Options.__slots__)}"
            )
        merged = {name: getattr(named[form], name) for name in Options.__slots__} | fields
        try:
            return Options(**merged)
        except ArchitectureError as error:
            raise _problem(error.message, error.hint) from error
    return value


class SpaceSettings(_Model):
    """A search space as a file describes it.

    Attributes:
        name: name of the space.
        note: origin of the space, for people.
        classes: outputs of the classifier, for the costs.
        input: clips to choose from.
        options: ``base``, ``stream``, or a form and what differs from it.
        granularity: default of the stages' granularity.
        width_factor: factor of every base width, and of what is derived from it, before rounding to 8.
        stem, head, hidden: widths to choose from.
        stages: the stages in order.
        budgets: multiply-adds that the space must be able to reach, by name.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    note: str = ""
    classes: Annotated[int, Field(ge=1)] = 600
    input: InputSettings
    options: Annotated[Options, BeforeValidator(_options)] = BASE
    granularity: Granularity = "stage"
    width_factor: Annotated[float, Field(gt=0, le=64)] = 1.0
    stem: Widths
    stages: Annotated[
        tuple[StageSettings, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=16)
    ]
    head: Widths
    hidden: Widths
    budgets: dict[str, Annotated[float, BeforeValidator(_number), Field(gt=0)]] = {}

    @model_validator(mode="after")
    def _squeeze_fits(self) -> SpaceSettings:
        if self.options.squeeze == "none":
            for i, stage in enumerate(self.stages):
                if any(stage.squeeze) or (stage.first and stage.first.squeeze and any(stage.first.squeeze)):
                    raise _problem(
                        f"stages[{i}] has squeeze-excitation, but options.squeeze is none",
                        "say squeeze: false in every stage, or another options.squeeze",
                    )
        return self


def parse_settings(document: Document) -> SpaceSettings:
    """Validate a document.

    Raises:
        SpaceError: the first thing that is wrong, with its place, value and remedy.
    """
    try:
        return SpaceSettings.model_validate(document.data)
    except ValidationError as error:
        raise _space_error(document, error) from error


def _space_error(document: Document, error: ValidationError) -> SpaceError:
    first = error.errors()[0]
    path = tuple(first["loc"])
    if path and path[-1] in ("also", "ratios", "multipliers") and path not in document.lines:
        path = path[:-1]
    context: dict[str, Any] = first.get("ctx", {})
    if first["type"] == "movinas":
        message, hint = str(context["problem"]), str(context["hint"])
    else:
        message, hint = _plain_words(first["type"], first["msg"], first["input"], context)
    return SpaceError(f"{document.place(path)}: {message}", hint=hint)


def _plain_words(kind: str, message: str, value: object, context: dict[str, Any]) -> tuple[str, str]:
    messages = {
        "extra_forbidden": ("this key is unknown", "remove it, or correct its spelling"),
        "missing": ("this key is missing", "add it"),
        "too_short": (f"the choice {value!r} is empty", "give at least one value"),
        "greater_than_equal": (f"{value!r} is too small", f"give at least {context.get('ge')}"),
        "less_than_equal": (f"{value!r} is too large", f"give at most {context.get('le')}"),
        "greater_than": (f"{value!r} is too small", f"give more than {context.get('gt')}"),
    }

    return messages.get(kind, (f"{value!r}: {message}", "see docs/search_space.md for what this key takes"))
