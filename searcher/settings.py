"""The settings of a run; ``searcher.settings_file`` reads them, ``searcher.checks`` tries them on."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from proxy_train.dataset import DataSettings
from proxy_train.recipe import Recipe
from search_space.space import SearchSpace
from searcher.machine import auto_workers

MEMBERS = ("A0", "A1", "A2", "A3", "A4", "A5")

Count = Annotated[int, Field(strict=True, ge=1)]
Macs = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _recipe(value: object) -> object:
    """A recipe may be named: a preset or a file."""
    return Recipe.from_yaml(value) if isinstance(value, str) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MacsWindow(_Model):
    """The multiply-adds of a clip that proposals may have; an end that is not given is the space's own."""

    low: Macs | None = Field(default=None, description="least multiply-adds")
    high: Macs | None = Field(default=None, description="most multiply-adds")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class SearchSettings(_Model):
    """The ``search`` part: who proposes, how many, how long each is trained, on what."""

    strategy: Literal["tpe", "random", "mutation", "aging", "nsga2", "nsga3", "gp"] = Field(
        default="tpe", description="what proposes candidates"
    )
    trials: Count = Field(default=48, description="candidates in all")
    startup: Count = Field(default=16, description="the first ones, spread evenly over the cost range")
    workers: Count = Field(default=2, description="trainings at a time; auto: as many as there are CPUs")
    macs: MacsWindow = Field(default=MacsWindow(), description="window of multiply-adds")
    rungs: tuple[Count, ...] = Field(
        default=(2, 4, 8), min_length=1, description="epochs at which candidates are compared"
    )
    reduction: Annotated[int, Field(strict=True, ge=2)] = Field(
        default=3, description="one in so many goes on at each rung"
    )
    cpus_per_trial: Count = Field(default=1, description="threads of a training")
    gpus_per_trial: float = Field(default=0, ge=0, description="GPUs of a training; a fraction shares one")
    time_limit_minutes: float | None = Field(
        default=None, gt=0, description="longest time of one training in the search"
    )

    @model_validator(mode="before")
    @classmethod
    def _auto_workers(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("workers") == "auto":
            cpus, trials = data.get("cpus_per_trial", 1), data.get("trials", 48)
            # Other types are refused by their own fields.
            if isinstance(cpus, int) and isinstance(trials, int) and cpus > 0:
                return data | {"workers": auto_workers(cpus, trials)}
        return data

    @field_validator("rungs")
    @classmethod
    def _increasing(cls, rungs: tuple[int, ...]) -> tuple[int, ...]:
        if list(rungs) != sorted(set(rungs)):
            raise ValueError("rungs must increase, such as [2, 4, 8]")
        return rungs

    @model_validator(mode="after")
    def _startup_fits(self) -> Self:
        if self.startup > self.trials:
            raise ValueError(f"startup {self.startup} is more than trials {self.trials}: lower startup")
        return self


class ConfirmationSettings(_Model):
    """The ``confirmation`` part: how the provisional frontier is measured again."""

    epochs: Count = Field(default=12, description="length of each training, at least the last rung")
    seeds: Count = Field(default=2, description="trainings of each member")
    members: Count = Field(default=8, description="at most so many candidates")


class FamilySettings(_Model):
    """The ``family`` part: which members, and how long they are trained."""

    budgets: dict[str, Macs] | None = Field(
        default=None,
        description="most multiply-adds by member, A0 to A5; by default spread over the frontier",
    )
    epochs: Count = Field(default=16, description="length of the final training")

    @field_validator("budgets")
    @classmethod
    def _known_members(cls, budgets: dict[str, float] | None) -> dict[str, float] | None:
        if budgets is not None and not budgets:
            raise ValueError("budgets are empty: name members, or leave budgets out")
        unknown = sorted(set(budgets or {}) - set(MEMBERS))
        if unknown:
            raise ValueError(
                f"there is no member {', '.join(unknown)} to give a budget: use {', '.join(MEMBERS)}"
            )
        return budgets


class Settings(_Model):
    """Everything that a run is told."""

    name: str = Field(default="quickstart", description="of the run and its folder")
    seed: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="of proposals and trainings"
    )
    output: Path = Field(default=Path("runs"), description="folder of all runs")
    data: DataSettings = Field(default_factory=lambda: DataSettings.model_validate({}))
    space: str | dict[str, Any] = Field(
        default="quickstart", description="a preset, a YAML file, or the space itself"
    )
    recipe: Annotated[Recipe, BeforeValidator(_recipe)] = Field(
        default_factory=lambda: Recipe.model_validate({}), description="its fields, a preset, or a YAML file"
    )
    search: SearchSettings = Field(default_factory=SearchSettings)
    confirmation: ConfirmationSettings = Field(default_factory=ConfirmationSettings)
    family: FamilySettings = Field(default_factory=FamilySettings)

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ValueError("a name is made of letters, digits, '.', '_' and '-', at most 64 of them")
        return name

    @model_validator(mode="after")
    def _confirmation_is_longer(self) -> Self:
        last = self.search.rungs[-1]
        if self.confirmation.epochs < last:
            raise ValueError(
                f"confirmation.epochs {self.confirmation.epochs} is below the last of search.rungs, {last}:"
                " a confirmation trains at least as long as the search"
            )
        return self

    @property
    def run_dir(self) -> Path:
        """The run's folder."""
        return self.output.expanduser() / self.name

    def search_space(self, classes: int | None = None) -> SearchSpace:
        """The space, with costs for so many classes.

        Raises:
            SpaceError: there is no such preset or file, or what it says is wrong.
        """
        if isinstance(self.space, str):
            space = SearchSpace.from_yaml(self.space)
        else:
            space = SearchSpace.from_dict(self.space, "space")
        return space if classes is None else space.with_classes(classes)

    def window(self, space: SearchSpace) -> tuple[float, float]:
        """The multiply-adds that proposals may have."""
        low, high = space.macs_range()
        macs = self.search.macs
        return max(low, macs.low or low), min(high, macs.high or high)

    def identity(self) -> dict[str, Any]:
        """What a run may not change while it goes on: all that decides what its measurements mean.

        Workers, limits, the number of trials, confirmation and family may change: they add measurements.
        """
        search = {"strategy", "startup", "macs", "rungs", "reduction"}
        return {
            "seed": self.seed,
            "data": self.data.model_dump(mode="json", exclude={"cache"}),
            "space": self.search_space().digest,
            "recipe": self.recipe.model_dump(mode="json"),
            "search": self.search.model_dump(mode="json", include=search),
        }

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that tell identities apart."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """All settings as they were resolved, so that the text stands alone."""
        data = self.model_dump(mode="json") | {"space": self.search_space().to_dict()}
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
