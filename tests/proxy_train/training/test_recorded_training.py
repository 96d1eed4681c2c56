"""Seeded trainings come out as they were recorded before the rooms had folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text())
RECIPES: dict[str, dict[str, Any]] = {"default": {}, "augmented": {"mixup": 0.2}}


def processor() -> str:
    """Return the type of this machine's processor and the instructions that torch uses on it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))
    }
    kind = [facts.get(key, "?") for key in ("vendor_id", "cpu family", "model", "model name")]
    return f"{', '.join(kind)}, {torch.backends.cpu.get_cpu_capability()}"


@pytest.mark.parametrize("name", RECIPES)
def test_a_seed_trains_the_recorded_weights(
    name: str, small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    assert tiny_data.path.name == RECORDED["data"]
    recipe = Recipe.model_validate(RECIPES[name])
    horizon = Fidelity(2, 8, 32)
    training = Training(small_architecture, tiny_data, recipe, horizon=horizon, seed=3, folder=tmp_path)
    while training.epoch < 2:
        training.train_epoch()
    metrics, recorded = training.evaluate(), RECORDED["trainings"][name]
    assert metrics.loss == pytest.approx(recorded["loss"], abs=2e-3)
    if (processor(), torch.__version__) != (RECORDED["processor"], RECORDED["torch"]):
        return  # another processor or library rounds differently, and the weights with it
    digest = hashlib.sha256()
    for key, tensor in sorted(training.model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    assert (metrics.score, metrics.top5, metrics.loss) == (
        recorded["top1"],
        recorded["top5"],
        recorded["loss"],
    )
    assert digest.hexdigest() == recorded["weights"]
