"""Several processes of Ray Train, real ones: what they train, what they tell, how they fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from proxy_train.data import moving_digits
from proxy_train.distributed import Group
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import prepare
from proxy_train.training.checkpoint import read_checkpoint
from proxy_train.training.training_run import EpochLine, TrainingRun
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError
from searcher.standalone.group_training import train_in_group

NETWORK = "stream_8x32x4_s8_w8s2-33e16-a_w16s2-33e24-a_h32x32"


@pytest.mark.slow
def test_two_workers_train_what_one_does_go_on_and_say_why_they_fail(tmp_path: Path) -> None:
    manifest = moving_digits.write(tmp_path / "digits", moving_digits.Preset(train=2, val=1, test=1), seed=0)
    dataset = moving_digits.as_dataset(tmp_path / "digits", "few", manifest)
    data = prepare(dataset, frames=8, size=32, fps=4, cache=tmp_path / "cache")
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, batch_size=8)
    run = TrainingRun(
        Architecture.parse(NETWORK), data.path, recipe, Fidelity(3, 8, 32), 0, tmp_path / "group"
    )
    # One process by the same scheme of clips, for the first epoch of three.
    alone = replace(run, folder=tmp_path / "alone")
    alone.finish(alone.begin(group=Group(0, 1)))
    first = run.begin(group=Group(0, 1))
    first.train_epoch()
    first.save()
    told: list[EpochLine] = []
    train_in_group(run, 2, on_epoch=told.append)
    assert [line.epoch for line in told] == [2, 3], "it went on from the first epoch"
    one, two = read_checkpoint(alone.folder), read_checkpoint(run.folder)
    assert one is not None and two is not None
    for name, value in one.tensors.items():
        if name.startswith("model.") and not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(two.tensors[name], value, rtol=2e-3, atol=1e-4, msg=name)
    with pytest.raises(RecordError, match="seed 0, not 1"):
        train_in_group(replace(run, seed=1), 2)
