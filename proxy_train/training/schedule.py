"""The learning rate at every step."""

from __future__ import annotations

import math

from proxy_train.recipe import Recipe


def rate_at(step: int, steps: int, warmup: int, recipe: Recipe) -> float:
    """Return the learning rate of step ``step`` of ``steps``: linear over ``warmup`` steps, then along the schedule.

    As in the official configurations, the cosine counts from step 0, not from the end of the warm-up. Theirs
    (``official``) begins with a rate of 0 and rises to what the cosine has where the warm-up ends (Model
    Garden, LinearWarmup); the others reach the peak with the warm-up's last step.

    Args:
        step: counted from 0.
        steps: of the whole training.
        warmup: steps of the warm-up.
    """
    peak = recipe.learning_rate
    if step < warmup:
        if recipe.schedule == "official":
            return _cosine(warmup, steps, recipe) * step / warmup
        return peak * (step + 1) / warmup
    if recipe.schedule == "constant":
        return peak
    return _cosine(step, steps, recipe)


def _cosine(step: int, steps: int, recipe: Recipe) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * cosine)
