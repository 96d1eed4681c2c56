"""Coloured videos, and a network that knows them, which the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from results.member import write_member
from search_space.network.model import MoViNet
from tests.results.evaluation.coloured_videos import COLOURS, trained_network, write_coloured


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coloured")
    write_coloured(root)
    return root


@pytest.fixture(scope="session")
def trained(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> MoViNet:
    return trained_network(videos, tmp_path_factory.mktemp("coloured-cache"))


@pytest.fixture(scope="session")
def member(trained: MoViNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family") / "A1"
    write_member(folder, "A1", trained, recipe_yaml="", labels=tuple(COLOURS), metrics={})
    return folder
