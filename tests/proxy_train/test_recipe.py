"""Recipe, optimizers, schedule and fidelity: the official numbers, and refusals that name the key."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from proxy_train.recipe import Recipe, preset_names
from proxy_train.training.optimizers import (
    Muon,
    TensorFlowRMSprop,
    clip_each_gradient,
    make_optimizer,
    orthogonal,
    set_rate,
)
from proxy_train.training.schedule import rate_at
from search_space.architecture.architecture import Architecture
from search_space.errors import SettingsError
from search_space.network.model import build


def test_rmsprop_is_tensorflows() -> None:
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = TensorFlowRMSprop([weight], lr=1.0)
    seen = []
    for _ in range(3):
        weight.grad = torch.full_like(weight, 0.5)
        optimizer.step()
        seen.append(weight.item())
    assert seen == pytest.approx([-0.493865, -1.426875, -2.750462], abs=1e-6)


def test_rmsprop_weight_decay_joins_the_gradient() -> None:
    plain, decayed = (nn.Parameter(torch.full((1,), 2.0)) for _ in range(2))
    plain.grad, decayed.grad = torch.tensor([0.7]), torch.tensor([0.5])
    TensorFlowRMSprop([plain], lr=1.0).step()
    TensorFlowRMSprop([decayed], lr=1.0, weight_decay=0.1).step()
    assert decayed.item() == pytest.approx(plain.item())


def test_clipping_is_of_each_variable() -> None:
    large, small = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))
    large.grad, small.grad = torch.full((4,), 5.0), torch.full((4,), 0.1)
    clip_each_gradient([large, small], 1.0)
    assert float(large.grad.norm()) == pytest.approx(1.0)
    assert float(small.grad.norm()) == pytest.approx(0.2), "a small one stays what it is"


def test_official_schedule() -> None:
    recipe = Recipe(learning_rate=1.8)
    steps, warmup = 85_785, 2_145
    assert rate_at(0, steps, warmup, recipe) == pytest.approx(1.8 / warmup)
    assert rate_at(warmup - 1, steps, warmup, recipe) == pytest.approx(1.8)
    # The cosine counts from step 0: it is already below the peak when the warm-up ends.
    assert rate_at(warmup, steps, warmup, recipe) == pytest.approx(
        0.9 * (1 + math.cos(math.pi * warmup / steps))
    )
    assert rate_at(steps // 2, steps, warmup, recipe) == pytest.approx(0.9, rel=1e-3)
    assert rate_at(steps, steps, warmup, recipe) == pytest.approx(0.0, abs=1e-9)


def test_schedule_keeps_a_floor_or_stays() -> None:
    assert rate_at(10, 10, 0, Recipe(learning_rate=1, final_rate=0.1)) == pytest.approx(0.1)
    assert rate_at(9, 10, 2, Recipe(learning_rate=1, schedule="constant")) == 1


def test_orthogonal_keeps_directions_and_evens_their_sizes() -> None:
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((24, 96), (96, 24), (1, 7)):
        matrices = torch.randn(3, rows, columns, generator=generator)
        result = orthogonal(matrices)
        # Singular vectors stay: U^T R V is diagonal, and its diagonal is near 1.
        u, _, v = torch.linalg.svd(matrices, full_matrices=False)
        values = u.transpose(1, 2) @ result @ v.transpose(1, 2)
        diagonal = values.diagonal(dim1=1, dim2=2)
        assert float(diagonal.min()) > 0.4 and float(diagonal.max()) < 1.4
        assert float((values - torch.diag_embed(diagonal)).abs().max()) < 1e-4


def test_muon_uses_adam_for_what_is_no_matrix() -> None:
    vector, twin = (nn.Parameter(torch.ones(4)) for _ in range(2))
    muon = Muon([{"params": [vector]}], 0.1)
    adam = torch.optim.Adam([twin], 0.1, betas=(0.9, 0.99))
    for number in range(5):
        vector.grad = torch.arange(4.0) - number
        twin.grad = vector.grad.clone()
        muon.step()
        adam.step()
    torch.testing.assert_close(vector, twin)


def test_muon_moves_every_direction_alike() -> None:
    weight = nn.Parameter(torch.zeros(2, 2, 1, 1))
    muon = Muon([{"params": [weight], "orthogonal": True}], 0.1)
    weight.grad = torch.tensor([[100.0, 0.0], [0.0, 1.0]]).view(2, 2, 1, 1)
    muon.step()
    moved = -weight.detach().view(2, 2).diagonal()
    assert float(moved.min()) > 0.03 and float(moved.max()) < 0.14


@pytest.mark.parametrize("name", ["adamw", "rmsprop", "muon"])
def test_weight_decay_is_of_kernels_only(name: str, small_architecture: Architecture) -> None:
    model = build(small_architecture, 4, seed=0)
    recipe = Recipe.model_validate(
        {"optimizer": name, "weight_decay": 0.1, "scale_rate": 3, "matrix_rate": 7}
    )
    optimizer = make_optimizer(model, recipe)
    names = {id(weight): key for key, weight in model.named_parameters()}
    seen: dict[str, tuple[float, float]] = {}
    set_rate(optimizer, 0.5)
    for group in optimizer.param_groups:
        seen |= {names[id(w)]: (group["weight_decay"], group["lr"]) for w in group["params"]}
    assert set(seen) == set(names.values()), "every weight is trained"
    assert seen["stem.weight"] == (0.1, 3.5 if name == "muon" else 0.5)
    assert seen["blocks.block0_layer0.spatial.weight"] == (0.1, 0.5)
    assert seen["head.classifier.weight"] == (0.0, 0.5)
    assert seen["stem.norm.weight"] == (0.0, 0.5)
    scalars = [key for key, weight in model.named_parameters() if weight.ndim == 0]
    assert len(scalars) == 3 and all(seen[key] == (0.0, 1.5) for key in scalars), "one for each bottleneck"


def test_recipe_round_trips_through_yaml(tmp_path: Path) -> None:
    recipe = Recipe(learning_rate=0.123, ema=0.9)
    recipe.to_yaml(tmp_path / "recipe.yaml")
    assert Recipe.from_yaml(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name: str) -> None:
    assert Recipe.from_yaml(name).learning_rate > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "learning_rat: Extra"),
        ("learning_rate: -1", "learning_rate.*-1"),
        ("optimizer: sgdd", "optimizer.*sgdd"),
        ("a: [", "not YAML"),
        ("- 1", "recipe"),
    ],
)
def test_bad_recipes_name_the_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        Recipe.from_yaml(tmp_path / "bad.yaml")
    with pytest.raises(SettingsError, match=r"no such preset.*quickstart"):
        Recipe.from_yaml("nosuch")


@pytest.mark.parametrize(
    ("fidelity", "key"),
    [
        (Fidelity(4, 16, 48), "e4-f16-s48-p100"),
        (Fidelity(1, 8, 32, 0.125), "e1-f8-s32-p12.5"),
        (Fidelity(1, 8, 32, weights="0123abcd"), "e1-f8-s32-p100-i0123abcd"),
        (Fidelity(1, 8, 32, 1, 0.5, "0123abcd", "fedc9876"), "e1-f8-s32-p100-w50-i0123abcd-tfedc9876"),
    ],
)
def test_fidelity_key_round_trips(fidelity: Fidelity, key: str) -> None:
    assert fidelity.key == key
    assert Fidelity.parse(key) == fidelity


@pytest.mark.parametrize(
    "key", ["", "e4", "e4-f16-s48", "e0-f16-s48-p100", "e4-f16-s48-p0", "e4-f16-s48-p101"]
)
def test_bad_fidelities_are_refused(key: str) -> None:
    with pytest.raises(SettingsError):
        Fidelity.parse(key)


def test_measurement_key_is_what_makes_it_the_same() -> None:
    fidelity = Fidelity(4, 16, 48)
    one = Measurement("d", "text", fidelity, 1, "search", "complete", {"top1": 0.5}, 3.0)
    two = Measurement("d", "text", fidelity, 1, "confirmation", "failed", reason="diverged")
    assert one.key == two.key == ("d", "e4-f16-s48-p100", 1)
    assert one.key != Measurement("d", "text", fidelity, 2, "search", "complete").key
