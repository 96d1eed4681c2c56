"""The schedule of the learning rate."""

from __future__ import annotations

import math

from proxy_train.recipe import Recipe


def rate_at(step: int, steps: int, warmup: int, recipe: Recipe) -> float:
    """Return the learning rate of a step: linear over ``warmup`` steps, then along the schedule.

    As in the official configurations, the cosine counts from step 0, not from the end of the warm-up. Theirs
    (``official``) begins with a rate of 0 and rises to what the cosine has where the warm-up ends (Model
    Garden, LinearWarmup); the others reach the peak with the warm-up's last step.

    Args:
        step: number of the step, from 0.
        steps: number of steps of the whole training.
        warmup: number of steps of the warm-up.
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
