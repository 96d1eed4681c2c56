"""The settings of a supernet's training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(strict=True, ge=1)]
_BY_RULE: Mapping[str, Mapping[str, Any]] = {
    "growing": {"networks": 1, "rate": 1.0, "distillation": 0.0},
    "sandwich": {"networks": 3, "rate": 0.3, "distillation": 0.5},
}


class SupernetSettings(BaseModel):
    """The ``supernet`` part: one training of weights that all networks share, in place of many short ones.

    Everything else about it is the run's recipe.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Count = Field(default=30, description="epochs of the shared weights' training")
    rule: Literal["growing", "sandwich"] = Field(
        default="growing",
        description="which networks an update trains: growing, the smallest and others, of rising cost;"
        " sandwich, the largest, the smallest and others of any cost",
    )
    alone: float = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="share of the epochs in which one network learns alone: the smallest, or by the sandwich"
        " rule the largest",
    )
    largest_clips: float = Field(
        default=0.6, ge=0, lt=1, description="share of the epochs with clips of the largest shape only"
    )
    networks: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=1,
        description="networks drawn for each update, beside the named ones; in a sandwich 3 by default",
    )
    distillation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="weight of the largest network's answers, as targets of the others, by the sandwich rule,"
        " where it is 0.5 by default",
    )
    target: float | None = Field(
        default=None,
        gt=0,
        description="multiply-adds that a controller learns to reach while the weights are trained, as TuNAS"
        " does (strategy: tunas)",
    )
    penalty: float = Field(
        default=-0.1,
        lt=0,
        description="weight of a network's relative distance from the target in the controller's reward",
    )
    controller_rate: float = Field(
        default=0.02, gt=0, description="learning rate of the controller at first; it ends at 10 times that"
    )
    kernels: Literal["own", "cropped"] = Field(
        default="cropped",
        description="whether each kernel has depthwise weights of its own, or small ones are a part of the"
        " largest",
    )
    fine_tuning_rate: float = Field(
        default=1.0,
        gt=0,
        description="factor of the recipe's learning rate in trainings that begin with the shared weights",
    )
    rate: float = Field(
        default=1.0,
        gt=0,
        description="factor of the recipe's learning rate, for weights of many networks; by the sandwich rule"
        " and with a target 0.3 by default",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_the_rule_has_it(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        rule = data.get("rule", "growing")
        defaults = dict(_BY_RULE.get(rule, {})) if isinstance(rule, str) else {}
        if data.get("target") is not None:
            # A controller draws the networks, of any cost from the first update on.
            defaults["rate"] = _BY_RULE["sandwich"]["rate"]
        return defaults | data

    @model_validator(mode="after")
    def _fits_the_rule(self) -> Self:
        if self.rule == "growing" and self.target is None:
            if self.distillation > 0:
                raise ValueError(
                    f"distillation is {self.distillation:g}: a growing supernet has no teacher;"
                    " leave it out, or set rule: sandwich"
                )
            if self.networks == 0:
                raise ValueError(
                    "networks is 0: only the smallest network would learn;"
                    " give 1 or more, or set rule: sandwich"
                )
        return self
