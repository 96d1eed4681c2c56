"""Every format of the published stream networks, and of a family from a search space, at full size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from results.export.export import ExportTarget, export_network
from results.runtimes.registry import RUNTIMES
from results.runtimes.sidecar import Form
from search_space.architecture.architecture import Architecture
from search_space.architecture.published import published
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet, build
from search_space.space.space import SearchSpace
from tests.results.synthetic import lively, require_extra

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CLASSES = 600
PUBLISHED = [f"A{index}-stream" for index in range(6)]
CLIP_FRAMES = 4


def calm(architecture: Architecture, seed: int) -> MoViNet:
    """A network whose branches all count, and no activation of which explodes."""
    return lively(build(architecture, CLASSES, seed=seed), seed, scale=0.2)


def check(model: MoViNet | Ensemble, size: int, form: Form, runtime: str, folder: Path) -> None:
    """The export runs in its runtime over chained frames and differs by little; else it raises."""
    require_extra(runtime)
    if form not in RUNTIMES[runtime].forms:
        pytest.skip(f"{runtime} has no {form} form")
    noise = np.random.default_rng(0).integers(0, 256, (16, size, size, 3), dtype=np.uint8)
    labels = [str(index) for index in range(CLASSES)]
    target = ExportTarget(runtime, form)
    result = export_network(model, folder, noise, name="N", labels=labels, target=target)
    assert result.check is not None
    assert result.check.relative <= target.allowed
    assert result.check.frames >= 2 * CLIP_FRAMES


@pytest.mark.parametrize("form", ["step", "clip"])
@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_published_networks(runtime: str, name: str, form: Form, tmp_path: Path) -> None:
    architecture = published(name)
    # The number of frames changes no operation, only how long the test takes.
    short = replace(architecture, input=replace(architecture.input, frames=CLIP_FRAMES))
    check(calm(short, seed=0), architecture.input.size, form, runtime, tmp_path)


@pytest.mark.parametrize("form", ["step", "clip"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_random_family(runtime: str, form: Form, tmp_path: Path) -> None:
    space, rng = SearchSpace.from_yaml("quickstart"), np.random.default_rng(5)
    drawn = [space.sample(rng) for _ in range(3)]
    models = [calm(each, seed=index) for index, each in enumerate(drawn)]
    for index, model in enumerate(models):
        size = model.architecture.input.size
        check(model, size, form, runtime, tmp_path / str(index))
    same = [model for model in models if model.architecture.input == models[0].architecture.input]
    check(Ensemble(same), same[0].architecture.input.size, form, runtime, tmp_path / "ensemble")
