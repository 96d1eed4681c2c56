"""Reading settings from YAML; every error names the place, the value and the remedy."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from search_space.errors import MovinasError, SettingsError, SpaceError
from search_space.yaml_document import Document, read_yaml
from searcher.settings.pilot_settings import without_schedule
from searcher.settings.settings import Settings

DEFAULT = "quickstart"
OF_OTHER_VIDEOS = "trainings"
"""Preset for videos of one's own, where none is named: a pilot shows first that networks learn from them."""
_PRESETS = Path(__file__).parents[1] / "presets"


def preset_names() -> tuple[str, ...]:
    """Return the names of the settings that come with movinas."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.yaml")))


def load_settings(source: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read settings from a YAML file, a preset, or the embedded default.

    Args:
        source: path of a file, or name of a preset; None for ``quickstart``, or for ``trainings`` if the
            overrides name other videos, rungs, repeats or a pilot.
        overrides: values by dotted key, such as ``{"search.trials": 8}``, which replace those of the file.

    Raises:
        SettingsError: the file cannot be read, a key is unknown or repeated, or a value is wrong.
    """
    name = _default(overrides or {}) if source is None else str(source)
    try:
        document = read_yaml(*settings_text(name))
    except SpaceError as error:
        raise SettingsError(error.message, hint=error.hint) from error
    data = document.data
    if name in preset_names() and "hours" in (overrides or {}):
        data = without_schedule(data, overrides or {})
    for key, value in (overrides or {}).items():
        _override(data, key, value)
    return parse_settings(Document(document.source, data, document.lines), overrides or {})


def settings_text(name: str) -> tuple[str, str]:
    """Return the text of settings, and the path of their file.

    Args:
        name: path of a file, or name of a preset.

    Raises:
        SettingsError: the file cannot be read.
    """
    path = _PRESETS / f"{name}.yaml" if name in preset_names() else Path(name).expanduser()
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"no settings can be read at {name!r}: {getattr(error, 'strerror', None) or error}",
            hint=f"give a YAML file, or one of the presets {', '.join(preset_names())}",
        ) from error


def _default(overrides: Collection[str]) -> str:
    """Return the preset of a search of which only the overrides are given."""
    others = {"data", "data.kind", "data.root", "search.rungs", "search.repeats", "pilot"}
    return DEFAULT if others.isdisjoint(overrides) else OF_OTHER_VIDEOS


def parse_settings(document: Document, overrides: Collection[str] = ()) -> Settings:
    """Return the settings of a document.

    Args:
        document: the settings as they were read.
        overrides: dotted keys whose values do not come from the document's source.

    Raises:
        SettingsError: a key is unknown, or a value is wrong.
    """
    try:
        return Settings.model_validate(document.data)
    except ValidationError as error:
        raise _explained(document, error, overrides) from error


def _override(data: dict[str, Any], key: str, value: Any) -> None:
    """Set a value by its dotted key."""
    *parents, last = key.split(".")
    for parent in parents:
        child = data.setdefault(parent, {})
        if not isinstance(child, dict):
            raise SettingsError(
                f"{key} cannot be set: {parent} is {child!r}", hint=f"give {parent} as a mapping in a file"
            )
        data = child
    data[last] = value


def _explained(document: Document, error: ValidationError, overrides: Collection[str]) -> SettingsError:
    """Return the first problem in words; an unknown key comes first, since it often explains the others."""
    problems = error.errors(include_url=False)
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    location = _keys(first["loc"])
    place = document.place(location) if location else document.source
    dotted = ".".join(map(str, location))
    if any(dotted == key or dotted.startswith(f"{key}.") for key in overrides):
        # A file is not to blame for what an option said.
        place = dotted
    if first["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(location[:-1]))
        return SettingsError(f"{place}: there is no such setting", hint=f"use one of {known}")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, MovinasError):
        return SettingsError(f"{place}: {cause.message}", hint=cause.hint)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "secret":
        return SettingsError(f"{place} holds a secret", hint=message)
    if isinstance(first["input"], BaseModel | Mapping):
        return SettingsError(f"{place}: {message}")
    # Up to the last @: a password may hold one, too.
    value = re.sub(r"(://[^\s:@/]*):.*@", r"\1:***@", repr(first["input"]))
    return SettingsError(f"{place} is {value}", hint=message[0].lower() + message[1:])


def _keys(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return a path without the names of a union's alternatives, which pydantic puts into it."""
    return tuple(part for part in location if isinstance(part, int) or not re.search(r"[\[\]]|^str$", part))


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the names of the settings below a place."""
    model: Any = Settings
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        kinds = (field.annotation, *get_args(field.annotation))
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)
