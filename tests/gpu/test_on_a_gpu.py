"""What is said of CUDA, on a card: ``make test-gpu``. Skipped, and not part of ``make test``, without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.gpu.equality import FORMS, forms_of, limit, misses
from benchmarks.gpu.given import Given
from benchmarks.gpu.throughput import run_waits
from proxy_train.clips.batches import Batch
from proxy_train.clips.targets import BatchLabels
from proxy_train.data import moving_digits
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.training.out_of_memory import OutOfMemory
from proxy_train.training.training import Training
from proxy_train.training.updates import Diverged
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import STREAM, ClipShape, Kernel, Layer, Stage
from search_space.architecture.published import PUBLISHED, published

pytestmark = pytest.mark.gpu

CASES = [(name, form) for name, each in PUBLISHED.items() for form in FORMS if form in forms_of(each)]
SMALL = Architecture(
    8,
    (Stage(8, 2, (Layer(Kernel(3, 3), 16),)), Stage(16, 2, (Layer(Kernel(3, 3), 24),))),
    32,
    32,
    ClipShape(8, 32, 4),
    STREAM,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A few clips of the embedded digits."""
    folder = tmp_path_factory.mktemp("digits")
    preset = moving_digits.Preset(train=4, val=1, test=1)
    dataset = moving_digits.as_dataset(folder, "few", moving_digits.write(folder, preset, seed=0))
    return prepare(dataset, frames=8, size=32, fps=4, cache=folder / "prepared")


def training(data: PreparedData, folder: Path | None = None, **recipe: object) -> Training:
    given = Recipe.model_validate({"batch_size": 16, "clip_norm": 1.0} | recipe)
    return Training(SMALL, data, given, horizon=Fidelity(4, 8, 32), seed=0, folder=folder, device="cuda")


@pytest.mark.parametrize(("name", "form"), CASES, ids=lambda case: str(case).replace(" ", "-"))
def test_a_card_computes_what_the_cpu_does(name: str, form: str) -> None:
    there, here = misses(published(name).with_input(ClipShape(4, 48, 5)), form, "cuda")
    assert there <= limit(here)


def test_no_update_waits_for_the_card() -> None:
    assert run_waits(Given("cuda", quick=False, seconds=60))["wrong"] == []


def test_batches_are_copied_from_memory_that_stays() -> None:
    batch = Batch(torch.rand(2, 3, 2, 8, 8), BatchLabels(torch.tensor([1, 2]), torch.tensor([0, 1]), 0.5), 2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        there = batch.to("cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(there.clips.cpu(), batch.clips) and torch.equal(
        there.labels.own.cpu(), batch.labels.own
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw", "rmsprop", "sgd"])
def test_every_precision_and_optimizer_learns(optimizer: str, precision: str, data: PreparedData) -> None:
    run = training(data, optimizer=optimizer, precision=precision, ema=0.9, mixup=0.2, learning_rate=0.002)
    losses = [run.train_epoch().loss for _ in range(4)]
    assert losses[-1] < losses[0]
    assert 0 <= run.evaluate().top1 <= 1 and 0 <= run.evaluate(streaming=True).top1 <= 1


def test_a_training_goes_on_from_its_checkpoint(data: PreparedData, tmp_path: Path) -> None:
    whole = training(data)
    losses = [whole.train_epoch().loss for _ in range(4)]
    for epoch in range(4):
        part = training(data, tmp_path)
        assert part.epoch == epoch
        # A card adds in no fixed order.
        assert part.train_epoch().loss == pytest.approx(losses[epoch], rel=1e-2)
        part.save()


def test_a_loss_that_is_no_number_ends_the_training(data: PreparedData) -> None:
    run = training(data, learning_rate=1e30, optimizer="sgd", clip_norm=None)
    with pytest.raises(Diverged):
        for _ in range(4):
            run.train_epoch()


def test_a_batch_that_does_not_fit_is_answered_with_one_that_does(data: PreparedData) -> None:
    run = training(data, batch_size=64)
    used = torch.cuda.memory_allocated() + 60 * 2**20
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(used / torch.cuda.get_device_properties(0).total_memory)
    try:
        with pytest.raises(OutOfMemory, match=r"set recipe.micro_batch to \d+|not even one clip"):
            run.train_epoch()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
