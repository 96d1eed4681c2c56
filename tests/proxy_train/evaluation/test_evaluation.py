"""Evaluation of every kind of label, by views, as a stream, and of ensembles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_train.clips.augmentation import evaluation_batch
from proxy_train.clips.targets import head_for
from proxy_train.clips.views import Views
from proxy_train.evaluation.assessment import assess
from proxy_train.evaluation.evaluation import ensemble, evaluate, predict
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.training import Training, share_of
from search_space.architecture.architecture import Architecture
from search_space.errors import DataError, SettingsError
from search_space.network.ensemble import Ensemble
from search_space.network.model import build


def relabelled(data: PreparedData, kind: str) -> PreparedData:
    """The same clips with labels of another kind: 16 classes as 16 of any number, or 4 verbs and 12 nouns."""
    splits = {}
    for name, split in data.splits.items():
        labels = split.labels.astype(np.int64)
        if kind == "multi":
            hot = np.eye(16, dtype=np.float32)[labels] + np.eye(16, dtype=np.float32)[(labels + 5) % 16]
            splits[name] = replace(split, labels=hot)
        else:
            splits[name] = replace(split, labels=np.stack([labels % 4, labels % 12], 1))
    if kind == "multi":
        return replace(data, labels_kind="multi", splits=splits)
    return replace(data, labels_kind="verb_noun", verbs=4, splits=splits)


class Fixed(nn.Module):
    """Says the logits that it was given, whatever it sees, clip after clip."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.at = logits, 0

    def forward(self, clips: Tensor) -> Tensor:
        self.at += len(clips)
        return self.logits[self.at - len(clips) : self.at]


def test_metrics_of_one_label_by_hand(tiny_data: PreparedData) -> None:
    labels = torch.from_numpy(tiny_data.split("val").labels)
    logits = torch.randn(16, 16, generator=torch.Generator().manual_seed(0)) + 2 * F.one_hot(labels, 16)
    found = evaluate(Fixed(logits), tiny_data, batch_size=5)
    assert found.top1 == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert found.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)
    assert found.top5 == pytest.approx(
        float((logits.topk(5).indices == labels[:, None]).any(1).float().mean())
    )
    assert 0 < found.top1 < found.top5 <= 1 and found.more == {}
    figures = assess(predict(Fixed(logits), tiny_data, batch_size=7)).figures
    assert set(figures) == {"top1", "top5", "mean_class", "ece", "loss"}
    for name in ("top1", "top5", "loss"):
        assert figures[name].value == pytest.approx(getattr(found, name))
        assert figures[name].low < figures[name].value < figures[name].high or figures[name].value == 1
    assert figures["mean_class"].value == pytest.approx(found.top1), "one clip a class"


def test_metrics_of_several_labels(tiny_data: PreparedData) -> None:
    data = relabelled(tiny_data, "multi")
    hot = torch.from_numpy(data.split("val").labels)
    perfect, blind = evaluate(Fixed(8 * hot - 4), data), evaluate(Fixed(torch.zeros(16, 16)), data)
    assert perfect.top1 == perfect.more["mean_ap"] == 1
    assert blind.loss == pytest.approx(np.log(2)) and blind.more["mean_ap"] < 0.5
    noisy = predict(Fixed(2 * hot + torch.randn(16, 16, generator=torch.Generator().manual_seed(0))), data)
    found = assess(noisy)
    assert set(found.figures) == {"mean_ap", "hit1", "ece", "loss"}
    assert found.figures["mean_ap"].low < found.figures["mean_ap"].value < 1


def test_metrics_of_verb_and_noun(tiny_data: PreparedData) -> None:
    data = relabelled(tiny_data, "verb_noun")
    labels = torch.from_numpy(data.split("val").labels)
    verbs, nouns = 4.0 * F.one_hot(labels[:, 0], 4), 4.0 * F.one_hot(labels[:, 1], 12)
    both = evaluate(Fixed(torch.cat([verbs, nouns], 1)), data)
    assert both.top1 == both.more["verb_top1"] == both.more["noun_top1"] == 1
    half = evaluate(Fixed(torch.cat([verbs, torch.randn(16, 12)], 1)), data)
    assert half.more["verb_top1"] == 1 and half.top1 == half.more["noun_top1"] < 1
    assert both.loss == pytest.approx(
        float(F.cross_entropy(verbs, labels[:, 0]) + F.cross_entropy(nouns, labels[:, 1])), rel=1e-5
    )
    found = assess(predict(Fixed(torch.cat([verbs, nouns], 1)), data))
    assert found.figures["action_top1"].value == 1 and found.figures["action_top1"].low < 0.9
    assert found.confusion["verb"].shape == (4, 4) and found.confusion["noun"].trace() == 16
    assert set(found.to_json()["calibration"]) == {"verb", "noun"} and "action_top5" in found.text()


@pytest.mark.parametrize("kind", ["multi", "verb_noun"])
def test_other_kinds_of_labels_are_learnt(
    kind: str, tiny_data: PreparedData, small_architecture: Architecture
) -> None:
    data = relabelled(tiny_data, kind)
    recipe = Recipe(batch_size=16, learning_rate=0.02, label_smoothing=0, photometric=0, shift=0, mixup=0.01)
    training = Training(small_architecture, data, recipe, horizon=Fidelity(12, 8, 32), seed=0)
    assert training.model.head_type == head_for(data)
    reports = [training.train_epoch() for _ in range(12)]
    assert reports[-1].loss < 0.8 * reports[0].loss
    assert training.evaluate("train").loss < training.evaluate().loss
    assert len(share_of(data.split("train"), 0.5)) == 16, "half of every combination of labels"


def test_the_centre_view_is_the_evaluation_batch(tiny_data: PreparedData) -> None:
    split, indices = tiny_data.split("val"), np.arange(4)
    expected = evaluation_batch(split, range(4), 8, 32)
    assert torch.equal(Views().batch(split, indices, 8, 32), expected)
    several = Views(clips=3, crops=3).batch(split, indices, 4, 24)
    assert several.shape == (36, 3, 4, 24, 24)
    assert torch.equal(several[4], evaluation_batch(split, range(1), 4, 24)[0]), "the middle of the middle"
    assert torch.equal(several[3][:, :, :, 4:], several[4][:, :, :, :20]), "crops overlap side by side"
    assert torch.equal(several[9 + 1, :, 0], expected[1, :, 0, 4:28, 4:28]), "the first clip begins the video"
    with pytest.raises(SettingsError, match="2 crops"):
        Views(crops=2)


def test_views_are_averaged_as_probabilities(
    tiny_data: PreparedData, small_architecture: Architecture
) -> None:
    model = build(small_architecture, 16, seed=0).eval()
    with torch.no_grad():
        model.head.classifier.weight.mul_(200)
    split, views = tiny_data.split("val"), Views(clips=2, crops=3)
    data = replace(tiny_data, frames=4, size=24)
    found = predict(model, data, views=views, batch_size=13)
    with torch.inference_mode():
        logits = model(views.batch(split, np.arange(3), 4, 24)).double()
    expected = logits.softmax(1).view(3, 6, 16).mean(1).numpy()
    np.testing.assert_allclose(found.probabilities[0][:3], expected, rtol=1e-4, atol=1e-7)
    single = predict(model, data).probabilities[0][:3]
    assert np.abs(single - expected).max() > 1e-4


def test_whole_videos_stream_to_the_same(tiny_data: PreparedData, small_architecture: Architecture) -> None:
    model = build(small_architecture, 16, seed=0)
    split = tiny_data.split("val")
    lengths = split.lengths.copy()
    lengths[::2] = 5  # videos of two lengths
    data = replace(tiny_data, frames=3, splits={"val": replace(split, lengths=lengths)})
    streamed = predict(model, data, views=Views(whole=True), streaming=True, chunk=2)
    with torch.inference_mode():
        model.eval()
        for index in (0, 1):
            clip = evaluation_batch(split, range(index, index + 1), 8, 32)[:, :, : int(lengths[index])]
            np.testing.assert_allclose(streamed.logits[index], model(clip)[0].numpy(), rtol=1e-3, atol=1e-5)
    assert streamed.ids == split.ids


def test_ensembles_average_logits(tiny_data: PreparedData, small_architecture: Architecture) -> None:
    members = [build(small_architecture, 16, seed=seed) for seed in (0, 1)]
    joined = predict(Ensemble(members), tiny_data)
    apart = ensemble([predict(member, tiny_data) for member in members])
    np.testing.assert_allclose(apart.logits, joined.logits, atol=1e-6)
    with pytest.raises(DataError, match="different clips"):
        ensemble([apart, predict(members[0], tiny_data, "train")])


def test_a_network_for_other_classes_is_refused(
    tiny_data: PreparedData, small_architecture: Architecture
) -> None:
    with pytest.raises(DataError, match="16 classes, the network 7"):
        evaluate(build(small_architecture, 7), tiny_data)
