"""A training step never waits for a GPU: proven on the device without values, where reading one is an error.

Only ``float16`` and the controller of a supernet's search read one number an update, as their methods need.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from proxy_train.clips.augmentation import mixup
from proxy_train.clips.batches import Batch
from proxy_train.clips.targets import BatchLabels
from proxy_train.data import moving_digits
from proxy_train.distributed import Group, share_norms
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe, preset_names
from proxy_train.store.prepared_data import PreparedData
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.training import SupernetTraining
from proxy_train.supernet.tunas import TunasTraining
from proxy_train.training import training as training_module
from proxy_train.training.distillation import Teacher
from proxy_train.training.optimizers import make_optimizer
from proxy_train.training.training import Training
from proxy_train.training.updates import Updater
from proxy_train.training.weight_average import WeightAverage
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import PUBLISHED, published
from search_space.network.heads import Head
from search_space.network.layers import undrawn
from search_space.network.model import MoViNet, build
from search_space.space.space import SearchSpace
from tests.proxy_train.host_reads import HostReads
from tests.proxy_train.two_clip_shapes import prepared, two_clip_shapes

CLASSES = 10
QUICK = ("A0-base", "A2-stream")


@pytest.fixture(autouse=True)
def _without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is neither mixed precision for a device without values, nor AdamW's one kernel for all weights.

    ``test_bfloat16_does_not_wait`` has both, on the CPU.
    """
    real, adamw = torch.autocast, torch.optim.AdamW.__init__
    monkeypatch.setattr(
        torch.optim.AdamW,
        "__init__",
        lambda self, groups, rate, *, betas, fused: (
            adamw(self, groups, rate, betas, foreach=True)
            if groups[0]["params"][0].is_meta
            else adamw(self, groups, rate, betas, fused=fused)
        ),
    )
    monkeypatch.setattr(
        torch, "autocast", lambda kind, *a, **k: nullcontext() if kind == "meta" else real(kind, *a, **k)
    )


def network(architecture: Architecture, head: Head | int = CLASSES, drop: float = 0.2) -> MoViNet:
    """A network whose weights have no values."""
    with undrawn(), torch.device("meta"):
        return build(architecture, head, dropout=drop, stochastic_depth=drop).train()


class FakeTeacher(Teacher):
    """A teacher whose weights have no values."""

    def __init__(self, architecture: Architecture, device: str) -> None:
        self._network = network(architecture).eval().requires_grad_(requires_grad=False)
        self._order = torch.zeros(CLASSES, dtype=torch.long, device=device)
        self.digest = "none"


def update(model: MoViNet, recipe: Recipe, *, mixed: bool = False, teacher: Teacher | None = None) -> None:
    """An update of a network and of its average, from two clips."""
    clip = model.architecture.input
    clips = torch.empty(2, 3, min(4, clip.frames), 32, 32, device="meta")
    own = torch.zeros(2, dtype=torch.long, device="meta")
    labels = BatchLabels(own, own, 0.7) if mixed else BatchLabels(own)
    updater = Updater(model, make_optimizer(model, recipe), recipe, "meta", Group(), teacher)
    average = WeightAverage(model, recipe.ema) if recipe.ema else None
    with HostReads() as reads:
        updater.update(clips, labels, 0.01, 2)
        if average is not None:
            average.follow(model, 3)
    assert reads.places == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PUBLISHED]
)
def test_no_published_network_waits(name: str) -> None:
    model = network(published(name))
    update(model, Recipe(optimizer="rmsprop", clip_norm=1.0, ema=0.99))


@pytest.mark.parametrize("preset", preset_names())
def test_no_published_recipe_waits(preset: str, small_architecture: Architecture) -> None:
    recipe = Recipe.from_yaml(preset).model_copy(update={"micro_batch": 1, "ema": 0.9})
    update(network(small_architecture, drop=recipe.dropout), recipe, mixed=recipe.mixup > 0)


CHANGES: dict[str, dict[str, Any]] = {
    "muon": {"optimizer": "muon", "weight_decay": 1e-4},
    "adamw": {"optimizer": "adamw", "weight_decay": 1e-4},
    "sgd": {"optimizer": "sgd", "weight_decay": 1e-4},
    "layer decay": {"layer_decay": 0.5},
    "streams": {"stream_frames": 2},
    "micro-batches": {"micro_batch": 1},
    "clipping": {"clip_norm": 1.0, "optimizer": "sgd"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_kind_of_update_waits(change: str, small_architecture: Architecture) -> None:
    recipe = Recipe.model_validate({"ema": 0.9} | CHANGES[change])
    update(network(small_architecture), recipe, mixed=True)


def test_distillation_does_not_wait(small_architecture: Architecture) -> None:
    update(network(small_architecture), Recipe(), teacher=FakeTeacher(small_architecture, "meta"))


@pytest.mark.parametrize("head", [Head.multi_label(4), Head.verb_noun(2, 2)], ids=lambda head: head.kind)
def test_no_kind_of_labels_waits(head: Head, small_architecture: Architecture) -> None:
    model = network(small_architecture, head)
    shape = (2, 4) if head.kind == "multi-label" else (2, 2)
    labels = BatchLabels(torch.zeros(shape, dtype=torch.long, device="meta"))
    updater = Updater(model, make_optimizer(model, Recipe()), Recipe(), "meta", Group())
    with HostReads() as reads:
        updater.update(torch.empty(2, 3, 8, 32, 32, device="meta"), labels, 0.01, 2)
    assert reads.places == []


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd"])
def test_bfloat16_does_not_wait(optimizer: str, small_architecture: Architecture) -> None:
    recipe = Recipe.model_validate(
        {"optimizer": optimizer, "precision": "bfloat16", "clip_norm": 1.0, "stream_frames": 4}
    )
    model = build(small_architecture, CLASSES, seed=0, dropout=0.2, stochastic_depth=0.2).train()
    updater = Updater(model, make_optimizer(model, recipe), recipe, "cpu", Group())
    # Muon keeps its count of steps on the CPU on purpose, and fused AdamW beside the weights.
    labels = BatchLabels(torch.tensor([1, 2]))
    with HostReads("cpu") as reads:
        updater.update(torch.rand(2, 3, 8, 32, 32), labels, 0.01, 2)
    assert reads.places == []


def reads_of(train_epoch: Callable[[], object]) -> list[str]:
    """The waits of an epoch of a training."""
    with HostReads() as reads:
        train_epoch()
    # A supernet's layers are made here, without values, before they are on any device.
    return [place for place in reads.places if not place.startswith("layers.py")]


def test_an_epoch_reads_its_loss_once(
    tiny_data: PreparedData,
    small_architecture: Architecture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for batch in (16, 8):
        recipe = Recipe(batch_size=batch, ema=0.9, mixup=0.2, clip_norm=1.0)
        training = Training(
            small_architecture, tiny_data, recipe, horizon=Fidelity(2, 8, 32), seed=0, device="meta"
        )
        assert training.steps_an_epoch == 32 // batch
        found.append(reads_of(training.train_epoch))
    assert found[0] == found[1]
    assert len(found[0]) == 1
    # In a long epoch, it is looked at between.
    monkeypatch.setattr(training_module, "LOOK", 2)
    assert len(reads_of(training.train_epoch)) == 1 + 2


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchSpace, dict[ClipShape, PreparedData]]:
    """A small space of two clip shapes, and its data."""
    space = two_clip_shapes()
    folder = tmp_path_factory.mktemp("digits")
    preset = moving_digits.Preset(train=5, val=1, test=1)
    dataset = moving_digits.as_dataset(folder, "few", moving_digits.write(folder, preset, seed=0))
    return space, prepared(dataset, space, folder / "prepared")


@pytest.mark.parametrize("rule", ["growing", "sandwich"])
def test_a_supernet_reads_its_loss_once_an_epoch(
    given: tuple[SearchSpace, dict[ClipShape, PreparedData]], rule: str
) -> None:
    space, stores = given
    settings = SupernetSettings.model_validate({"rule": rule, "epochs": 2, "alone": 0, "networks": 1})
    found = []
    for batch in (40, 20):
        with undrawn(), torch.device("meta"):
            training = SupernetTraining(
                space, stores, Recipe(batch_size=batch, clip_norm=1.0), settings, seed=0, device="meta"
            )
        found.append(reads_of(training.train_epoch))
    assert found[0] == found[1]
    assert len(found[0]) == 1


def test_a_controller_reads_one_reward_an_update(
    given: tuple[SearchSpace, dict[ClipShape, PreparedData]],
) -> None:
    space, stores = given
    settings = SupernetSettings(epochs=1, target=0.5 * sum(space.macs_range()))
    with undrawn(), torch.device("meta"):
        training = TunasTraining(space, stores, Recipe(batch_size=16), settings, seed=0, device="meta")
    found = reads_of(training.train_epoch)
    # It learns from the second quarter on; the last one is the epoch's loss.
    learning = training.steps_an_epoch - training.steps_an_epoch // 4
    assert len(found) == learning + 1


def test_batches_go_to_a_gpu_from_memory_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[tuple[bool, bool]] = []
    pinned: list[Tensor] = []

    def pin(tensor: Tensor) -> Tensor:
        pinned.append(tensor)
        return tensor

    def to(tensor: Tensor, device: str, *, non_blocking: bool = False) -> Tensor:
        copies.append((any(tensor is each for each in pinned), non_blocking))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "to", to)
    labels = torch.tensor([0, 1])
    Batch(torch.rand(2, 3, 2, 4, 4), BatchLabels(labels, labels.clone(), 0.5), 2).to("cuda")
    assert copies == [(True, True)] * 3


def test_clips_are_blended_without_a_wait() -> None:
    with HostReads() as reads:
        mixup(torch.empty(4, 3, 2, 8, 8, device="meta"), 0.5, np.random.default_rng(0))
    assert reads.places == []


def test_norms_of_several_processes_do_not_wait(
    small_architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(small_architecture)
    with torch.device("meta"):
        share_norms(model)
    monkeypatch.setattr("proxy_train.distributed.all_reduce", lambda value: value.clone())
    update(model, Recipe())


WAITS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda loss: loss.item(),
    "float": float,
    "truth": lambda loss: bool(loss > 1),
    "cpu": lambda loss: loss.detach().cpu(),
    "finite": lambda loss: bool(torch.isfinite(loss)),
    "list": lambda loss: loss.detach().reshape(1).tolist(),
    "norm": lambda loss: torch.nn.utils.clip_grad_norm_([loss], 1.0, error_if_nonfinite=True),
    "choice": lambda loss: loss.reshape(1)[loss.reshape(1) > 0],
    "constant": lambda loss: loss + torch.tensor([1.0], device=loss.device),
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_that_is_put_into_the_step_is_found(
    wait: str, small_architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Updater._loss

    def waiting(self: Updater, *given: Any) -> Tensor:
        loss = plain(self, *given)
        if wait == "norm":
            loss.grad = torch.ones_like(loss)
        WAITS[wait](loss)
        return loss

    monkeypatch.setattr(Updater, "_loss", waiting)
    # Where shapes depend on values, there is no going on.
    with pytest.raises((AssertionError, NotImplementedError), match=r"test_no_waits|nonzero"):
        update(network(small_architecture), Recipe())
