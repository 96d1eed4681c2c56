"""Training steps on a CUDA device that is not there: every tensor is where it has to be, in every precision.

PyTorch's fake tensors have a device and no values. They need a build of PyTorch that knows CUDA, and no GPU:
``pip install torch`` in place of the CPU build. The backward pass runs in a thread of the GPU, which nobody
can pretend: gradients are put in its place, and ``test_no_waits.py`` has the pass itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from proxy_train.clips.targets import BatchLabels
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe, preset_names
from proxy_train.training.distillation import Teacher
from proxy_train.training.optimizers import make_optimizer
from proxy_train.training.updates import Updater
from proxy_train.training.weight_average import WeightAverage
from search_space.architecture.published import PUBLISHED, published
from search_space.network.layers import undrawn
from search_space.network.model import MoViNet, build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.version.cuda is None, reason="this is a build of PyTorch without CUDA"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: make test-gpu"),
]
CLASSES = 10


@contextmanager
def pretended() -> Iterator[None]:
    """A CUDA device of fake tensors, whose backward pass gives every weight a gradient."""
    with (
        FakeTensorMode(),
        mock.patch("torch.cuda.amp.common.amp_definitely_not_available", return_value=False),
        mock.patch("torch.cuda.is_bf16_supported", return_value=True),
        # Muon counts its steps on the CPU, where a number is read without a wait.
        mock.patch("proxy_train.training.optimizers.Muon._count", return_value=1),
    ):
        yield


@contextmanager
def gradients(model: MoViNet) -> Iterator[None]:
    """Gradients in place of a backward pass."""

    def backward(loss: Tensor) -> None:
        assert loss.device.type == "cuda" and loss.requires_grad
        for weight in model.parameters():
            weight.grad = torch.empty_like(weight) if weight.requires_grad else None

    with mock.patch.object(Tensor, "backward", backward):
        yield


def network(name: str) -> MoViNet:
    """A published network on the device."""
    with undrawn(), torch.device("cuda"):
        return build(published(name), CLASSES, dropout=0.2, stochastic_depth=0.2).train()


class FakeTeacher(Teacher):
    """A teacher on the device."""

    def __init__(self, name: str) -> None:
        self._network = network(name).eval().requires_grad_(requires_grad=False)
        self._order = torch.zeros(CLASSES, dtype=torch.long, device="cuda")
        self.digest = "none"


def update(name: str, recipe: Recipe, *, taught: bool = False) -> tuple[Tensor, set[torch.dtype]]:
    """An update; its loss, and the types of the logits."""
    model, kinds = network(name), set[torch.dtype]()
    model.register_forward_hook(lambda _model, _inputs, logits: kinds.add(logits.dtype))
    updater = Updater(
        model, make_optimizer(model, recipe), recipe, "cuda", Group(), FakeTeacher(name) if taught else None
    )
    own = torch.zeros(2, dtype=torch.long, device="cuda")
    labels = BatchLabels(own, own, 0.7)
    with mock.patch("copy.deepcopy", lambda _: network(name)):
        # A copy of a tensor without values would have some.
        average = WeightAverage(model, recipe.ema) if recipe.ema else None
    with gradients(model):
        loss = updater.update(torch.empty(2, 3, 4, 32, 32, device="cuda"), labels, 0.01, 2)
    if average is not None:
        average.follow(model, 3)
    assert loss.device.type == "cuda"
    return loss, kinds


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_network_stays_on_the_device(name: str, precision: str) -> None:
    recipe = Recipe.model_validate({"precision": precision, "optimizer": "rmsprop", "clip_norm": 1.0})
    with pretended(), warnings.catch_warnings():
        # That autocast is not available would be a warning only.
        warnings.simplefilter("error", UserWarning)
        _, kinds = update(name, recipe)
    assert kinds == {getattr(torch, precision)}


@pytest.mark.parametrize("preset", preset_names())
def test_every_recipe_stays_on_the_device(preset: str) -> None:
    changes = {"precision": "bfloat16", "micro_batch": 1, "ema": 0.9}
    with pretended():
        update("A0-stream", Recipe.from_yaml(preset).model_copy(update=changes), taught=True)


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_stays_on_the_device(optimizer: str) -> None:
    given = {"optimizer": optimizer, "weight_decay": 1e-4, "clip_norm": 1.0, "stream_frames": 2}
    with pretended():
        update("A0-stream", Recipe.model_validate(given))


def test_a_loss_has_no_value_here() -> None:
    with pretended():
        loss, _ = update("A0-base", Recipe())
        with pytest.raises(DataDependentOutputException):
            loss.item()
