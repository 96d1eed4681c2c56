"""Metrics against second implementations and hand-made cases; intervals that hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, top_k_accuracy_score

from proxy_train.evaluation import metrics


def invented(clips: int, classes: int, seed: int = 0) -> tuple[metrics.Scores, metrics.Labels]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    scores = rng.normal(size=(clips, classes)) + 1.5 * np.eye(classes)[labels]
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True), labels


@pytest.mark.parametrize("k", [1, 2, 5])
def test_hits_are_sklearns_top_k(k: int) -> None:
    scores, labels = invented(200, 7)
    expected = top_k_accuracy_score(labels, scores, k=k)
    assert metrics.hits(scores, labels, k).mean() == pytest.approx(expected)


def test_a_network_that_says_nothing_is_not_right() -> None:
    assert not metrics.hits(np.full((4, 3), 1 / 3), np.array([0, 1, 2, 0]), 1).any()
    assert metrics.hits(np.full((4, 3), 1 / 3), np.array([0, 1, 2, 0]), 3).all()


def test_mean_average_precision_is_sklearns() -> None:
    rng = np.random.default_rng(1)
    relevant = rng.random((150, 6)) < 0.2
    relevant[:, 5] = False  # nothing to find: the class does not count
    scores = rng.random((150, 6)) + 0.4 * relevant
    found = metrics.mean_average_precision(scores, relevant)
    assert found == pytest.approx(average_precision_score(relevant[:, :5], scores[:, :5]))
    weights = rng.integers(0, 3, 150).astype(float)
    expected = average_precision_score(relevant[:, :5], scores[:, :5], sample_weight=weights)
    assert metrics.mean_average_precision(scores, relevant, weights) == pytest.approx(expected)
    assert math.isnan(metrics.mean_average_precision(scores, np.zeros_like(relevant)))


@pytest.mark.parametrize("k", [1, 5])
def test_action_hits_are_those_of_the_outer_product(k: int) -> None:
    verbs, verb = invented(60, 6, seed=2)
    nouns, noun = invented(60, 9, seed=3)
    pairs = (verbs[:, :, None] * nouns[:, None, :]).reshape(60, -1)
    expected = metrics.hits(pairs, verb * 9 + noun, k)
    found = metrics.action_hits(verbs, nouns, np.stack([verb, noun], 1), k)
    assert (found == expected).all() and 0 < found.sum() < 60
    if k == 1:
        both = metrics.hits(verbs, verb, 1) & metrics.hits(nouns, noun, 1)
        assert (found == both).all()


def test_any_hits_ask_for_one_of_the_labels() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    relevant = np.array([[True, False, True], [False, True, True]])
    assert metrics.any_hits(scores, relevant, 1).tolist() == [True, False]
    assert metrics.any_hits(scores, relevant, 2).tolist() == [True, True]


def test_the_mean_over_classes_weighs_classes_alike() -> None:
    right = np.array([True, False, False, True])
    assert metrics.class_mean(right, np.array([0, 0, 0, 2])).value == pytest.approx(2 / 3)


def test_confusion_is_sklearns() -> None:
    scores, labels = invented(100, 5)
    expected = confusion_matrix(labels, scores.argmax(1), labels=range(5))
    assert (metrics.confusion(scores, labels) == expected).all()


def test_calibration_of_known_cases() -> None:
    sure = np.full(100, 0.8)
    assert metrics.reliability(sure, np.arange(100) < 80).error == pytest.approx(0)
    assert metrics.reliability(sure, np.arange(100) < 30).error == pytest.approx(0.5)
    mixed = metrics.reliability(np.array([0.95, 0.95, 0.35, 0.35]), np.array([True, True, False, False]))
    assert mixed.error == pytest.approx((0.05 + 0.35) / 2)
    assert metrics.reliability(np.array([0.0, 1.0]), np.array([False, True])).count.sum() == 2


def test_wilson_by_the_book() -> None:
    # Wilson (1927) as tabulated by Newcombe (1998), table I: 81 of 263 and 0 of 20.
    estimate = metrics.wilson(np.arange(263) < 81)
    assert (estimate.low, estimate.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    nothing = metrics.wilson(np.zeros(20, bool))
    assert (nothing.low, nothing.high) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_bootstrap_covers_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(4).normal(2.0, 1.0, 400)
    estimate = metrics.bootstrap(lambda w: float(w @ values / w.sum()), 400)
    assert estimate.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.03)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.03)
    assert estimate == metrics.bootstrap(lambda w: float(w @ values / w.sum()), 400)


def covered(estimates: list[metrics.Estimate], truth: float) -> float:
    """The share of intervals that hold the truth; all hold their own figure."""
    assert all(0 <= each.low <= each.value <= each.high <= 1 for each in estimates)
    return float(np.mean([each.low <= truth <= each.high for each in estimates]))


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        ([1] * 100, [0.9] * 100),
        ([1] * 10 + [2] * 5 + [50] * 5, [0.95] * 20),
        ([3, 100], [0.6, 0.8]),
        ([20] * 16, [0.05 * number for number in range(2, 18)]),
        ([3] * 30, [0.02] * 15 + [0.98] * 15),
    ],
)
def test_intervals_of_means_over_classes_cover_rare_classes_too(
    sizes: list[int], shares: list[float]
) -> None:
    rng, labels = np.random.default_rng(5), np.repeat(np.arange(len(sizes)), sizes)
    estimates = [
        metrics.class_mean(rng.random(len(labels)) < np.array(shares)[labels], labels) for _ in range(400)
    ]
    assert covered(estimates, float(np.mean(shares))) > 0.9
    # As narrow as the clips allow: of classes of many clips, within a third of the exact deviation.
    if min(sizes) >= 20:
        exact = np.sqrt(np.mean([share * (1 - share) / 20 for share in shares]) / len(sizes))
        assert np.mean([each.high - each.low for each in estimates]) < 1.33 * 3.92 * exact


@pytest.mark.parametrize("positives", [[1] * 10, [1, 1, 2, 5, 20, 50], [30] * 5])
def test_intervals_of_average_precision_cover_rare_classes_too(positives: list[int]) -> None:
    rng = np.random.default_rng(6)

    def drawn() -> tuple[metrics.Scores, metrics.Flags]:
        relevant = np.zeros((120, len(positives)), bool)
        for place, count in enumerate(positives):
            relevant[rng.choice(120, count, replace=False), place] = True
        return rng.normal(size=relevant.shape) + 2 * relevant, relevant

    truth = float(np.mean([metrics.mean_average_precision(*drawn()) for _ in range(400)]))
    estimates = [metrics.average_precision(*drawn()) for _ in range(60)]
    assert covered(estimates, truth) > 0.9
    perfect = metrics.average_precision(np.eye(3), np.eye(3) > 0)
    assert perfect.value == perfect.high == 1 and 0.2 < perfect.low < 0.9
    nothing = metrics.average_precision(np.eye(3), np.zeros((3, 3), bool))
    assert math.isnan(nothing.value) and math.isnan(nothing.low)


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.2])
def test_intervals_of_the_calibration_error_hold_the_true_one(gap: float) -> None:
    rng, estimates = np.random.default_rng(7), []
    for _ in range(40):
        sure = rng.uniform(0.3, 0.9, 200)
        right = rng.random(200) < sure - gap
        estimates.append(
            metrics.calibration_error(lambda w, s=sure, r=right: metrics.reliability(s, r, w), 200)  # type: ignore[misc]
        )
    assert covered(estimates, gap) > 0.9
