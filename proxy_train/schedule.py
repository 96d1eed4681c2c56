"""The learning rate at every step."""

from __future__ import annotations

import math

from proxy_train.recipe import Recipe


def rate_at(step: int, steps: int, warmup: int, recipe: Recipe) -> float:
    """The learning rate of step ``step`` of ``steps``: linear over ``warmup`` steps, then along the schedule.

    As in the official configurations, the cosine counts from step 0, not from the end of the warm-up.

    Args:
        step: counted from 0.
        steps: of the whole training.
        warmup: steps of the warm-up.
    """
    peak = recipe.learning_rate
    if step < warmup:
        return peak * (step + 1) / warmup
    if recipe.schedule == "constant":
        return peak
    cosine = 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))
    return peak * (recipe.final_rate + (1 - recipe.final_rate) * cosine)
