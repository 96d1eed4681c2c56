"""The table of trained video networks as a problem to search."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from search_space.cost.closed_form import compute_cost
from search_space.errors import SettingsError
from search_space.space.space import SearchSpace
from searcher.reliability import accuracy_logits, logit_accuracies
from searcher.simulation.simulation import Simulation
from searcher.simulation.video_table import EPOCHS, SPACE, network_logits, video_table
from searcher.simulation.yardsticks import TableYardstick
from searcher.strategies.registry import create_strategy

NETWORKS = 240


def true_logits(genotypes: NDArray[np.int64]) -> NDArray[np.float64]:
    """An invented worth: two choices matter, and one pair of them."""
    logits: NDArray[np.float64] = 0.3 * genotypes[:, 2] + 0.2 * genotypes[:, 4]
    logits[(genotypes[:, 0] == 1) & (genotypes[:, 4] == 2)] -= 0.3
    return logits


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of some networks of the space: an invented worth that grows with the epochs, and noise."""
    space = SearchSpace.from_yaml(SPACE)
    rng = np.random.default_rng(0)
    rows = []
    for number, architecture in enumerate(islice(space.enumerate(), NETWORKS)):
        genotype = space.encode(architecture)
        choices = {gene.name: gene.labels[choice] for gene, choice in zip(space.genes, genotype, strict=True)}
        for seed in range(1 + (number % 3 == 0)):
            noise = rng.normal(0, 0.3)
            for epoch in range(1, EPOCHS + 1):
                logit = true_logits(np.array([genotype]))[0] + noise - (EPOCHS - epoch) / 4
                rows.append(
                    choices
                    | {
                        "digest": architecture.digest,
                        "macs": compute_cost(architecture, 16).macs,
                        "parameters": 1,
                        "seed": seed,
                        "epoch": epoch,
                        "top1": float(logit_accuracies(np.array([logit]))[0]),
                        "loss": 1.0,
                        "seconds": 2.0 * epoch,
                    }
                )
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pd.DataFrame(rows).sample(frac=1, random_state=1).to_parquet(path)
    return path


def test_measurements_are_those_of_the_file(table_file: Path) -> None:
    rows = pd.read_parquet(table_file)
    table = video_table(3, table_file)
    assert len(table.digests) == NETWORKS and table.accuracy.shape == (NETWORKS, 3, 2)
    space = SearchSpace.from_yaml(SPACE)
    for place in (0, 7, NETWORKS - 1):
        architecture = space.decode(tuple(table.genotypes[place].tolist()))
        assert architecture.digest == table.digests[place]
        assert table.primary[place] == compute_cost(architecture, 16).macs
        own = rows[rows["digest"] == table.digests[place]]
        for rung, epochs in enumerate((1, 3, 8)):
            measured = own[own["epoch"] == epochs].sort_values("seed")["top1"].to_numpy()
            found = table.accuracy[place, rung]
            assert found[np.isfinite(found)] == pytest.approx(measured)
            assert table.seconds[place, rung] == 2.0 * epochs


def test_what_a_network_is_worth_is_nearer_to_the_truth_than_its_measurements(table_file: Path) -> None:
    table = video_table(1, table_file)
    truth = true_logits(table.genotypes)
    measured = np.nanmean(accuracy_logits(table.accuracy[:, -1]), axis=1)
    assert table.worth is not None
    worth = accuracy_logits(table.worth)
    assert np.std(worth - truth) < 0.6 * np.std(measured - truth)
    # Where seeds do not differ, a network is worth what was measured.
    exact = network_logits(table.genotypes, table.genes, np.column_stack([measured, measured]))
    assert exact == pytest.approx(measured, abs=1e-6)


def test_scores_are_by_worth_and_searches_run_on_the_table(table_file: Path) -> None:
    table = video_table(3, table_file)
    on = TableYardstick(table)
    assert table.worth is not None
    best = int(np.argmax(table.worth))
    assert on.score([on.domain.design(table.genotypes[best].tolist())]) < 1
    assert on.score(list(on.domain.enumerate())) == pytest.approx(0.0)
    strategy = create_strategy("random", on.domain, seed=0, startup=8)
    found = Simulation(on, strategy, 40, reduction=3).run()
    assert 0 < found.scores[max(found.scores)] < 1


def test_a_missing_table_and_too_many_rungs_are_said(tmp_path: Path, table_file: Path) -> None:
    with pytest.raises(SettingsError, match="is not there") as missing:
        video_table(1, tmp_path / "none.parquet")
    assert "benchmarks.video_table" in str(missing.value.hint)
    with pytest.raises(SettingsError, match="too few for 4 rungs"):
        video_table(4, table_file)
