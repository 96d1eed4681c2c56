"""Training goes on bit by bit after any interruption, learns, and says when it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from proxy_train.evaluation.evaluation import evaluate
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.checkpoint import read_checkpoint
from proxy_train.training.training import Training, share_of
from proxy_train.training.updates import Diverged
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError, SettingsError

RECIPES = {
    "adamw": Recipe(batch_size=8, dropout=0.2, stochastic_depth=0.2),
    "rmsprop": Recipe(optimizer="rmsprop", learning_rate=0.05, batch_size=8, clip_norm=1.0),
    "muon": Recipe(optimizer="muon", batch_size=8, dropout=0.2),
    "ema": Recipe(batch_size=8, ema=0.9, dropout=0.1),
}


def training(
    architecture: Architecture,
    data: PreparedData,
    recipe: Recipe,
    folder: Path | None = None,
    *,
    epochs: int = 3,
    seed: int = 0,
) -> Training:
    return Training(architecture, data, recipe, horizon=Fidelity(epochs, 8, 32), seed=seed, folder=folder)


def same_bits(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", RECIPES)
def test_resumed_equals_uninterrupted_bit_by_bit(
    name: str, small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    recipe = RECIPES[name]
    whole = training(small_architecture, tiny_data, recipe)
    reports = [whole.train_epoch() for _ in range(3)]
    for number in range(3):
        torch.manual_seed(number)  # whatever else draws from torch's generator must not matter
        part = training(small_architecture, tiny_data, recipe, tmp_path)
        assert part.epoch == number
        assert part.train_epoch().loss == reports[number].loss
        part.save()
    assert same_bits(part.model, whole.model)
    assert part.evaluate() == whole.evaluate()


def test_training_leaves_torchs_generator_alone(
    small_architecture: Architecture, tiny_data: PreparedData
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    training(small_architecture, tiny_data, RECIPES["adamw"]).train_epoch()
    assert torch.equal(torch.rand(3), expected)


def test_seeds_matter(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    losses = {
        training(small_architecture, tiny_data, RECIPES["adamw"], seed=s).train_epoch().loss for s in (0, 1)
    }
    assert len(losses) == 2


def test_it_learns(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    recipe = Recipe(batch_size=8, learning_rate=0.02, label_smoothing=0, photometric=0, shift=0)
    learner = training(small_architecture, tiny_data, recipe, epochs=20)
    losses = [learner.train_epoch().loss for _ in range(20)]
    assert losses[0] > 2.5 and losses[-1] < 2.0, losses
    # With running statistics and whole clips, it must know what it was trained on.
    assert evaluate(learner.model, tiny_data, "train").top1 > 0.25


def test_average_follows_the_weights(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    averaged = training(small_architecture, tiny_data, Recipe(batch_size=8, ema=0.5))
    live = training(small_architecture, tiny_data, Recipe(batch_size=8))
    averaged.train_epoch(), live.train_epoch()
    assert not same_bits(averaged.model, live.model)
    assert same_bits(averaged._live, live.model), "averaging does not change the training"
    statistics = [name for name, _ in live.model.named_buffers() if name.endswith("running_var")]
    assert statistics
    for name in statistics:
        assert torch.equal(averaged.model.get_buffer(name), live.model.get_buffer(name))


def test_streaming_gives_the_same_metrics(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    learner = training(small_architecture, tiny_data, RECIPES["adamw"])
    learner.train_epoch()
    clip, stream = learner.evaluate("test"), learner.evaluate("test", streaming=True)
    assert stream.top1 == clip.top1 and stream.loss == pytest.approx(clip.loss, abs=1e-4)
    assert clip.count == 16 and clip.top5 >= clip.top1
    in_chunks = evaluate(learner.model, tiny_data, "test", streaming=True, chunk=3, batch_size=5)
    assert in_chunks.loss == pytest.approx(clip.loss, abs=1e-4)


def test_divergence_is_said_at_once(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    learner = training(small_architecture, tiny_data, Recipe(batch_size=8))
    with torch.no_grad():
        learner.model.head.classifier.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="loss is nan after epoch 0"):
        learner.evaluate()
    with pytest.raises(Diverged, match=r"loss is nan in epoch 1.*learning_rate"):
        learner.train_epoch()
    assert learner.epoch == 0


def test_another_trainings_checkpoint_is_refused(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    first = training(small_architecture, tiny_data, RECIPES["adamw"], tmp_path)
    first.train_epoch()
    first.save()
    with pytest.raises(RecordError, match="seed 0, not 1"):
        training(small_architecture, tiny_data, RECIPES["adamw"], tmp_path, seed=1)
    with pytest.raises(RecordError, match="recipe"):
        training(small_architecture, tiny_data, RECIPES["ema"], tmp_path)


def test_damaged_checkpoint_is_named(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    first = training(small_architecture, tiny_data, RECIPES["adamw"], tmp_path)
    first.save()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RecordError, match=r"checkpoint\.safetensors.*delete"):
        training(small_architecture, tiny_data, RECIPES["adamw"], tmp_path)


def test_data_and_horizon_must_fit(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    with pytest.raises(SettingsError, match="prepared for 8 frames of 32 px"):
        Training(small_architecture, tiny_data, Recipe(), horizon=Fidelity(1, 16, 32), seed=0)
    short = training(small_architecture, tiny_data, Recipe(batch_size=8), epochs=1)
    short.train_epoch()
    with pytest.raises(SettingsError, match="ends after 1 epochs"):
        short.train_epoch()


def test_share_takes_every_class(tiny_data: PreparedData) -> None:
    part = tiny_data.split("train")
    half = share_of(part, 0.5)
    assert part.labels[half].tolist() == list(range(16))
    assert len(share_of(part, 1.0)) == len(part)


_WRITER = """
import sys, torch
from pathlib import Path
from proxy_train.training.checkpoint import Checkpoint, write_checkpoint
for number in range(10**6):
    tensors = {str(i): torch.full((200_000,), float(number)) for i in range(4)}
    write_checkpoint(Path(sys.argv[1]), Checkpoint(tensors, {"epoch": number}))
    print(number, flush=True)
"""


def test_a_kill_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.kill()
    found = read_checkpoint(tmp_path)
    assert found is not None and found.facts["epoch"] >= 2
    for tensor in found.tensors.values():
        assert float(tensor.min()) == float(tensor.max()) == found.facts["epoch"]
