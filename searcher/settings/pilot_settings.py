"""The ``pilot`` part of the settings, and the part of the schedule that a pilot plans."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer

from searcher.settings.values import SettingsModel

SCHEDULE: Mapping[str, tuple[str, ...]] = {
    "search": ("trials", "startup", "rungs", "repeats"),
    "confirmation": ("epochs", "seeds", "members"),
    "family": ("epochs",),
}
"""Settings that a plan for a time decides, by their part."""
_LENGTHS = {"search.rungs", "confirmation.epochs", "family.epochs"}


class PilotSettings(SettingsModel):
    """The ``pilot`` part: small trainings before the search, from which it learns what they are worth."""

    networks: Annotated[int, Field(strict=True, ge=1, le=32)] = Field(
        default=4, description="number of networks, spread over the cost"
    )
    seeds: Annotated[int, Field(strict=True, ge=1, le=10)] = Field(
        default=2, description="number of trainings of each network at each length"
    )
    share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="most that it may spend, as a share of the planned cost of search and confirmation",
    )


def _off_or_on(value: object) -> object:
    if value is False:
        return None
    # On is the default: what is left empty, in a file, is on.
    return {} if value is True or value is None else value


Pilot = Annotated[
    PilotSettings | None,
    BeforeValidator(_off_or_on),
    PlainSerializer(lambda pilot: False if pilot is None else pilot.model_dump(mode="json")),
]


def open_keys(hours: float | None, parts: Mapping[str, BaseModel]) -> tuple[str, ...]:
    """Return the dotted keys of the schedule that are left to the pilot.

    With a time, all that is not given is. Without one, only lengths are, and only if the rungs are ``auto``.

    Args:
        hours: time of the run.
        parts: parts of the settings by the names of ``SCHEDULE``.
    """
    automatic = not getattr(parts["search"], "rungs", ())
    if hours is None and not automatic:
        return ()
    return tuple(
        f"{part}.{name}"
        for part, names in SCHEDULE.items()
        for name in names
        if (name == "rungs" and automatic)
        or (name not in parts[part].model_fields_set and (hours is not None or f"{part}.{name}" in _LENGTHS))
    )


def without_schedule(data: dict[str, Any], keep: Collection[str]) -> dict[str, Any]:
    """Return settings without what a plan for a time decides: a preset's schedule is made for another.

    Args:
        data: settings as they were read.
        keep: dotted keys that are given by other means.
    """
    dropped = {f"{part}.{name}" for part, names in SCHEDULE.items() for name in names}
    dropped = (dropped | {"search.strategy", "search.reduction"}) - set(keep)
    left: dict[str, Any] = {}
    for part, content in data.items():
        if part in ("pilot", "supernet") and part not in keep:
            continue
        if isinstance(content, dict):
            left[part] = {name: value for name, value in content.items() if f"{part}.{name}" not in dropped}
        else:
            left[part] = content
    return left
