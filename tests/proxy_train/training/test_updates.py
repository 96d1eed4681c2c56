"""One update, in parts and as a stream, against the same computed plainly; and what is refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_train.clips.augmentation import mixup
from proxy_train.clips.targets import BatchLabels
from proxy_train.distributed import Group
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe, preset_names
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.optimizers import TensorFlowRMSprop, clip_each_gradient, make_optimizer
from proxy_train.training.out_of_memory import OutOfMemory, is_out_of_memory
from proxy_train.training.schedule import rate_at
from proxy_train.training.training import Training
from proxy_train.training.updates import Diverged, Updater
from proxy_train.training.weight_average import WeightAverage
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE
from search_space.errors import SettingsError
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build

CLIPS = torch.rand(6, 3, 8, 32, 32, generator=torch.Generator().manual_seed(3))
LABELS = torch.tensor([0, 1, 2, 3, 1, 0])


def network(architecture: Architecture, *, head: Head | int = 4, frozen: bool = True) -> MoViNet:
    model = build(architecture, head, seed=1).train()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("scale"):
                weight.fill_(0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and frozen:
            module.eval()
    return model


def updated(model: MoViNet, labels: BatchLabels, **changes: Any) -> tuple[dict[str, Tensor], Tensor]:
    """The weights after one update by SGD, which shows every gradient, and the loss."""
    given = {"optimizer": "sgd", "momentum": 0, "scale_rate": 1, "label_smoothing": 0.1} | changes
    recipe = Recipe.model_validate(given)
    updater = Updater(model, make_optimizer(model, recipe), recipe, "cpu", Group())
    loss = updater.update(CLIPS, labels, 0.5, len(CLIPS))
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}, loss


def close(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.allclose(one[name], two[name], rtol=1e-4, atol=1e-6) for name in one)


@pytest.mark.parametrize("size", [1, 2, 4, 6, 99])
def test_micro_batches_add_up_to_the_batch(size: int, small_architecture: Architecture) -> None:
    whole, loss = updated(network(small_architecture), BatchLabels(LABELS))
    parts, in_parts = updated(network(small_architecture), BatchLabels(LABELS), micro_batch=size)
    assert close(whole, parts) and torch.allclose(loss, in_parts)
    assert not close(whole, {name: w.detach() for name, w in network(small_architecture).named_parameters()})


def test_micro_batches_of_several_labels_add_up(small_architecture: Architecture) -> None:
    hot = torch.eye(4)[LABELS] + torch.eye(4)[3]
    hot = hot.clamp(max=1)
    results = [
        updated(network(small_architecture, head=Head.multi_label(4)), BatchLabels(hot), micro_batch=size)
        for size in (None, 4)
    ]
    assert close(results[0][0], results[1][0])


def test_a_stream_of_one_part_is_the_clip(small_architecture: Architecture) -> None:
    whole, loss = updated(network(small_architecture, frozen=False), BatchLabels(LABELS))
    stream, streamed = updated(
        network(small_architecture, frozen=False), BatchLabels(LABELS), stream_frames=8
    )
    assert close(whole, stream) and torch.allclose(loss, streamed)


def test_a_stream_carries_its_state_but_no_gradient(small_architecture: Architecture) -> None:
    model, twin = network(small_architecture), network(small_architecture)
    found, loss = updated(model, BatchLabels(LABELS), stream_frames=3, label_smoothing=0)
    # By hand: the clip's first frames only give the state of the later parts.
    losses = []
    state = twin.initial_state(6, 32)
    for part in torch.split(CLIPS, [3, 3, 2], dim=2):
        logits, after = twin.step(part, state)
        losses.append(F.cross_entropy(logits, LABELS) / 3)
        state = {name: value.detach() for name, value in after.items()}
    total = torch.stack(losses).sum()
    total.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for weight in twin.parameters():
            assert weight.grad is not None
            weight.sub_(weight.grad, alpha=0.5)
    assert torch.allclose(loss, total)
    assert close(found, {name: weight.detach() for name, weight in twin.named_parameters()})
    # Neither is it what training on whole clips, or on parts that know nothing of each other, gives.
    whole, _ = updated(network(small_architecture), BatchLabels(LABELS), label_smoothing=0)
    assert not close(found, whole)


def test_streams_need_a_causal_network(small_architecture: Architecture) -> None:
    base = small_architecture.with_options(BASE)
    with pytest.raises(SettingsError, match=r"stream_frames is 4.*base form"):
        updated(network(base), BatchLabels(LABELS), stream_frames=4)


def test_float16_needs_a_gpu(small_architecture: Architecture) -> None:
    with pytest.raises(SettingsError, match="float16 on a CPU"):
        updated(network(small_architecture), BatchLabels(LABELS), precision="float16")


def test_bfloat16_trains_streams_too(small_architecture: Architecture) -> None:
    exact, loss = updated(network(small_architecture), BatchLabels(LABELS), stream_frames=4)
    rough, about = updated(
        network(small_architecture), BatchLabels(LABELS), stream_frames=4, precision="bfloat16"
    )
    assert float(about) == pytest.approx(float(loss), rel=0.02) and not close(exact, rough)
    assert all(weight.dtype == torch.float32 for weight in rough.values())


@pytest.mark.parametrize("kind", ["single", "multi", "pair"])
def test_mixup_blends_the_loss_as_it_blends_labels(kind: str) -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    mixed = mixup(CLIPS, 0.4, np.random.default_rng(0))
    if kind == "single":
        head, own = Head.single_label(5), LABELS
        soft = F.one_hot(LABELS, 5).float()
    elif kind == "multi":
        head, own = Head.multi_label(5), (torch.arange(30).view(6, 5) % 3 == 0).float()
        soft = own
    else:
        head, own = Head.verb_noun(2, 3), torch.stack([LABELS % 2, LABELS % 3], 1)
        soft = torch.cat([F.one_hot(own[:, 0], 2), F.one_hot(own[:, 1], 3)], 1).float()
    blended = torch.lerp(soft[mixed.partners], soft, mixed.weight)
    found = BatchLabels(own, own[mixed.partners], mixed.weight).loss(head, logits, 0.0)
    if kind == "multi":
        expected = F.binary_cross_entropy_with_logits(logits, blended)
    else:
        groups = zip(head.split(logits), head.split(blended), strict=True)
        expected = torch.stack([F.cross_entropy(part, target) for part, target in groups]).sum()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_training_with_mixup_is_the_same_every_time(
    small_architecture: Architecture, tiny_data: PreparedData
) -> None:
    losses = []
    for strength in (0.0, 0.3, 0.3):
        recipe = Recipe(batch_size=8, mixup=strength)
        training = Training(small_architecture, tiny_data, recipe, horizon=Fidelity(2, 8, 32), seed=0)
        losses.append([training.train_epoch().loss for _ in range(2)])
    assert losses[1] == losses[2] != losses[0]


def test_frozen_batch_norm_keeps_its_statistics(
    small_architecture: Architecture, tiny_data: PreparedData
) -> None:
    for mode, stays in (("frozen", True), ("batch", False)):
        recipe = Recipe.model_validate({"batch_size": 8, "batch_norm": mode})
        training = Training(small_architecture, tiny_data, recipe, horizon=Fidelity(1, 8, 32), seed=0)
        before = training.model.stem.norm
        assert before is not None and before.running_mean is not None
        was = before.running_mean.clone()
        training.train_epoch()
        assert torch.equal(before.running_mean, was) == stays


def test_every_running_statistic_follows_at_the_recipes_rate(
    small_architecture: Architecture, tiny_data: PreparedData
) -> None:
    found = []
    for momentum in (0.1, 0.2):
        recipe = Recipe.model_validate({"batch_size": 32, "batch_norm_momentum": momentum})
        training = Training(small_architecture, tiny_data, recipe, horizon=Fidelity(1, 8, 32), seed=0)
        training.train_epoch()
        found.append({name: value.clone() for name, value in training.model.named_buffers()})
    # One update: the statistics are momentum times those of the batch, the same both times.
    means = [name for name in found[0] if name.endswith("running_mean")]
    assert len(means) > 8
    for name in means:
        torch.testing.assert_close(found[1][name], 2 * found[0][name], msg=name)


def test_rmsprop_clips_after_weight_decay() -> None:
    # Keras clips the gradient of the regularised loss: here (0.9 + 0.3 * 2) cut to 1.
    weight, twin = nn.Parameter(torch.full((1,), 2.0)), nn.Parameter(torch.full((1,), 2.0))
    weight.grad, twin.grad = torch.tensor([0.9]), torch.tensor([1.0])
    TensorFlowRMSprop([weight], lr=1.0, weight_decay=0.3, clip_norm=1.0).step()
    TensorFlowRMSprop([twin], lr=1.0).step()
    assert weight.item() == pytest.approx(twin.item())


def test_recipes_clip_each_variable_once(small_architecture: Architecture) -> None:
    start = {name: w.detach().clone() for name, w in network(small_architecture).named_parameters()}
    after, _ = updated(network(small_architecture), BatchLabels(LABELS), clip_norm=1e-3)
    for name, weight in after.items():
        assert float((weight - start[name]).norm()) <= 0.5 * 1e-3 * 1.001, name
    free = network(small_architecture)
    F.cross_entropy(free(CLIPS), LABELS, label_smoothing=0.1).backward()  # type: ignore[no-untyped-call]
    clip_each_gradient(free.parameters(), 1e-3)
    assert all(
        torch.allclose(start[name] - 0.5 * weight.grad, after[name], atol=1e-7)
        for name, weight in free.named_parameters()
        if weight.grad is not None
    )


def test_average_by_hand() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    average = WeightAverage(layer, 0.5)
    expected = 1.0
    for updates in range(12):
        nn.init.constant_(layer.weight, float(updates))
        average.follow(layer, updates)
        decay = min(0.5, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * updates
    assert average.model.weight.item() == pytest.approx(expected)
    assert layer.weight.item() == 11


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.0), (1072, 0.898193), (2144, 1.796387), (2145, 1.797224), (42_892, 0.900016)]
)
def test_official_warm_up_rises_to_the_cosine(step: int, rate: float) -> None:
    # Model Garden's LinearWarmup: step / warmup of what the cosine is where the warm-up ends.
    recipe = Recipe(learning_rate=1.8, schedule="official")
    assert rate_at(step, 85_785, 2_145, recipe) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in preset_names() if name != "quickstart"])
def test_presets_of_data_sets_are_the_official_recipe(name: str) -> None:
    recipe = Recipe.from_yaml(name)
    assert recipe.label_smoothing in (0.0, 0.1) and recipe.learning_rate > 0
    if recipe.optimizer == "rmsprop":
        assert recipe.schedule == "official" and recipe.clip_norm == 1 and recipe.weight_decay == 3e-5
        assert recipe.learning_rate / recipe.batch_size == pytest.approx(1.8 / 1024)


def test_nan_ends_training_at_once(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    training: Any = Training(
        small_architecture, tiny_data, Recipe(batch_size=4), horizon=Fidelity(1, 8, 32), seed=0
    )
    seen: list[float] = []
    compute = training._updater.update

    def poisoned(clips: Tensor, *rest: Any) -> Tensor:
        loss: Tensor = compute(clips * (math.nan if len(seen) == 2 else 1.0), *rest)
        seen.append(float(loss))
        return loss

    training._updater.update = poisoned
    with pytest.raises(Diverged, match=r"loss is nan in epoch 1.*learning_rate"):
        training.train_epoch()
    assert len(seen) == 3, "no update after the one that went wrong"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_lack_of_memory_is_known_by_what_says_so(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


def test_out_of_memory_names_what_fits(
    small_architecture: Architecture, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(batch_size=16)
    training = Training(small_architecture, tiny_data, recipe, horizon=Fidelity(1, 8, 32), seed=0)
    forward = type(training.model).forward

    def limited(model: MoViNet, clip: Tensor) -> Tensor:
        if len(clip) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, clip)

    monkeypatch.setattr(MoViNet, "forward", limited)
    with pytest.raises(OutOfMemory, match=r"16 clips of 8 frames of 32x32.*micro_batch to 4") as caught:
        training.train_epoch()
    assert caught.value.hint.startswith("set recipe.micro_batch to 4")
    smaller = Training(
        small_architecture,
        tiny_data,
        recipe.model_copy(update={"micro_batch": 4}),
        horizon=Fidelity(1, 8, 32),
        seed=0,
    )
    assert smaller.train_epoch().epoch == 1, "the advice holds"
    monkeypatch.setattr(MoViNet, "forward", lambda model, clip: limited(model, clip.repeat(8, 1, 1, 1, 1)))
    with pytest.raises(OutOfMemory, match="not even one clip fits"):
        smaller.epoch = 0
        smaller.train_epoch()


_STARVED = """
import resource, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from proxy_train.fidelity import Fidelity
from proxy_train.training.out_of_memory import OutOfMemory
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
data = PreparedData.open(Path(sys.argv[1]))
network = Architecture.parse(sys.argv[2])
training = Training(network, data, Recipe(batch_size=32), horizon=Fidelity(1, 8, 32), seed=0)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[3]) * 2**20,) * 2)
try:
    training.train_epoch()
except OutOfMemory as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_memory_that_really_runs_out(small_architecture: Architecture, tiny_data: PreparedData) -> None:
    wide = replace(
        small_architecture,
        stages=tuple(
            replace(s, layers=tuple(replace(x, expansion=200) for x in s.layers))
            for s in small_architecture.stages
        ),
    )
    arguments = [sys.executable, "-c", _STARVED, str(tiny_data.path), wide.text, "250"]
    # The limit counts addresses: a second thread's arena reserves some when it is made, now or then, and what
    # is freed inside a heap keeps its own. Memory that really runs out counts neither.
    plain = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=500, env=plain)
    assert "out of memory with 32 clips" in done.stdout, done.stderr[-2000:]
    assert "micro_batch to" in done.stdout
