"""The guard against shifted labels: what it refuses, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from results.evaluation.label_shift import ShiftGuard
from search_space.errors import DataError

NAMES = [f"class {number}" for number in range(20)]


def judged(shift: int, accuracy: float, *, clips: int = 400, seed: int = 0) -> ShiftGuard:
    """Count clips of which a share is taken for the class at a distance, the others for any."""
    guard, rng = ShiftGuard(NAMES), np.random.default_rng(seed)
    for _ in range(clips):
        label = int(rng.integers(20))
        taken = label + shift if rng.random() < accuracy else int(rng.integers(20))
        guard.add(label, min(19, max(0, taken)))
    guard.check()
    return guard


@pytest.mark.parametrize("shift", [1, -1])
@pytest.mark.parametrize("accuracy", [0.3, 0.6, 1.0])
def test_shifted_outputs_are_refused(shift: int, accuracy: float) -> None:
    with pytest.raises(DataError, match=f"shifted by one.*{'after' if shift > 0 else 'before'} them"):
        judged(shift, accuracy)


@pytest.mark.parametrize("shift", [0, 2, 7])
@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_networks_that_are_right_or_know_nothing_are_not(shift: int, accuracy: float, seed: int) -> None:
    judged(shift, accuracy, seed=seed)


def test_neighbours_that_are_taken_for_each_other_are_no_shift() -> None:
    guard = ShiftGuard(NAMES)
    for number in range(2000):
        label = number % 20
        guard.add(label, label ^ 1)  # left for right, and right for left
    guard.check()


def test_it_is_found_after_few_clips() -> None:
    guard = ShiftGuard(NAMES)
    with pytest.raises(DataError):
        for number in range(60):
            guard.add(number % 19, number % 19 + 1)
