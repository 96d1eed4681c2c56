"""The settings of a supernet's training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(strict=True, ge=1)]


class SupernetSettings(BaseModel):
    """The ``supernet`` part: one training of weights that all networks share, in place of many short ones.

    Everything else about it is the run's recipe.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Count = Field(default=30, description="epochs of the shared weights' training")
    largest_first: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="share of the epochs in which only the largest network learns, on the largest clips",
    )
    networks: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=3, description="networks drawn for each update, beside the largest and the smallest one"
    )
    distillation: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="weight of the largest network's answers, as targets of the others",
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
        default=0.5,
        gt=0,
        description="factor of the recipe's learning rate in trainings that begin with the shared weights",
    )
    rate: float = Field(
        default=0.3, gt=0, description="factor of the recipe's learning rate, for weights of many networks"
    )
