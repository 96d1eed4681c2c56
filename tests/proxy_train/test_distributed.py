"""Several processes train what one would: real ones, which talk over gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn

from proxy_train.clips.batches import Batches, Prefetcher
from proxy_train.distributed import Group, SharedNorm, share_norms
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.checkpoint import read_checkpoint
from search_space.architecture.architecture import Architecture
from search_space.errors import SettingsError
from search_space.network.model import build

_WORKER = """
import os, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from torch import distributed
from proxy_train.distributed import Group
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
folder, rank, size = Path(sys.argv[3]), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
group = Group.current()
data, network = PreparedData.open(Path(sys.argv[1])), Architecture.parse(sys.argv[2])
recipe = Recipe.from_yaml(folder / "recipe.yaml")
training = Training(network, data, recipe, horizon=Fidelity(2, 8, 32), seed=0, folder=folder, group=group)
while training.epoch < 2:
    report = training.train_epoch()
    training.save()
print(report.loss, flush=True)
"""
RECIPE = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "batch_size": 8,
    "mixup": 0.0,
}


def train(size: int, data: PreparedData, architecture: Architecture, folder: Path) -> list[float]:
    """The last epoch's loss as each of ``size`` processes has it."""
    folder.mkdir()
    Recipe.model_validate(RECIPE).to_yaml(folder / "recipe.yaml")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(data.path), architecture.text, str(folder)],
            env=os.environ | {"RANK": str(rank), "WORLD_SIZE": str(size)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    losses = []
    for process in processes:
        out, error = process.communicate(timeout=500)
        assert process.returncode == 0, error[-2000:]
        losses.append(float(out))
    return losses


@pytest.mark.slow
def test_two_processes_train_what_one_does(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    alone = train(1, tiny_data, small_architecture, tmp_path / "one")
    both = train(2, tiny_data, small_architecture, tmp_path / "two")
    assert both[0] == both[1] == pytest.approx(alone[0], rel=1e-4)
    one, two = read_checkpoint(tmp_path / "one"), read_checkpoint(tmp_path / "two")
    assert one is not None and two is not None and one.tensors.keys() == two.tensors.keys()
    start = build(small_architecture, 16, seed=0).state_dict()
    for name, value in one.tensors.items():
        if name.endswith("num_batches_tracked"):
            continue  # which nothing reads
        torch.testing.assert_close(two.tensors[name], value, rtol=1e-3, atol=1e-5, msg=name)
    moved = {name for name, value in start.items() if not torch.equal(value, one.tensors[f"model.{name}"])}
    assert {"stem.weight", "stem.norm.running_var", "head.classifier.weight"} <= moved


def test_parts_are_a_batch() -> None:
    batch = np.arange(10)
    parts = [batch[Group(rank, 2).part(batch)] for rank in range(2)]
    assert sorted(np.concatenate(parts).tolist()) == batch.tolist() and len(parts[0]) == len(parts[1])


def test_clips_do_not_depend_on_the_number_of_processes(tiny_data: PreparedData) -> None:
    recipe, indices = Recipe(batch_size=8), np.arange(32)

    def first(group: Group | None) -> torch.Tensor:
        return next(Batches(tiny_data, recipe, indices, 0, group).epoch(0)[1]).clips

    whole = first(Group(0, 1))
    for rank in range(4):
        assert torch.equal(first(Group(rank, 4)), whole[rank::4])
    with pytest.raises(SettingsError, match="8 clips a batch for 9 processes"):
        first(Group(0, 9))


def test_shared_norms_of_one_process_are_batch_norms(
    small_architecture: Architecture, tmp_path: Path
) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        plain, shared = (build(small_architecture, 4, seed=0).train() for _ in range(2))
        share_norms(shared)
        assert plain.state_dict().keys() == shared.state_dict().keys()
        assert not [m for m in shared.modules() if type(m) is nn.BatchNorm2d]
        assert len([m for m in shared.modules() if isinstance(m, SharedNorm)]) > 5
        clip = torch.rand(3, 3, 8, 32, 32)
        for model in (plain, shared):
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if name.endswith("scale"):
                        weight.fill_(0.7)
            model(clip).square().sum().backward()
        for (name, one), two in zip(plain.named_parameters(), shared.parameters(), strict=True):
            assert one.grad is not None and two.grad is not None
            torch.testing.assert_close(two.grad, one.grad, rtol=1e-3, atol=1e-5, msg=name)
        for name, value in plain.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue  # which nothing reads
            torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)
        torch.testing.assert_close(shared.eval()(clip), plain.eval()(clip), rtol=1e-4, atol=1e-5)
    finally:
        distributed.destroy_process_group()


def test_what_is_made_ahead_comes_in_order_and_so_do_errors() -> None:
    with Prefetcher(iter(range(100))) as items:
        assert list(items) == list(range(100))

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    seen = []
    with pytest.raises(ValueError, match="broken"), Prefetcher(failing()) as items:
        for item in items:
            seen.append(item)
    assert seen == [1]
    with Prefetcher(iter(range(10**9))) as items:
        assert next(iter(items)) == 0  # left early, the thread ends
