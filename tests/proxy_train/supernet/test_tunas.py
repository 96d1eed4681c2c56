"""The controller learns where rewards are, as published; its training resumes bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from proxy_train.data import moving_digits
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.supernet.controller import Controller
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.tunas import CONTROLLER, TunasTraining, right_answers
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.errors import SettingsError
from search_space.network.heads import Head
from tests.proxy_train.leaving import in_pieces
from tests.proxy_train.two_clip_shapes import prepared, two_clip_shapes

SPACE = two_clip_shapes(granularity="layer")
TARGET = 0.5 * sum(SPACE.macs_range())
SETTINGS = SupernetSettings(epochs=4, target=TARGET, controller_rate=0.1)


def test_one_step_is_reinforce_with_adam() -> None:
    controller = Controller(SPACE, TARGET, -0.1)
    rng = np.random.default_rng(0)
    first, second = controller.sample(rng), controller.sample(rng)
    reward = controller.learn(first, 0.5, 0.1)
    architecture = SPACE.decode(first)
    assert reward == pytest.approx(0.5 - 0.1 * abs(SPACE.macs(architecture) / TARGET - 1))
    # The first reward is its own baseline.
    assert all(np.allclose(row, 1 / len(row)) for row in controller.probabilities)
    later = controller.learn(second, 0.9, 0.1)
    advantage = later - (0.95 * reward + 0.05 * later)
    gradient = advantage * (np.eye(2)[second[0]] - 0.5)
    scale = np.sqrt(0.001 * gradient**2 / (1 - 0.999**2)) + 1e-8
    logits = 0.1 * gradient / scale
    assert np.allclose(controller.probabilities[0], np.exp(logits) / np.exp(logits).sum())


def test_genes_that_a_network_does_not_use_are_left_alone() -> None:
    controller = Controller(SPACE, TARGET, -0.1)
    names = [gene.name for gene in SPACE.genes]
    depth, unused = names.index("stage0.depth"), names.index("stage0.layer1.kernel")
    rng = np.random.default_rng(0)
    for accuracy in rng.random(30):
        genotype = list(controller.sample(rng))
        genotype[depth] = 0
        controller.learn(tuple(genotype), float(accuracy), 0.1)
    assert controller.probabilities[unused].tolist() == [0.5, 0.5]
    assert controller.probabilities[depth][0] != 0.5


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_best_network_at_its_target(seed: int) -> None:
    """Accuracy grows with the cost, and with one kernel: the target has to hold it back."""

    def accuracy(architecture: Architecture) -> float:
        wide = sum(layer.kernel.time == 3 for layer in architecture.layers)
        return 0.3 + 0.1 * math.log(SPACE.macs(architecture) / 1e4) + 0.05 * wide / len(architecture.layers)

    controller, rng = Controller(SPACE, TARGET, -0.5), np.random.default_rng(seed)
    for step in range(1500):
        genotype = controller.sample(rng)
        controller.learn(genotype, accuracy(SPACE.decode(genotype)), 0.01 * 10 ** (step / 1500))
    best = controller.best()
    everything = [(controller.reward(each, accuracy(each)), each) for each in SPACE.enumerate()]
    rewards = sorted((reward for reward, _ in everything), reverse=True)
    assert controller.reward(best, accuracy(best)) >= rewards[len(rewards) // 20], "among the best twentieth"
    assert abs(SPACE.macs(best) / TARGET - 1) < 0.2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[ClipShape, PreparedData]:
    cache, folder = tmp_path_factory.mktemp("prepared"), tmp_path_factory.mktemp("cache") / "digits"
    manifest = moving_digits.write(folder, moving_digits.Preset(train=5, val=1, test=1), seed=0)
    videos = moving_digits.as_dataset(folder, "five", manifest)
    return prepared(videos, SPACE, cache)


def training(data: Mapping[ClipShape, PreparedData], folder: Path | None = None) -> TunasTraining:
    recipe = Recipe(batch_size=8, learning_rate=0.02)
    return TunasTraining(SPACE, data, recipe, SETTINGS, seed=0, folder=folder)


def test_weights_and_policy_resume_bit_for_bit(
    data: Mapping[ClipShape, PreparedData], tmp_path: Path
) -> None:
    whole = training(data)
    losses = [whole.train_epoch().loss for _ in range(SETTINGS.epochs)]
    for epoch in range(SETTINGS.epochs):
        resumed = training(data, tmp_path)
        assert resumed.train_epoch().loss == losses[epoch]
        resumed.save()
        frozen = all(np.allclose(row, 1 / len(row)) for row in resumed.controller.probabilities)
        assert frozen == (epoch == 0), "the policy is frozen in the first quarter"
    ours, theirs = resumed.controller.tensors(), whole.controller.tensors()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    expected = whole.supernet.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.supernet.state_dict().items())
    written = json.loads((tmp_path / CONTROLLER).read_text())
    assert written["architecture"] == whole.controller.best().text
    assert written["genes"] == [gene.name for gene in SPACE.genes]
    assert all(sum(row) == pytest.approx(1) for row in written["policy"])
    assert resumed.evaluate() == whole.evaluate(whole.controller.best())


def test_interrupted_after_every_update_weights_and_policy_go_on_bit_for_bit(
    data: Mapping[ClipShape, PreparedData], tmp_path: Path
) -> None:
    whole = training(data)
    expected = [whole.train_epoch().loss for _ in range(2)]
    resumed, losses, pieces = in_pieces(lambda: training(data, tmp_path), 2)
    assert pieces == 2 * (whole.steps_an_epoch - 1) > 2 and losses == expected
    theirs = {**whole.controller.tensors(), **whole.supernet.state_dict()}
    ours = {**resumed.controller.tensors(), **resumed.supernet.state_dict()}
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_the_controller_sees_clips_that_the_weights_do_not(data: Mapping[ClipShape, PreparedData]) -> None:
    found = training(data)
    for store in data.values():
        ours, held = set(found._clips(store).tolist()), set(found._held(store).tolist())
        assert ours.isdisjoint(held) and ours | held == set(range(len(store.split("train"))))
        assert len(held) > 0


def test_widths_are_the_largest_at_first(data: Mapping[ClipShape, PreparedData]) -> None:
    found, rng = training(data), np.random.default_rng(0)
    smallest = tuple(0 for _ in SPACE.genes)
    wide = found._widened(smallest, 0.0, rng)
    for gene, value in zip(SPACE.genes, wide, strict=True):
        is_width = gene.name.endswith(("width", "expansion"))
        assert value == (gene.choices - 1 if is_width else 0), gene.name
    assert found._widened(smallest, 0.25, rng) == smallest
    drawn = [found._widened(smallest, 0.125, rng) == smallest for _ in range(200)]
    assert 60 < sum(drawn) < 140


def test_several_processes_are_refused(data: Mapping[ClipShape, PreparedData]) -> None:
    with pytest.raises(SettingsError, match="2 processes train a supernet with a controller"):
        TunasTraining(SPACE, data, Recipe(), SETTINGS, seed=0, group=Group(0, 2))


def test_right_answers_are_those_of_top1() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, 3.0], [0.0, 1.0, 2.0, 1.0]])
    single = right_answers(Head.single_label(4), logits, torch.tensor([3, 0]))
    assert single.tolist() == [1, 0]
    pairs = torch.tensor([[0, 1], [1, 1]])
    assert right_answers(Head.verb_noun(2, 2), logits, pairs).tolist() == [1, 0]
    several = torch.tensor([[0.0, 1, 0, 1], [1, 1, 0, 0]])
    assert right_answers(Head.multi_label(4), logits, several).tolist() == [1, 0]
