"""Fidelities: width, promotion from one to the next, and trainings that were killed on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from proxy_train.data.dataset import Dataset
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.training.checkpoint import read_checkpoint
from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.training import Training
from proxy_train.training.widths import narrowed, widened
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM
from search_space.architecture.published import published
from search_space.errors import NetworkError, RecordError, SettingsError
from search_space.network.model import MoViNet, build
from search_space.network.weights import save_weights

RECIPE = Recipe(batch_size=8, ema=0.5, dropout=0.1)
FULL = Fidelity(4, 8, 32)


def trained(
    architecture: Architecture,
    data: PreparedData,
    horizon: Fidelity,
    folder: Path,
    epochs: int,
    promoted_from: Path | None = None,
) -> Training:
    training = Training(
        architecture, data, RECIPE, horizon=horizon, seed=0, folder=folder, promoted_from=promoted_from
    )
    while training.epoch < epochs:
        training.train_epoch()
        training.save()
    return training


def lively(model: MoViNet) -> MoViNet:
    """Every weight and statistic away from where it starts, so that nothing is hidden by zeros."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dtype == torch.float32:
                noise = torch.rand(value.shape, generator=generator)
                value.copy_(0.5 + noise if value.ndim < 2 else (noise - 0.5) * 2 / value[0].numel() ** 0.5)
                assert name
    return model.eval()


@pytest.mark.parametrize(("width", "key"), [(1.0, "e4-f8-s32-p100"), (0.5, "e4-f8-s32-p100-w50")])
def test_keys_know_the_width(width: float, key: str) -> None:
    fidelity = Fidelity(4, 8, 32, width=width)
    assert fidelity.key == key and Fidelity.parse(key) == fidelity
    assert Fidelity.parse(Fidelity(4, 8, 32, 1 / 3, 1 / 7).key).key == Fidelity(4, 8, 32, 1 / 3, 1 / 7).key
    with pytest.raises(SettingsError, match=r"width is 1\.5"):
        Fidelity(4, 8, 32, width=1.5)


def test_narrowing_keeps_everything_but_the_channels() -> None:
    whole = published("A0-stream")
    half = narrowed(whole, 0.5)
    assert half.input == whole.input and half.options == whole.options and half.hidden == whole.hidden
    assert [layer.kernel for layer in half.layers] == [layer.kernel for layer in whole.layers]
    assert half.head == 240 and half.layers[5].expansion < whole.layers[5].expansion
    assert narrowed(whole, 1.0) is whole


@pytest.mark.parametrize("options", [BASE, STREAM, replace(BASE, squeeze="2d", convolution="3d_2plus1d")])
def test_widening_keeps_the_function(options: object, small_architecture: Architecture) -> None:
    assert isinstance(options, type(BASE))
    whole = small_architecture.with_options(options)
    wide_stages = tuple(
        replace(s, width=2 * s.width, layers=tuple(replace(x, expansion=3 * x.expansion) for x in s.layers))
        for s in whole.stages
    )
    wide = build(replace(whole, stem=16, head=64, stages=wide_stages), 4, seed=1).eval()
    narrow = lively(build(whole, 4, seed=0))
    clip = torch.rand(2, 3, 8, 32, 32)
    before = wide(clip)
    wide.load_state_dict(widened(narrow.state_dict(), wide))
    assert torch.allclose(wide(clip), narrow(clip), atol=1e-5)
    assert not torch.allclose(before, narrow(clip), atol=1e-2)
    # The new channels are not dead: training reaches the weights that listen to them.
    wide.train()(clip).square().sum().backward()
    for name, weight in wide.named_parameters():
        assert weight.grad is not None and (weight.ndim < 2 or float(weight.grad.abs().max()) > 0), name


def test_promotion_goes_on_from_the_checkpoint(
    small_architecture: Architecture, tiny_data: PreparedData, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    small = prepare(tiny_dataset, frames=4, size=16, fps=4, cache=tmp_path / "cache")
    lower = trained(small_architecture, small, Fidelity(2, 4, 16, 0.5), tmp_path / "low", 2)
    weights = {name: value.clone() for name, value in lower.model.state_dict().items()}
    higher = Training(
        small_architecture,
        tiny_data,
        RECIPE,
        horizon=FULL,
        seed=0,
        folder=tmp_path / "high",
        promoted_from=tmp_path / "low",
    )
    assert higher.epoch == 2 and higher.history == (Fidelity(2, 4, 16, 0.5),)
    assert all(torch.equal(value, weights[name]) for name, value in higher.model.state_dict().items())
    higher.train_epoch()
    higher.save()
    # Killed and started again the same way, it goes on from its own checkpoint.
    again = trained(small_architecture, tiny_data, FULL, tmp_path / "high", 4, tmp_path / "low")
    assert again.epoch == 4
    whole = trained(small_architecture, tiny_data, FULL, tmp_path / "other", 4, tmp_path / "low")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    found = read_checkpoint(tmp_path / "high")
    assert found is not None and found.facts["history"] == ["e2-f4-s16-p50"]
    # Twice promoted, both are remembered.
    longer = replace(FULL, epochs=6)
    third = trained(small_architecture, tiny_data, longer, tmp_path / "third", 5, tmp_path / "high")
    assert [each.key for each in third.history] == ["e2-f4-s16-p50", "e4-f8-s32-p100"]


def test_promotion_to_the_full_width(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    wide = replace(
        small_architecture,
        head=64,
        stages=tuple(
            replace(s, width=16, layers=tuple(replace(x, expansion=48) for x in s.layers))
            for s in small_architecture.stages
        ),
    )
    narrow = trained(wide, tiny_data, Fidelity(1, 8, 32, width=0.5), tmp_path / "low", 1)
    assert narrow.model.architecture != wide and narrow.fidelity.width == 0.5
    full = Training(wide, tiny_data, RECIPE, horizon=FULL, seed=0, promoted_from=tmp_path / "low")
    assert full.model.architecture == wide and full.epoch == 1
    assert full.evaluate().loss == pytest.approx(narrow.evaluate().loss, rel=1e-4)
    full.train_epoch()


def test_promotions_that_make_no_sense_are_refused(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    trained(small_architecture, tiny_data, Fidelity(2, 8, 32), tmp_path / "low", 2)

    def promote(architecture: Architecture, horizon: Fidelity, seed: int = 0, source: str = "low") -> None:
        Training(architecture, tiny_data, RECIPE, horizon=horizon, seed=seed, promoted_from=tmp_path / source)

    with pytest.raises(RecordError, match="no checkpoint to resume from"):
        promote(small_architecture, FULL, source="nowhere")
    with pytest.raises(RecordError, match="seed 0, not 1"):
        promote(small_architecture, FULL, seed=1)
    with pytest.raises(RecordError, match=r"cannot be resumed as one.*more epochs"):
        promote(small_architecture, Fidelity(2, 8, 32))
    with pytest.raises(RecordError, match="no smaller width"):
        promote(small_architecture, replace(FULL, width=0.5))
    with pytest.raises(RecordError, match="cannot be resumed as one"):
        promote(replace(small_architecture, head=64), FULL)


def test_initial_weights_are_what_training_begins_with(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    same, other = (lively(build(small_architecture, classes)) for classes in (16, 7))
    for name, model in (("same", same), ("other", other)):
        (tmp_path / name).mkdir()
        save_weights(model, tmp_path / name / "weights.safetensors")
    start = InitialWeights(tmp_path / "same")
    begun = Training(small_architecture, tiny_data, RECIPE, horizon=FULL, seed=0, initial=start)
    assert torch.equal(begun.model.head.classifier.weight, same.head.classifier.weight)
    file = InitialWeights(tmp_path / "other" / "weights.safetensors")
    fresh = build(small_architecture, 16, seed=0)
    assert not file.load_into(fresh), "a classifier for seven classes is not taken"
    assert torch.equal(fresh.head.hidden.weight, other.head.hidden.weight)
    assert torch.equal(
        fresh.head.classifier.weight, build(small_architecture, 16, seed=0).head.classifier.weight
    )
    assert start.digest != file.digest
    with pytest.raises(NetworkError, match="there are no weights"):
        InitialWeights(tmp_path / "nothing")
    wrong = replace(small_architecture, head=64)
    with pytest.raises(NetworkError, match=r"weights\.safetensors.*shape"):
        start.load_into(build(wrong, 16, seed=0))


_VICTIM = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
data, folder = PreparedData.open(Path(sys.argv[1])), Path(sys.argv[3])
recipe = Recipe.from_yaml(folder / "recipe.yaml")
network, horizon = Architecture.parse(sys.argv[2]), Fidelity(4, 8, 32)
training = Training(network, data, recipe, horizon=horizon, seed=0, folder=folder)
while training.epoch < 4:
    seed, batches = training.batches(training.epoch)
    print(training.epoch, flush=True)
    training.train_epoch()
    training.save()
print("end", flush=True)
"""


def test_killed_in_any_epoch_the_weights_are_those_of_an_uninterrupted_training(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    whole = trained(small_architecture, tiny_data, FULL, tmp_path / "whole", 4)
    folder = tmp_path / "killed"
    folder.mkdir()
    RECIPE.to_yaml(folder / "recipe.yaml")
    arguments = [sys.executable, "-c", _VICTIM, str(tiny_data.path), small_architecture.text, str(folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "2":
                process.send_signal(signal.SIGKILL)  # in the midst of the third epoch
    after = read_checkpoint(folder)
    assert after is not None and after.facts["epoch"] == 2
    again = trained(small_architecture, tiny_data, FULL, folder, 4)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
