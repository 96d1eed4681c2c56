"""The settings of a run; ``reading`` reads them, ``checks`` validates them against this machine."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from proxy_train.data.settings import DataSettings
from proxy_train.recipe import Recipe
from search_space.space.budgets import Budgets
from search_space.space.space import SearchSpace
from searcher.cluster.machine import auto_workers
from searcher.cluster.trackers import Tracker
from searcher.objectives import CONSTRAINABLE, KNOWN_COSTS, OBJECTIVES, Objectives
from searcher.promotion.rung import Rung, require_rising
from searcher.record.storage import SCHEMES, without_password
from searcher.strategies.registry import is_strategy_name, strategy_names

NO_LIMIT = 1e18
"""Upper end of a window without one, far above any cost."""


def _objective(name: object) -> object:
    if name not in OBJECTIVES:
        raise ValueError(f"there are {', '.join(OBJECTIVES)}")
    return name


ObjectiveName = Annotated[str, BeforeValidator(_objective)]
Count = Annotated[int, Field(strict=True, ge=1)]
Macs = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _recipe(value: object) -> object:
    """Read a recipe that is named, a preset or a file."""
    return Recipe.from_yaml(value) if isinstance(value, str) else value


def _space(value: object) -> object:
    """Read a space that is named, a preset or a file, or written out in the settings."""
    if isinstance(value, str | Path):
        return SearchSpace.from_yaml(value)
    return SearchSpace.from_dict(value, "space") if isinstance(value, dict) else value


Space = Annotated[SearchSpace, BeforeValidator(_space), PlainSerializer(SearchSpace.to_dict, dict)]
"""A search space, read once: later changes of its file do not affect a run that has started."""


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


class _SettingsModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Window(_SettingsModel):
    """The range that a cost of proposals may have; an end that is not given is the space's own."""

    low: Macs | None = Field(default=None, description="lowest value")
    high: Macs | None = Field(default=None, description="highest value")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class Windows(_SettingsModel):
    """The windows on other costs that are known before training; ``macs`` is moved to ``search.macs``."""

    parameters: Window = Field(default=Window(), description="number of trainable parameters")
    state_bytes: Window = Field(default=Window(), description="bytes of a stream's state")
    activation_bytes: Window = Field(
        default=Window(), description="bytes of activations at the peak of a clip"
    )


class SearchSettings(_SettingsModel):
    """The ``search`` part: strategy, objectives, number of candidates, trainings and workers."""

    strategy: str = Field(
        default="predictor", description="strategy that proposes: a name, or an import path, module:Class"
    )
    trials: Count = Field(default=48, description="number of all candidates")
    startup: Count = Field(
        default=16, description="number of first candidates, spread evenly over the cost range"
    )
    seeds: SeedEntries = Field(
        default=("published",),
        description="known networks that the search begins with: published, folders of earlier runs or of"
        " members, architecture.json, architectures as text; [] for none",
    )
    workers: Count = Field(
        default=2, description="number of trainings at a time; auto for as many as there are CPUs"
    )
    elastic: bool = Field(
        default=False, description="whether a cluster runs as many trainings as fit; set by workers: auto"
    )
    objectives: tuple[ObjectiveName, ...] = Field(
        default=("accuracy", "macs"), description="objectives: accuracy first, then costs to minimise"
    )
    macs: Window = Field(default=Window(), description="range of multiply-adds")
    windows: Windows = Field(default=Windows(), description="ranges of other costs known before training")
    constraints: dict[str, Macs] = Field(
        default={}, description="soft upper limits of measured metrics, such as {latency_ms: 20}"
    )
    latency_table: Path | None = Field(
        default=None,
        description="table that predicts latencies in place of measuring them, by movinas latency-table",
    )
    rungs: tuple[Rung, ...] = Field(
        default=tuple(Rung(epochs=epochs) for epochs in (2, 4, 8)),
        min_length=1,
        description="epochs at which candidates are compared; {epochs: 2, share: 0.5, size: 0.75} for less",
    )
    repeats: Count = Field(
        default=1,
        description="number of trainings of each candidate, with different seeds, whose mean counts",
    )
    reduction: Annotated[int, Field(strict=True, ge=2)] = Field(
        default=3, description="one in this number of candidates is promoted at each rung"
    )
    cpus_per_trial: Count = Field(default=1, description="number of threads of a training")
    gpus_per_trial: float = Field(
        default=0, ge=0, description="number of GPUs of a training; a fraction shares one"
    )
    time_limit_minutes: float | None = Field(
        default=None, gt=0, description="longest time of one training in the search, in minutes"
    )
    stall_minutes: float = Field(
        default=240,
        gt=0,
        description="longest time of one epoch, in minutes; a longer one counts as hung, and is retried",
    )
    retries: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=3, description="number of retries in a row of a training whose worker was lost or hung"
    )
    budget_minutes: float | None = Field(
        default=None, gt=0, description="longest time of the search from each start, in minutes"
    )

    @model_validator(mode="before")
    @classmethod
    def _auto_workers(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("workers") == "auto":
            cpus, trials = data.get("cpus_per_trial", 1), data.get("trials", 48)
            # Other types are refused by their own fields.
            if isinstance(cpus, int) and isinstance(trials, int) and cpus > 0:
                return {"elastic": True, **data, "workers": auto_workers(cpus, trials)}
        return data

    @model_validator(mode="before")
    @classmethod
    def _one_window_of_macs(cls, data: Any) -> Any:
        windows = data.get("windows") if isinstance(data, dict) else None
        if isinstance(windows, dict) and "macs" in windows:
            if data.get("macs"):
                raise ValueError("macs and windows.macs are the same setting: keep one")
            rest = {key: value for key, value in windows.items() if key != "macs"}
            return data | {"macs": windows["macs"], "windows": rest}
        return data

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, strategy: str) -> str:
        if not is_strategy_name(strategy):
            names = ", ".join(strategy_names())
            raise ValueError(f"use {names}, or an import path such as my_package.module:Mine")
        return strategy

    @field_validator("objectives")
    @classmethod
    def _accuracy_first(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if len(objectives) < 2 or objectives[0] != "accuracy" or len(set(objectives)) < len(objectives):
            raise ValueError("name accuracy first, then one or more different costs: [accuracy, macs]")
        return objectives

    @field_validator("constraints")
    @classmethod
    def _measured(cls, constraints: dict[str, float]) -> dict[str, float]:
        for name in constraints:
            if name not in CONSTRAINABLE:
                known = f"give {name} a window in search.windows" if name in KNOWN_COSTS else "leave it out"
                raise ValueError(f"constraints limit {', '.join(CONSTRAINABLE)}, not {name}: {known}")
        return constraints

    @field_validator("gpus_per_trial")
    @classmethod
    def _whole_or_fraction(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("a training takes a fraction of one GPU, or whole ones: 0.5, 1, 2")
        return gpus

    @field_validator("rungs")
    @classmethod
    def _increasing(cls, rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
        require_rising(rungs)
        return rungs

    @model_validator(mode="after")
    def _latency_of_whole_networks(self) -> Self:
        timed = "latency" in self.objectives or "latency_ms" in self.constraints
        if timed and any(rung.width < 1 for rung in self.rungs):
            raise ValueError("latency is that of whole networks: leave width out of the rungs")
        return self

    @model_validator(mode="after")
    def _repeats_in_one_process(self) -> Self:
        if self.repeats > 1 and self.gpus_per_trial > 1:
            raise ValueError(
                f"repeats is {self.repeats} with gpus_per_trial {self.gpus_per_trial:g}: trainings of several"
                " GPUs are not repeated; set repeats to 1, or gpus_per_trial to 1 or less"
            )
        return self

    @model_validator(mode="after")
    def _startup_fits(self) -> Self:
        if self.startup > self.trials:
            raise ValueError(f"startup {self.startup} is more than trials {self.trials}: lower startup")
        return self


class ConfirmationSettings(_SettingsModel):
    """The ``confirmation`` part: longer and repeated trainings of the provisional frontier."""

    epochs: Count = Field(default=12, description="epochs of each training, at least those of the last rung")
    seeds: Count = Field(
        default=2,
        description="mean number of trainings of a member: one each, and the others where they tell most",
    )
    members: Count = Field(default=8, description="highest number of candidates")


class FamilySettings(_SettingsModel):
    """The ``family`` part: budgets of the members, and the length of their training."""

    budgets: FamilyBudgets = Field(
        default=None,
        description="upper limits by name, such as {A0: 2e6}, {phone: 5ms} or {fast: 25%}, or paper;"
        " by default spread over the frontier",
    )
    epochs: Count = Field(default=16, description="epochs of the final training")


class Settings(_SettingsModel):
    """All settings of a run."""

    name: str = Field(default="quickstart", description="name of the run and its folder")
    seed: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="seed of proposals and trainings"
    )
    output: Path = Field(default=Path("runs"), description="folder of all runs")
    storage: str | None = Field(
        default=None,
        description="PostgreSQL database of the record; by default a journal in the run's folder",
    )
    storage_patience_minutes: float = Field(
        default=10,
        ge=0,
        description="minutes to wait on a full disk, a missing video or an unavailable database",
    )
    checkpoints: str | None = Field(
        default=None,
        description="object store of checkpoints, such as s3://bucket/folder; by default the run's folder",
    )
    trackers: tuple[Tracker, ...] = Field(
        default=(), description="experiment trackers that follow the search: mlflow, wandb"
    )
    data: DataSettings = Field(default_factory=lambda: DataSettings.model_validate({}))
    space: Space = Field(
        default_factory=lambda: SearchSpace.from_yaml("quickstart"),
        description="search space: a preset, a YAML file, or the space written out",
    )
    recipe: Annotated[Recipe, BeforeValidator(_recipe)] = Field(
        default_factory=lambda: Recipe.model_validate({}),
        description="training recipe: a preset, a YAML file, or its fields",
    )
    search: SearchSettings = Field(default_factory=SearchSettings)
    confirmation: ConfirmationSettings = Field(default_factory=ConfirmationSettings)
    family: FamilySettings = Field(default_factory=FamilySettings)

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ValueError("a name has at most 64 letters, digits, '.', '_' and '-'")
        return name

    @field_validator("storage")
    @classmethod
    def _database(cls, storage: str | None) -> str | None:
        if storage is not None and storage.partition("://")[0] not in SCHEMES:
            raise ValueError("give an address such as postgresql://user@host:5432/database")
        return storage

    @model_validator(mode="after")
    def _confirmation_is_longer(self) -> Self:
        last = self.search.rungs[-1].epochs
        if self.confirmation.epochs < last:
            raise ValueError(
                f"confirmation.epochs {self.confirmation.epochs} is below the last of search.rungs, {last}:"
                " a confirmation trains at least as long as the search"
            )
        return self

    @property
    def run_dir(self) -> Path:
        """Folder of the run."""
        return self.output.expanduser() / self.name

    def window(self, space: SearchSpace) -> tuple[float, float]:
        """Return the lowest and highest multiply-adds of proposals."""
        low, high = space.macs_range()
        macs = self.search.macs
        return max(low, macs.low or low), min(high, macs.high or high)

    def windows(self, space: SearchSpace) -> dict[str, tuple[float, float]]:
        """Return the windows of all known costs that have one, by name; multiply-adds always have one."""
        windows = {"macs": self.window(space)}
        for name in KNOWN_COSTS[1:]:
            window: Window = getattr(self.search.windows, name)
            if window.low is not None or window.high is not None:
                windows[name] = window.low or 0.0, window.high or NO_LIMIT
        return windows

    def objectives(self) -> Objectives:
        """Return the objectives and soft constraints of the search."""
        return Objectives(self.search.objectives, self.search.constraints)

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide what measurements mean, which a resumed run may not change.

        Workers, limits, the number of trials, confirmation and family may change: they only add measurements.
        """
        search = self.search.model_dump(
            mode="json", include={"strategy", "startup", "macs", "rungs", "reduction"}
        )
        # Records of older versions have none of these.
        search |= self.search.model_dump(
            mode="json",
            include={"objectives", "windows", "constraints", "latency_table", "repeats"},
            exclude_defaults=True,
        )
        return {
            "seed": self.seed,
            "data": self.data.model_dump(mode="json", exclude={"cache", "source"}),
            "space": self.space.digest,
            "recipe": self.recipe.model_dump(mode="json"),
            "search": search,
        }

    @property
    def digest(self) -> str:
        """Digest of the identity, 16 hexadecimal digits."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def mirror(self) -> str | None:
        """Return the address of this run's checkpoints in an object store; None if its folder has them."""
        if self.checkpoints is None:
            return None
        return f"{self.checkpoints.rstrip('/')}/{self.name}-{self.digest}"

    def public_storage(self) -> str | None:
        """Return the database's address without a password; None for a journal."""
        return None if self.storage is None else without_password(self.storage)

    def to_yaml(self) -> str:
        """Return all settings as YAML, resolved and without a password, so that the text stands alone."""
        data = self.model_dump(mode="json")
        data["storage"] = self.public_storage()
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
