"""Small prepared data that the tests of this room share."""

from __future__ import annotations

import pytest

from proxy_train.data import moving_digits
from proxy_train.data.dataset import Dataset
from proxy_train.store.prepared_data import PreparedData, prepare
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import STREAM, ClipShape, Kernel, Layer, Stage


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """MovingDigits-16, a few clips of a few classes."""
    preset = moving_digits.Preset(train=2, val=1, test=1)
    folder = tmp_path_factory.mktemp("cache") / "digits"
    manifest = moving_digits.write(folder, preset, seed=0)
    return moving_digits.as_dataset(folder, "few", manifest)


@pytest.fixture(scope="session")
def tiny_data(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The same, prepared for 8 frames of 32 pixels."""
    return prepare(tiny_dataset, frames=8, size=32, fps=4, cache=tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def small_architecture() -> Architecture:
    """A stream network of two short stages, fast to train."""
    stages = (
        Stage(8, 2, (Layer(Kernel(3, 3), 16),)),
        Stage(16, 2, (Layer(Kernel(3, 3), 24), Layer(Kernel(1, 3), 24, squeeze=False))),
    )
    return Architecture(8, stages, 32, 32, ClipShape(8, 32, 4), STREAM)
