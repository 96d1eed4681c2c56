"""Chance, and the probe that finds whether labels follow from clips, on small encoded videos."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom

from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.chance import Chance, chance_of, constant_loss, least_significant
from proxy_train.evaluation.content_probe import features, probe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.store.split import Split
from tests.proxy_train.moving_videos import write_motions


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    folder = tmp_path_factory.mktemp("moving")
    write_motions(folder / "videos")
    dataset = load_dataset(DataSettings(kind="folder", root=folder / "videos"))
    return prepare(dataset, frames=8, size=16, fps=8, cache=folder / "cache")


def labelled(data: PreparedData, labels: dict[str, np.ndarray], **changes: object) -> PreparedData:
    splits = {name: replace(part, labels=labels.get(name, part.labels)) for name, part in data.splits.items()}
    return replace(data, splits=splits, **changes)  # type: ignore[arg-type]


def shuffled(data: PreparedData, *names: str, seed: int = 1) -> PreparedData:
    rng = np.random.default_rng(seed)
    return labelled(data, {name: rng.permutation(data.splits[name].labels) for name in names})


def test_the_least_significant_accuracy_is_the_binomial_one() -> None:
    for level, clips in ((1 / 16, 320), (0.5, 64), (0.9, 100)):
        right = round(least_significant(level, clips) * clips)
        assert binom.sf(right - 1, clips, level) < 0.001 <= binom.sf(right - 2, clips, level)
    assert least_significant(0.5, 5) > 1, "not even five right ones of five would do"


def test_chance_is_that_of_the_most_frequent_class(moving: PreparedData) -> None:
    chance = chance_of(moving)
    assert chance.level == 0.25 and chance.clips == 64 and chance.classes == 4 and chance.tells
    assert chance.entropy == pytest.approx(math.log(4))
    skewed = labelled(moving, {"val": np.where(np.arange(64) < 48, 0, moving.splits["val"].labels)})
    assert chance_of(skewed).level == pytest.approx(52 / 64, abs=0.25) and chance_of(skewed).level >= 0.75
    assert chance_of(skewed).left_by(chance_of(skewed).threshold)
    assert not chance_of(skewed).left_by(chance_of(skewed).level)


def test_the_loss_of_constant_outputs_is_the_least_one(moving: PreparedData) -> None:
    labels = np.array([0] * 70 + [1] * 20 + [2] * 6)
    part = replace(moving.splits["train"], labels=labels)
    for smoothing in (0.0, 0.1):
        counts = torch.tensor([70.0, 20.0, 6.0, 0.0])
        rates = counts / 96 * (1 - smoothing) + smoothing / 4
        logits = rates.clamp(min=1e-12).log().expand(96, -1)
        expected = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(labels), label_smoothing=smoothing
        )
        assert constant_loss(part, "single", 4, smoothing) == pytest.approx(float(expected), rel=1e-4)


def test_labels_that_follow_from_motion_are_found(moving: PreparedData) -> None:
    found = probe(moving, chance_of(moving))
    assert found.finds_content and found.accuracy > 0.8 and found.among_own > 0.8
    assert found.trained == 96 and found.judged == 64
    assert found.mirrored == (("left", "right"),)


def test_mirrored_classes_have_their_own_names_where_others_have_no_clip(moving: PreparedData) -> None:
    shifted = {name: part.labels + 1 for name, part in moving.splits.items()}
    wider = labelled(moving, shifted, classes=("nobody", *moving.classes))
    assert probe(wider, chance_of(wider)).mirrored == (("left", "right"),)


def test_shuffled_labels_are_not(moving: PreparedData) -> None:
    chance = chance_of(moving)
    both = probe(shuffled(moving, "train", "val"), chance)
    assert not both.finds_content and both.among_own < both.threshold and both.mirrored == ()
    # Of the validation split alone: the training clips still tell.
    other = probe(shuffled(moving, "val"), chance)
    assert not other.finds_content and other.among_own > 0.8


def test_several_labels_and_verbs_with_nouns(moving: PreparedData) -> None:
    def hot(part: Split) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        several = np.eye(4, dtype=np.float32)[part.labels]
        several[:, 3] = np.maximum(several[:, 3], several[:, 0])
        return several

    multi = labelled(moving, {name: hot(part) for name, part in moving.splits.items()}, labels_kind="multi")
    chance = chance_of(multi)
    assert chance.level < chance.threshold < 0.6
    assert probe(multi, chance).accuracy > 0.8
    rng = np.random.default_rng(0)
    mixed = labelled(multi, {name: rng.permutation(part.labels) for name, part in multi.splits.items()})
    assert not probe(mixed, chance_of(mixed)).finds_content
    pairs = {name: np.stack([part.labels // 2, part.labels % 2], 1) for name, part in moving.splits.items()}
    actions = labelled(moving, pairs, labels_kind="verb_noun", verbs=2)
    chance = chance_of(actions)
    assert chance.level == 0.25 and chance.entropy == pytest.approx(2 * math.log(2))
    assert probe(actions, chance).accuracy > 0.8


def test_features_see_direction_and_not_brightness() -> None:
    frames = torch.zeros(2, 3, 6, 16, 16)
    for number in range(6):
        frames[0, :, number, 4:8, 2 + number : 6 + number] = 1
        frames[1, :, number, 4:8, 8 - number : 12 - number] = 1
    one, other = features(frames)
    dim = features(frames * 0.5 + 0.2)[0]
    motion = slice(36 * 4, None)
    right, left = one[motion], other[motion]
    # Summed over the picture, motion to the right and to the left have opposite signs.
    across = [index for index in range(len(right)) if (index // 27) % 2 == 0]
    assert float(right[across].sum()) > 1 and float(left[across].sum()) < -1
    assert torch.allclose(dim[motion], right, atol=0.15)
    assert features(torch.rand(2, 3, 1, 8, 8)).shape[0] == 2


@pytest.mark.parametrize(
    "level, clips, tells",
    [(0.4, 10, False), (0.25, 8, False), (0.5, 20, False), (1 / 6, 30, True), (0.0625, 320, True)],
)
def test_a_few_clips_do_not_tell_a_fair_accuracy_from_chance(level: float, clips: int, tells: bool) -> None:
    chance = Chance(level, least_significant(level, clips), clips, 6, 1.8)
    assert chance.tells is tells
    assert chance.left_by(1.0) or not tells
