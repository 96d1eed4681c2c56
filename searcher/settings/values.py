"""The kinds of values that settings hold: how they are read from YAML, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WrapSerializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from proxy_train.recipe import Recipe
from search_space.space.budgets import Budgets
from search_space.space.space import SearchSpace
from searcher.objectives import OBJECTIVES
from searcher.promotion.rung import Rung


def _objective(name: object) -> object:
    if name not in OBJECTIVES:
        raise ValueError(f"there are {', '.join(OBJECTIVES)}")
    return name


ObjectiveName = Annotated[str, BeforeValidator(_objective)]
Count = Annotated[int, Field(strict=True, ge=1)]
Macs = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _auto_or_rungs(value: object) -> object:
    if value in ([], ()):
        raise ValueError("give at least 1 rung, or auto")
    return () if value == "auto" else value


Rungs = Annotated[
    tuple[Rung, ...],
    BeforeValidator(_auto_or_rungs),
    WrapSerializer(lambda rungs, serialize: serialize(rungs) if rungs else "auto"),
]
"""Rungs of a search; none if the pilot chooses them."""


def _recipe(value: object) -> object:
    """Read a recipe that is named, a preset or a file."""
    return Recipe.from_yaml(value) if isinstance(value, str) else value


def _space(value: object) -> object:
    """Read a space that is named, a preset or a file, or written out in the settings."""
    if isinstance(value, str | Path):
        return SearchSpace.from_yaml(value)
    return SearchSpace.from_dict(value, "space") if isinstance(value, dict) else value


RecipeField = Annotated[Recipe, BeforeValidator(_recipe)]

Space = Annotated[SearchSpace, BeforeValidator(_space), PlainSerializer(SearchSpace.to_dict, dict)]
"""A search space, read once: later changes of its file do not affect a run that has started."""


def _absolute(text: str) -> str:
    """Return the name of a trained network with an absolute path: workers have folders of their own."""
    network, equals, place = text.rpartition("=")
    return f"{network}{equals}{Path(place).expanduser().absolute()}"


TrainedNetworkName = Annotated[str, Field(min_length=1), AfterValidator(_absolute)]
"""A member's folder, or ``NETWORK=WEIGHTS``."""


def _without_credentials(address: object) -> object:
    """Refuse an address with credentials: those of stores are in no setting, which all workers get."""
    parts = urlsplit(address) if isinstance(address, str) else None
    if parts is not None and ("@" in parts.netloc and ":" in parts.netloc.rpartition("@")[0]):
        raise PydanticCustomError("secret", _CREDENTIALS)
    if parts is not None and any("key" in key or "token" in key for key in parse_qs(parts.query)):
        raise PydanticCustomError("secret", _CREDENTIALS)
    return address


_CREDENTIALS = (
    "leave it out of the address, and give it in the store's own environment variables, such as"
    " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
StoreAddress = Annotated[str, BeforeValidator(_without_credentials)]


def _budgets_text(budgets: Budgets | None) -> dict[str, float | str] | None:
    return None if budgets is None else budgets.to_settings()


def _budgets(value: object) -> object:
    if value == {}:
        raise ValueError("budgets are empty: name members, or leave budgets out")
    return Budgets.read(value) if isinstance(value, str | dict) else value


def _entries(value: object) -> object:
    """Read a list of texts and paths; one alone may be written without brackets."""
    entries = value if isinstance(value, list | tuple) else [value]
    return tuple(str(entry) if isinstance(entry, Path) else entry for entry in entries)


SeedEntries = Annotated[tuple[str, ...], BeforeValidator(_entries)]
FamilyBudgets = Annotated[Budgets | None, BeforeValidator(_budgets), PlainSerializer(_budgets_text)]


class SettingsModel(BaseModel):
    """A part of the settings: keys that it does not know are refused, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Window(SettingsModel):
    """The range that a cost of proposals may have; an end that is not given is the space's own."""

    low: Macs | None = Field(default=None, description="lowest value")
    high: Macs | None = Field(default=None, description="highest value")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class Windows(SettingsModel):
    """The windows on other costs that are known before training; ``macs`` is moved to ``search.macs``."""

    parameters: Window = Field(default=Window(), description="number of trainable parameters")
    state_bytes: Window = Field(default=Window(), description="bytes of a stream's state")
    activation_bytes: Window = Field(
        default=Window(), description="bytes of activations at the peak of a clip"
    )


def digest_of_network(network: str) -> str:
    """Return the digest of a trained network's weights."""
    # torch takes seconds to load, and most settings name no trained network.
    from proxy_train.training.pretrained import Pretrained

    return Pretrained.parse(network).digest
