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


def test_mean_per_class_weighs_classes_alike() -> None:
    right = np.array([True, True, True, False])
    assert metrics.mean_per_class(right, np.array([0, 0, 0, 2])) == 0.5
    assert metrics.mean_per_class(right, np.array([0, 0, 0, 2]), np.array([1.0, 0, 0, 0])) == 1.0


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
