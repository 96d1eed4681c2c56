"""Every figure of an evaluation, against scikit-learn's or computed here from its definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from search_space.network.heads import Head
from searcher.standalone.judged_videos import figures_of

CLIPS, CLASSES = 300, 12


def logits(seed: int, outputs: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(CLIPS, outputs)).astype(np.float32)


def names(count: int) -> list[str]:
    return [f"video {number}" for number in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_one_label_as_scikit_learn_has_it(seed: int) -> None:
    scores = logits(seed, CLASSES)
    labels = np.random.default_rng(seed + 100).integers(0, CLASSES, CLIPS)
    scores[np.arange(CLIPS), labels] += 1.5
    _, found = figures_of(scores, labels, Head.single_label(CLASSES), names(CLIPS))
    best, every = scores.argmax(1), list(range(CLASSES))
    expected = {
        "top1": metrics.accuracy_score(labels, best),
        "top5": metrics.top_k_accuracy_score(labels, scores, k=5, labels=every),
        "mean_class": metrics.balanced_accuracy_score(labels, best),
        "loss": metrics.log_loss(labels, softmax(scores), labels=every),
    }
    for name, value in expected.items():
        assert found.figures[name].value == pytest.approx(value, abs=1e-6), name
        assert found.figures[name].low < value < found.figures[name].high
    assert (found.confusion["class"] == metrics.confusion_matrix(labels, best, labels=every)).all()


@pytest.mark.parametrize("seed", range(3))
def test_several_labels_as_scikit_learn_has_them(seed: int) -> None:
    scores = logits(seed, CLASSES)
    labels = (np.random.default_rng(seed + 100).random((CLIPS, CLASSES)) < 0.2).astype(np.float32)
    labels[:, -1] = 0  # a class that no video has does not count
    scores += labels
    _, found = figures_of(scores, labels, Head.multi_label(CLASSES), names(CLIPS))
    expected = metrics.average_precision_score(labels[:, :-1], scores[:, :-1], average="macro")
    assert found.figures["mean_ap"].value == pytest.approx(expected, abs=1e-6)
    sigmoid = 1 / (1 + np.exp(-scores.astype(np.float64)))
    loss = -(labels * np.log(sigmoid) + (1 - labels) * np.log(1 - sigmoid)).mean()
    assert found.figures["loss"].value == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_an_action_is_right_only_if_verb_and_noun_are(seed: int) -> None:
    verbs, nouns = 6, 9
    scores, rng = logits(seed, verbs + nouns), np.random.default_rng(seed + 100)
    labels = np.stack([rng.integers(0, verbs, CLIPS), rng.integers(0, nouns, CLIPS)], 1)
    scores[np.arange(CLIPS), labels[:, 0]] += 1.5
    scores[np.arange(CLIPS), verbs + labels[:, 1]] += 1.5
    _, found = figures_of(scores, labels, Head.verb_noun(verbs, nouns), names(CLIPS))
    verb, noun = softmax(scores[:, :verbs]), softmax(scores[:, verbs:])
    right_verb, right_noun = verb.argmax(1) == labels[:, 0], noun.argmax(1) == labels[:, 1]
    # The challenge ranks all pairs by the product of both probabilities.
    actions = (verb[:, :, None] * noun[:, None, :]).reshape(CLIPS, -1)
    pairs = labels[:, 0] * nouns + labels[:, 1]
    best = np.argsort(-actions, axis=1)[:, :5]
    expected = {
        "verb_top1": right_verb.mean(),
        "noun_top1": right_noun.mean(),
        "action_top1": (right_verb & right_noun).mean(),
        "action_top5": (best == pairs[:, None]).any(1).mean(),
        "verb_mean_class": metrics.balanced_accuracy_score(labels[:, 0], verb.argmax(1)),
    }
    for name, value in expected.items():
        assert found.figures[name].value == pytest.approx(float(value), abs=1e-6), name
    assert expected["action_top1"] < min(expected["verb_top1"], expected["noun_top1"])


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(scores.astype(np.float64))
    shares: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return shares
