"""The training of shared weights: it learns, resumes bit for bit, and its networks stand alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from proxy_train.clips.batches import Batches
from proxy_train.data.dataset import Dataset
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.supernet.norms import estimate_norms
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.training import SupernetTraining
from search_space.architecture.parts import ClipShape
from search_space.errors import MovinasError, RecordError, SettingsError
from search_space.network.model import build
from search_space.space.space import SearchSpace
from tests.proxy_train.leaving import in_pieces
from tests.proxy_train.two_clip_shapes import prepared, two_clip_shapes

RECIPE = Recipe(batch_size=8, learning_rate=0.02)
SETTINGS = SupernetSettings(epochs=3, alone=0.34, largest_clips=0.34, networks=1)
SANDWICH = SupernetSettings.model_validate(
    {"rule": "sandwich", "epochs": 3, "alone": 0.34, "largest_clips": 0.34, "networks": 1}
)


@dataclass(frozen=True)
class Given:
    """A space of two clip shapes, and its data."""

    space: SearchSpace
    stores: dict[ClipShape, PreparedData]

    def training(
        self,
        folder: Path | None = None,
        *,
        recipe: Recipe = RECIPE,
        settings: SupernetSettings = SETTINGS,
        seed: int = 0,
    ) -> SupernetTraining:
        return SupernetTraining(self.space, self.stores, recipe, settings, seed=seed, folder=folder)


@pytest.fixture(scope="module")
def given(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Given:
    space = two_clip_shapes()
    return Given(space, prepared(tiny_dataset, space, tmp_path_factory.mktemp("prepared")))


def weights_of(training: SupernetTraining) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in training.supernet.state_dict().items()}


@pytest.mark.parametrize("settings", [SETTINGS, SANDWICH], ids=lambda each: each.rule)
def test_killed_after_any_epoch_it_ends_with_the_same_bits(
    given: Given, tmp_path: Path, settings: SupernetSettings
) -> None:
    whole = given.training(settings=settings)
    losses = [whole.train_epoch().loss for _ in range(settings.epochs)]
    for epoch in range(settings.epochs):
        resumed = given.training(tmp_path / "resumed", settings=settings)
        assert resumed.epoch == epoch
        assert resumed.train_epoch().loss == losses[epoch]
        resumed.save()
    expected = weights_of(whole)
    assert all(torch.equal(value, expected[name]) for name, value in weights_of(resumed).items())
    architecture = given.space.smallest()
    assert resumed.evaluate(architecture) == whole.evaluate(architecture)
    with pytest.raises(SettingsError, match="ends after 3 epochs"):
        resumed.train_epoch()


def test_interrupted_after_every_update_it_ends_with_the_same_bits(given: Given, tmp_path: Path) -> None:
    whole = given.training()
    expected = [whole.train_epoch().loss for _ in range(2)]
    resumed, losses, pieces = in_pieces(lambda: given.training(tmp_path), 2)
    assert pieces == 2 * (whole.steps_an_epoch - 1) > 4 and losses == expected
    assert all(torch.equal(value, weights_of(whole)[name]) for name, value in weights_of(resumed).items())


def test_in_a_growing_supernet_networks_get_as_large_as_the_space(given: Given) -> None:
    settings = SupernetSettings(epochs=10, alone=0.2, largest_clips=0.5, networks=3)
    training = given.training(settings=settings)
    clip = max(given.space.clips, key=lambda each: each.size)
    part = given.space.with_clip(clip)
    low, high = part.macs_range()
    steps = training.steps_an_epoch
    assert training._drawn(clip, 0) == training._drawn(clip, 1) == [part.smallest()]
    assert {shape for shape, _ in training._epoch_batches()} == {clip}
    most = []
    for epoch in range(2, 10):
        training.epoch = epoch
        drawn = [training._drawn(clip, epoch * steps + step) for step in range(steps)]
        assert all(len(networks) == 4 and networks[0] == part.smallest() for networks in drawn)
        most.append(max(given.space.macs(each) for networks in drawn for each in networks))
        limit = low * max((high / low) ** ((epoch + 1 - 2) / 8), 1.15)
        assert most[-1] <= limit
        shapes = {shape for shape, _ in training._epoch_batches()}
        assert shapes == ({clip} if epoch < 5 else set(given.space.clips))
    assert most[0] < 0.6 * high < 0.8 * high < most[-1]


def test_without_a_teacher_no_answers_are_learnt() -> None:
    assert SupernetSettings().distillation == 0 and SupernetSettings().rate == 1
    sandwich = SupernetSettings.model_validate({"rule": "sandwich"})
    assert (sandwich.networks, sandwich.distillation, sandwich.rate) == (3, 0.5, 0.3)
    assert SupernetSettings.model_validate({"target": 1e6}).rate == 0.3
    again = SupernetSettings.model_validate(sandwich.model_dump())
    assert again == sandwich
    with pytest.raises(ValueError, match=r"distillation is 0.5: a growing supernet has no teacher"):
        SupernetSettings(distillation=0.5)
    with pytest.raises(ValueError, match=r"networks is 0: only the smallest network would learn"):
        SupernetSettings(networks=0)
    assert SupernetSettings.model_validate({"rule": "sandwich", "networks": 0}).networks == 0


def test_in_a_sandwich_only_the_largest_learns_at_first(given: Given) -> None:
    training = given.training(settings=SANDWICH)
    before = weights_of(training)
    training.train_epoch()
    first = weights_of(training)
    small = "blocks.block0_layer0.project.norm.weight"
    assert not torch.equal(first[small], before[small])
    largest = max(given.space.clips, key=lambda clip: clip.size)
    for step in (0, 1):
        assert training._drawn(largest, step)[0] == given.space.largest()
    networks = [training._drawn(clip, step) for step in range(8) for clip in given.space.clips]
    assert all(len(drawn) == 3 for drawn in networks)
    assert all(drawn[0].input == drawn[1].input == drawn[2].input for drawn in networks)
    assert len({drawn[1] for drawn in networks}) > 4


@pytest.mark.parametrize("rule", ["growing", "sandwich"])
def test_the_shared_weights_learn(given: Given, rule: str) -> None:
    settings = SupernetSettings.model_validate({"rule": rule, "epochs": 30, "networks": 2, "rate": 1.0})
    training = given.training(settings=settings)
    first = training.train_epoch().loss
    for _ in range(settings.epochs - 1):
        last = training.train_epoch().loss
    assert last < 0.8 * first
    assert training.evaluate(given.space.largest(), "train").top1 > 3 / 16


def test_micro_batches_give_the_gradients_of_the_batch(given: Given) -> None:
    """With the statistics of two clips instead of eight the networks differ, but not in kind."""
    whole, parts = given.training(), given.training(recipe=RECIPE.model_copy(update={"micro_batch": 8}))
    assert whole.train_epoch().loss == parts.train_epoch().loss
    small = given.training(recipe=RECIPE.model_copy(update={"micro_batch": 2}))
    assert small.train_epoch().loss == pytest.approx(2.77, abs=0.5)


def test_statistics_are_the_means_over_the_batches(given: Given) -> None:
    clip = given.space.clips[0]
    data = given.stores[clip]
    network = build(given.space.with_clip(clip).largest(), 16, seed=0)
    indices = np.arange(len(data.split("train")))
    batches = [batch.clips for batch in Batches(data, RECIPE, indices, 0, None).epoch(0)[1]]
    estimate_norms(network, batches)
    assert not network.training
    found = network.stem.norm
    assert isinstance(found, nn.BatchNorm2d)
    outputs = []
    for clips in batches:
        frames = clips.transpose(1, 2).flatten(0, 1)
        padded = nn.functional.pad(frames, (0, 1, 0, 1))
        outputs.append(nn.functional.conv2d(padded, network.stem.weight, stride=2))
    expected = torch.stack([x.mean((0, 2, 3)) for x in outputs]).mean(0)
    torch.testing.assert_close(found.running_mean, expected, rtol=1e-4, atol=1e-5)
    variances = torch.stack([x.var((0, 2, 3)) for x in outputs]).mean(0)
    torch.testing.assert_close(found.running_var, variances, rtol=1e-4, atol=1e-5)
    assert found.momentum == build(given.space.smallest(), 16).stem.norm.momentum  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ema": 0.9}, "recipe.ema is 0.9"),
        ({"stream_frames": 2}, "recipe.stream_frames is 2"),
        ({"batch_norm": "frozen"}, "recipe.batch_norm is 'frozen'"),
        ({"precision": "float16"}, "recipe.precision is 'float16'"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(given: Given, change: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        given.training(recipe=RECIPE.model_copy(update=change))


def test_another_training_in_the_folder_is_refused(given: Given, tmp_path: Path) -> None:
    training = given.training(tmp_path)
    training.train_epoch()
    training.save()
    with pytest.raises(RecordError, match="holds a training with seed 0, not 1"):
        given.training(tmp_path, seed=1)
    with pytest.raises(RecordError, match="holds a training with settings"):
        given.training(tmp_path, settings=SETTINGS.model_copy(update={"networks": 2}))


def test_data_of_every_clip_shape_is_needed(given: Given) -> None:
    some = Given(given.space, dict(list(given.stores.items())[:1]))
    with pytest.raises(MovinasError, match="no data is prepared for clips of 4x16x4"):
        some.training()
