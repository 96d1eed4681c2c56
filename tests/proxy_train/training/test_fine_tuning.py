"""Fine-tuning: rates by layer, a frozen trunk, an early stop, and recipes that do without."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.checkpoint import read_checkpoint
from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.optimizers import make_optimizer, set_rate
from proxy_train.training.training import Training
from proxy_train.training.training_run import TrainingRun, read_training_log
from search_space.architecture.architecture import Architecture
from search_space.errors import NetworkError, SettingsError
from search_space.files import write_json
from search_space.network.model import build
from search_space.network.weights import save_weights


@pytest.fixture
def weights(small_architecture: Architecture, tmp_path: Path) -> InitialWeights:
    path = tmp_path / "trained.safetensors"
    save_weights(build(small_architecture, 5, seed=9), path)
    return InitialWeights(path)


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd", "rmsprop"])
def test_rates_fall_from_layer_to_layer(name: str, small_architecture: Architecture) -> None:
    model = build(small_architecture, 4, seed=0)
    settings = {"optimizer": name, "layer_decay": 0.5, "scale_rate": 3, "matrix_rate": 1, "weight_decay": 0.1}
    optimizer = make_optimizer(model, Recipe.model_validate(settings))
    set_rate(optimizer, 1.0)
    names = {id(weight): key for key, weight in model.named_parameters()}
    rates = {names[id(w)]: group["lr"] for group in optimizer.param_groups for w in group["params"]}
    assert set(rates) == set(names.values()), "every weight is trained"
    assert rates["head.classifier.weight"] == rates["head.classifier.bias"] == 1
    assert rates["head.hidden.weight"] == rates["head.project.norm.bias"] == 0.5
    assert rates["blocks.block1_layer1.expand.weight"] == 0.25
    assert rates["blocks.block1_layer0.project.scale"] == 3 * 0.125
    assert rates["blocks.block0_layer0.spatial.weight"] == 0.0625
    assert rates["stem.weight"] == rates["stem.norm.weight"] == 0.03125


def changed(before: dict[str, Tensor], training: Training) -> set[str]:
    """Return the names of tensors that a training has changed since ``before``."""
    return {n for n, value in training.model.state_dict().items() if not torch.equal(value, before[n])}


def copied(training: Training) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in training.model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd", "rmsprop"])
def test_a_frozen_trunk_stays_bit_for_bit_and_is_then_released(
    optimizer: str, small_architecture: Architecture, tiny_data: PreparedData, weights: InitialWeights
) -> None:
    recipe = Recipe.model_validate(
        {"optimizer": optimizer, "batch_size": 8, "frozen_trunk_epochs": 1, "weight_decay": 0.1}
    )
    training = Training(
        small_architecture, tiny_data, recipe, horizon=Fidelity(2, 8, 32), seed=0, initial=weights
    )
    before = copied(training)
    training.train_epoch()
    assert changed(before, training) == {"head.classifier.weight", "head.classifier.bias"}
    before = copied(training)
    training.train_epoch()
    after = changed(before, training)
    assert {"stem.weight", "head.hidden.weight", "blocks.block1_layer0.squeeze.reduce.weight"} <= after
    assert "stem.norm.running_mean" in after


def test_frozen_batch_norm_keeps_its_statistics_after_the_trunk_is_released(
    small_architecture: Architecture, tiny_data: PreparedData, weights: InitialWeights
) -> None:
    recipe = Recipe(batch_size=8, frozen_trunk_epochs=1, batch_norm="frozen")
    training = Training(
        small_architecture, tiny_data, recipe, horizon=Fidelity(2, 8, 32), seed=0, initial=weights
    )
    before = copied(training)
    training.train_epoch()
    training.train_epoch()
    after = changed(before, training)
    assert "stem.norm.weight" in after and not {name for name in after if "running" in name}


def test_a_trunk_without_trained_weights_is_not_frozen(
    small_architecture: Architecture, tiny_data: PreparedData
) -> None:
    with pytest.raises(SettingsError, match=r"frozen_trunk_epochs is 2 for trainings from scratch"):
        Training(
            small_architecture,
            tiny_data,
            Recipe(frozen_trunk_epochs=2),
            horizon=Fidelity(2, 8, 32),
            seed=0,
        )


@pytest.fixture
def hopeless(small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path) -> TrainingRun:
    """A training whose score never rises, since its weights do not move."""
    recipe = Recipe(optimizer="sgd", learning_rate=1e-30, batch_size=32, batch_norm="frozen", patience=2)
    return TrainingRun(small_architecture, tiny_data.path, recipe, Fidelity(9, 8, 32), 0, tmp_path / "run")


def test_a_training_stops_when_its_score_does_not_rise(hopeless: TrainingRun) -> None:
    training = hopeless.begin()
    assert not hopeless.has_ended(0)
    hopeless.finish(training)
    assert training.epoch == 3 and hopeless.has_ended(3), "one score, and two that are no better"
    best = hopeless.best
    assert best is not None and best.facts["epoch"] == 1
    again = hopeless.begin()
    hopeless.finish(again)
    assert again.epoch == 3, "a training that has stopped stays so"
    assert [line.epoch for line in read_training_log(hopeless.folder)] == [1, 2, 3]


def test_epochs_with_a_frozen_trunk_are_no_reason_to_stop(
    hopeless: TrainingRun, weights: InitialWeights
) -> None:
    recipe = hopeless.recipe.model_copy(update={"frozen_trunk_epochs": 3})
    run = replace(hopeless, recipe=recipe, initial=weights.path)
    training = run.begin()
    run.finish(training)
    assert training.epoch == 5


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interrupted_training_stops_where_it_would_have(
    epoch: int, hopeless: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    training = hopeless.begin()
    save = training.save

    def killed() -> None:
        """Die after the epoch is logged and before its checkpoint is written."""
        if training.epoch == epoch:
            raise Killed
        save()

    monkeypatch.setattr(training, "save", killed)
    with pytest.raises(Killed):
        hopeless.finish(training)
    again = hopeless.begin()
    assert again.epoch == epoch - 1 and not hopeless.has_ended(again.epoch)
    hopeless.finish(again)
    assert again.epoch == 3
    assert [line.epoch for line in read_training_log(hopeless.folder)] == [1, 2, 3]
    best = read_checkpoint(hopeless.folder, "best.safetensors")
    assert best is not None and best.facts["epoch"] == 1


def test_weights_in_a_folder_of_another_network_are_named(
    small_architecture: Architecture, tmp_path: Path
) -> None:
    other = replace(small_architecture, head=64)
    save_weights(build(other, 5), tmp_path / "weights.safetensors")
    write_json(tmp_path / "architecture.json", other.to_json())
    with pytest.raises(NetworkError, match=r"holds the weights of .*_h64x32, not of .*architecture\.json"):
        InitialWeights(tmp_path).load_into(build(small_architecture, 5))
    larger = other.with_input(replace(other.input, size=48))
    assert InitialWeights(tmp_path).load_into(build(larger, 5)), "the clip is no part of the weights"


def test_recipes_of_older_versions_are_the_same_trainings() -> None:
    later = {"layer_decay", "frozen_trunk_epochs", "patience", "distillation", "temperature"}
    assert not later & set(Recipe().identity())
    everything = Recipe().model_dump(mode="json")
    assert Recipe().identity() == {k: value for k, value in everything.items() if k not in later}
    assert Recipe(patience=3).identity()["patience"] == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layer_decay", 0.0),
        ("layer_decay", 1.1),
        ("frozen_trunk_epochs", -1),
        ("patience", 0),
        ("distillation", 1.5),
        ("temperature", 0.0),
    ],
)
def test_impossible_values_name_their_key(key: str, value: float, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"{key}: {value}\n")
    with pytest.raises(SettingsError, match=rf"recipe\.yaml: {key}"):
        Recipe.from_yaml(tmp_path / "recipe.yaml")


_WORKER = """
import sys
from torch import distributed
from proxy_train.distributed import Group
from proxy_train.training.training_run import TrainingRun
meeting, rank, *runs = sys.argv[1:]
distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=2)
for text in runs:
    run = TrainingRun.from_json(text)
    training = run.begin(group=Group.current())
    run.finish(training)
    print(training.epoch, flush=True)
"""


@pytest.mark.slow
def test_processes_freeze_and_stop_together(
    hopeless: TrainingRun, weights: InitialWeights, tmp_path: Path
) -> None:
    recipe = Recipe(
        optimizer="sgd", learning_rate=0.1, weight_decay=0.1, batch_size=16, frozen_trunk_epochs=1
    )
    frozen = replace(
        hopeless,
        recipe=recipe,
        horizon=Fidelity(1, 8, 32),
        folder=tmp_path / "frozen",
        initial=weights.path,
    )
    texts = [run.to_json() for run in (hopeless, frozen)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(tmp_path / "meeting"), str(rank), *texts],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    assert [process.communicate(timeout=300)[0].split() for process in processes] == [["3", "1"]] * 2
    written, begun = read_checkpoint(frozen.folder), load_file(weights.path)
    assert written is not None
    moved = {
        name
        for name, value in begun.items()
        if not torch.equal(written.tensors[f"model.{name}"], value) and "classifier" not in name
    }
    assert moved == set(), "neither momentum nor weight decay moves a frozen weight"
