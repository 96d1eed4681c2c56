"""Trainings that are asked to leave in the middle of an epoch go on with the next update, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from proxy_train.distributed import Group
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.epoch_progress import PARTIAL, Departure
from search_space.architecture.architecture import Architecture
from search_space.termination import LeftEarly, ask_to_leave
from tests.proxy_train.leaving import in_pieces, staying_afterwards
from tests.proxy_train.training.test_training import RECIPES, same_bits, training


@pytest.mark.parametrize("name", RECIPES)
def test_interrupted_after_every_update_it_ends_with_the_same_bits(
    name: str, small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    whole = training(small_architecture, tiny_data, RECIPES[name], epochs=2)
    expected = [whole.train_epoch().loss for _ in range(2)]

    def begin() -> Any:
        torch.manual_seed(len(list(tmp_path.iterdir())))  # whatever else draws must not matter
        return training(small_architecture, tiny_data, RECIPES[name], tmp_path, epochs=2)

    part, losses, pieces = in_pieces(begin, 2)
    assert pieces == 2 * (whole.steps_an_epoch - 1) > 4
    assert losses == expected and same_bits(part.model, whole.model)
    assert part.epoch == 2 and not (tmp_path / PARTIAL).exists()


def test_what_an_interruption_left_counts_for_its_own_epoch_and_training_only(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    recipe = RECIPES["adamw"]
    first = training(small_architecture, tiny_data, recipe, tmp_path)
    with staying_afterwards(), pytest.raises(LeftEarly, match="after update 1 of epoch 1"):
        first.train_epoch(lambda number, of: ask_to_leave())
    stale = (tmp_path / PARTIAL).read_bytes()
    assert training(small_architecture, tiny_data, recipe, tmp_path)._progress.updates == 1
    assert training(small_architecture, tiny_data, recipe, tmp_path, seed=1)._progress.updates == 0
    going_on = training(small_architecture, tiny_data, recipe, tmp_path)
    going_on.train_epoch()
    going_on.save()
    (tmp_path / PARTIAL).write_bytes(stale)
    assert training(small_architecture, tiny_data, recipe, tmp_path)._progress.updates == 0


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_one_of_several_processes_is_asked_and_all_learn_of_it_an_update_later(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [0.0, 0.0, 1.0, 0.0, 0.0]

    def add_other(own: torch.Tensor) -> None:
        own += others.pop(0)

    monkeypatch.setattr("torch.distributed.all_reduce", add_other)
    departure = Departure(device, Group(rank=0, size=2))
    waiting = torch.cuda.get_sync_debug_mode() if device == "cuda" else 0
    try:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        assert [departure.is_due() for _ in range(5)] == [False, False, False, True, False]
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode(waiting)


def test_an_evaluation_ends_and_is_done_again(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    learner = training(small_architecture, tiny_data, RECIPES["adamw"], tmp_path)
    learner.train_epoch()
    learner.save()
    expected = learner.evaluate()
    with staying_afterwards(), pytest.raises(LeftEarly, match="during an evaluation"):
        ask_to_leave()
        learner.evaluate()
    assert training(small_architecture, tiny_data, RECIPES["adamw"], tmp_path).evaluate() == expected
