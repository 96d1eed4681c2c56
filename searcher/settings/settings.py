"""The settings of a run; ``reading`` reads them, ``checks`` validates them against this machine."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from proxy_train.data.settings import DataSettings
from proxy_train.recipe import Recipe
from proxy_train.supernet.settings import SupernetSettings
from search_space.space.space import SearchSpace
from searcher.cluster.machine import auto_workers
from searcher.cluster.trackers import Tracker
from searcher.objectives import CONSTRAINABLE, KNOWN_COSTS, Objectives
from searcher.promotion.rung import Rung, require_rising
from searcher.record.storage import SCHEMES, without_password
from searcher.settings.cluster_settings import Cluster
from searcher.settings.one_shot import with_one_rung
from searcher.settings.phases import ConfirmationSettings, FamilySettings
from searcher.settings.pilot_settings import Pilot, PilotSettings, open_keys
from searcher.settings.values import (
    Count,
    Macs,
    ObjectiveName,
    RecipeField,
    Rungs,
    SeedEntries,
    SettingsModel,
    Space,
    StoreAddress,
    TrainedNetworkName,
    Window,
    Windows,
    digest_of_network,
)
from searcher.strategies.registry import is_strategy_name, strategy_names

NO_LIMIT = 1e18
"""Upper end of a window without one, far above any cost."""


class SearchSettings(SettingsModel):
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
    rungs: Rungs = Field(
        default=tuple(Rung(epochs=epochs) for epochs in (2, 4, 8)),
        description="epochs at which candidates are compared; {epochs: 2, share: 0.5, size: 0.75} for less;"
        " auto: the pilot chooses",
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


class Settings(SettingsModel):
    """All settings of a run."""

    name: str = Field(default="quickstart", description="name of the run and its folder")
    seed: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="seed of proposals and trainings"
    )
    hours: float | None = Field(
        default=None,
        gt=0,
        le=100_000,
        allow_inf_nan=False,
        description="time of the whole run; the pilot plans what is not given for it",
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
    checkpoints: StoreAddress | None = Field(
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
    recipe: RecipeField = Field(
        default_factory=lambda: Recipe.model_validate({}),
        description="training recipe: a preset, a YAML file, or its fields",
    )
    weights: TrainedNetworkName | None = Field(
        default=None,
        description="trained network whose first channels and layers every training begins with: a member's"
        " folder, or NETWORK=WEIGHTS",
    )
    supernet: SupernetSettings | None = Field(
        default=None,
        description="one training of weights that all networks share, in place of candidates' own; {}",
    )
    pilot: Pilot = Field(
        default=PilotSettings(), description="small trainings before the search; false for none"
    )
    search: SearchSettings = Field(default_factory=SearchSettings)
    confirmation: ConfirmationSettings = Field(default_factory=ConfirmationSettings)
    family: FamilySettings = Field(default_factory=FamilySettings)
    cluster: Cluster = None

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

    @model_validator(mode="before")
    @classmethod
    def _planned_for_a_time(cls, data: Any) -> Any:
        search = data.get("search", {}) if isinstance(data, dict) and data.get("hours") is not None else None
        return data | {"search": {"rungs": "auto", **search}} if isinstance(search, dict) else data

    @model_validator(mode="before")
    @classmethod
    def _measured_once(cls, data: Any) -> Any:
        return with_one_rung(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _the_pilot_plans(self) -> Self:
        if self.open_keys and self.pilot is None:
            raise ValueError(f"the pilot plans {', '.join(self.open_keys)}: give them, or leave pilot out")
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        self.check_schedule()
        return self

    def check_schedule(self) -> None:
        """Check lengths and numbers that depend on each other; what a pilot plans is left out.

        Raises:
            ValueError: two of them contradict each other.
        """
        search, still_open = self.search, set(self.open_keys)
        if search.startup > search.trials and not {"search.startup", "search.trials"} & still_open:
            raise ValueError(
                f"search.startup {search.startup} is more than search.trials {search.trials}:"
                " lower search.startup"
            )
        if search.rungs and self.supernet is None and "confirmation.epochs" not in still_open:
            last, epochs = search.rungs[-1].epochs, self.confirmation.epochs
            if epochs < last:
                raise ValueError(
                    f"confirmation.epochs {epochs} is below the last of search.rungs, {last}:"
                    " a confirmation trains at least as long as the search"
                )

    @property
    def run_dir(self) -> Path:
        """Folder of the run."""
        return self.output.expanduser() / self.name

    @property
    def open_keys(self) -> tuple[str, ...]:
        """Dotted keys of settings that the pilot still has to plan; see ``hours`` and ``search.rungs``."""
        parts = {"search": self.search, "confirmation": self.confirmation, "family": self.family}
        return open_keys(self.hours, parts)

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

    @property
    def inherited(self) -> str:
        """Digest of ``weights`` as a fidelity has it; empty if every training begins at random."""
        return "" if self.weights is None else digest_of_network(self.weights)[:8]

    @property
    def taught(self) -> str:
        """Digest of ``family.teacher`` as a fidelity has it; empty without one."""
        return "" if self.family.teacher is None else digest_of_network(self.family.teacher)[:8]

    def origins(self) -> dict[str, str]:
        """Return the names of inherited weights and of a teacher, for people, if there are any."""
        given = {"inherits from": self.weights, "teacher": self.family.teacher}
        return {key: Path(text).name for key, text in given.items() if text is not None}

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
        # Not known before the pilot has planned them; the record takes over the plan then.
        known = {} if self.weights is None else {"weights": digest_of_network(self.weights)}
        search |= {
            key: "auto" for key in ("rungs", "startup", "repeats") if f"search.{key}" in self.open_keys
        }
        # Records of older versions have no supernet.
        shared = {} if self.supernet is None else {"supernet": self.supernet.model_dump(mode="json")}
        return shared | {
            "seed": self.seed,
            # Records of older versions have no columns.
            "data": self.data.model_dump(
                mode="json", exclude={"cache", "source"} | (set() if self.data.columns else {"columns"})
            ),
            "space": self.space.digest,
            "recipe": self.recipe.identity(),
            "search": search,
            **known,
        }

    @property
    def digest(self) -> str:
        """Digest of the identity, 16 hexadecimal digits."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def mirror(self) -> str | None:
        """Return the address of this run's checkpoints in an object store; None if its folder has them."""
        place, mark, options = (self.checkpoints or "").partition("?")
        return f"{place.rstrip('/')}/{self.name}-{self.digest}{mark}{options}" if place else None

    def public_storage(self) -> str | None:
        """Return the database's address without a password; None for a journal."""
        return None if self.storage is None else without_password(self.storage)

    def to_yaml(self) -> str:
        """Return all settings as YAML, resolved and without a password, so that the text stands alone."""
        data = self.model_dump(mode="json")
        data["storage"] = self.public_storage()
        for part, name in (key.split(".") for key in self.open_keys if key != "search.rungs"):
            del data[part][name]
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
