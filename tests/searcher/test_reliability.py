"""The reliability of measurements: right on networks of known variances, with an interval that covers it."""

from __future__ import annotations

import numpy as np
import pytest

from searcher.reliability import Reliability, TrainingResult, accuracy_logits, reliability


def trained(
    between: float, within: float, networks: int, seeds: int, seed: int, *, once: int = 0
) -> list[TrainingResult]:
    """Return trainings whose accuracy rises with cost, with these deviations on the logit scale.

    Args:
        once: number of further networks that are trained once.
    """
    rng = np.random.default_rng(seed)
    costs = np.exp(rng.uniform(np.log(2e5), np.log(8e6), networks + once))
    found = []
    for number, cost in enumerate(costs.tolist()):
        own = -12 + 0.9 * np.log(cost) + between * rng.normal()
        for _ in range(seeds if number < networks else 1):
            logit = own + within * rng.normal()
            accuracy = 1 / (1 + np.exp(-logit))
            found.append(TrainingResult(f"n{number}", cost, float(accuracy)))
    return found


@pytest.mark.parametrize("between, within", [(0.5, 0.25), (0.4, 0.4), (0.2, 0.5)])
def test_it_finds_the_share_of_the_networks(between: float, within: float) -> None:
    true = between**2 / (between**2 + within**2)
    found = [reliability(trained(between, within, 20, 3, seed)) for seed in range(120)]
    values = [each.value for each in found if each is not None]
    assert np.mean(values) == pytest.approx(true, abs=0.05)
    assert np.mean([each.low <= true <= each.high for each in found if each]) >= 0.88
    assert np.mean([each.seed_logits for each in found if each]) == pytest.approx(within, rel=0.1)


def test_the_cost_is_not_counted_as_reliability() -> None:
    found = [reliability(trained(0.0, 0.4, 12, 2, seed)) for seed in range(60)]
    assert np.mean([each.value for each in found if each]) < 0.25
    assert np.mean([each.low for each in found if each]) < 0.05


def test_networks_that_were_trained_once_count_as_well() -> None:
    pairs = [(trained(0.5, 0.3, 6, 6, seed), trained(0.5, 0.3, 6, 6, seed, once=40)) for seed in range(60)]
    widths = [[each.high - each.low for each in map(reliability, pair) if each] for pair in pairs]
    assert np.mean([width[1] for width in widths]) < 0.9 * np.mean([width[0] for width in widths])


def test_the_figure_lies_in_its_interval_and_needs_repeated_trainings() -> None:
    same = [TrainingResult(name, cost, 0.5) for name, cost in zip("abcd", (1e6, 2e6, 3e6, 4e6), strict=True)]
    assert reliability(same) is None, "every network was trained once"
    assert reliability(same[:3] * 2) is None, "three networks"
    other = [TrainingResult(each.network, each.cost, 1.0) for each in same]
    for trainings in (same * 2, [*same, *same[:2]], [*same, *other]):
        found = reliability(trainings)
        assert found is not None and 0 <= found.low <= found.value <= found.high <= 1
        assert found.trainings == len(trainings) and found.networks == 4


def test_deviations_are_those_of_accuracies_and_of_logits() -> None:
    accuracies = {"a": (0.5, 0.6), "b": (0.4, 0.6), "c": (0.7, 0.7), "d": (0.2, 0.3)}
    found = reliability([TrainingResult(n, 1e6, value) for n, pair in accuracies.items() for value in pair])
    assert found is not None
    # Half the sum of squared differences of pairs, over four degrees of freedom.
    assert found.seed_deviation == pytest.approx(((0.01 + 0.04 + 0 + 0.01) / 2 / 4) ** 0.5)
    assert accuracy_logits([0.5]).tolist() == [0.0]
    assert np.isfinite(accuracy_logits([0.0, 1.0])).all()


def test_noise_is_told_from_signal() -> None:
    assert Reliability(0.29, 0, 0.6, 0.07, 0.4, 10, 20).mostly_noise
    assert not Reliability(0.31, 0, 0.6, 0.07, 0.4, 10, 20).mostly_noise
    assert Reliability(0.31, 0.04, 0.6, 0.07, 0.4, 10, 20).text() == "0.31 (0.04 to 0.60)"


def test_a_mean_of_trainings_is_more_reliable_than_one() -> None:
    single = Reliability(0.5, 0.2, 0.8, 0.07, 0.4, 10, 20)
    mean = single.of_mean(3)
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.75, 0.6 / 1.4, 2.4 / 2.6))
    assert single.of_mean(1) == single
