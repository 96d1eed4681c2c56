"""The settings of what follows a search: confirmation and family."""

from __future__ import annotations

from pydantic import Field

from searcher.settings.values import Count, FamilyBudgets, SettingsModel, TrainedNetworkName


class ConfirmationSettings(SettingsModel):
    """The ``confirmation`` part: longer and repeated trainings of the provisional frontier."""

    epochs: Count = Field(default=12, description="epochs of each training, at least those of the last rung")
    seeds: Count = Field(
        default=2,
        description="mean number of trainings of a member: one each, and the others where they tell most",
    )
    members: Count = Field(default=8, description="highest number of candidates")
    inherit: bool = Field(
        default=True, description="whether trainings begin with a supernet's weights, if there is one"
    )


class FamilySettings(SettingsModel):
    """The ``family`` part: budgets of the members, and the length of their training."""

    budgets: FamilyBudgets = Field(
        default=None,
        description="upper limits by name, such as {A0: 2e6}, {phone: 5ms} or {fast: 25%}, or paper;"
        " by default spread over the frontier",
    )
    epochs: Count = Field(default=16, description="epochs of the final training")
    inherit: bool = Field(
        default=True, description="whether trainings begin with a supernet's weights, if there is one"
    )
    teacher: TrainedNetworkName | None = Field(
        default=None,
        description="trained network of the same classes that the final trainings learn from: a member's"
        " folder, or NETWORK=WEIGHTS",
    )
