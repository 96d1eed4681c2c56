"""Simulated searches, and the yardsticks that they run on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search_space.errors import SettingsError
from searcher.simulation.comparison import compare
from searcher.simulation.simulation import Simulation
from searcher.simulation.synthetic import InventedAccuracy, SyntheticDomain, multiply_adds
from searcher.simulation.yardsticks import SyntheticYardstick, TableYardstick, yardstick
from searcher.strategies.domain import Design
from searcher.strategies.registry import create_strategy
from searcher.testing.domains import tiny_table


def test_the_smallest_synthetic_network_costs_what_counting_by_hand_gives() -> None:
    total, side, inputs = 27 * 16 * 112 * 112 * 50, 112, 16
    for width, stride in zip((16, 40, 72, 72, 144), (2, 2, 2, 1, 2), strict=True):
        wide, after = int(width * 1.5 + 4) // 8 * 8, -(-side // stride)
        total += inputs * wide * 50 * side**2
        total += wide * (9 + width) * 50 * after**2 + 2 * wide * max(8, wide // 4)
        side, inputs = after, width
    total += inputs * 512 * 50 * side**2
    domain = SyntheticDomain()
    assert domain.ends[0] == pytest.approx(total / 1e9)
    assert multiply_adds(domain.layers(np.array([[0] * 20])))[0] == pytest.approx(total / 1e9)


def test_sharing_a_stages_genes_is_choosing_the_same_for_each_layer() -> None:
    shared, own = SyntheticDomain(), SyntheticDomain(layerwise=True)
    design = shared.random(np.random.default_rng(3), *shared.window)
    parts = np.array(design.genotype).reshape(5, 4)
    repeated = np.hstack([parts[:, :2], np.tile(parts[:, 2:], 10)]).ravel().tolist()
    twin = own.design(repeated)
    accuracy = InventedAccuracy(5)
    assert twin.cost == pytest.approx(design.cost)
    assert accuracy(own.layers(np.array([twin.genotype]))) == pytest.approx(
        accuracy(shared.layers(np.array([design.genotype])))
    )
    # Genes of layers that are not there do not tell designs apart.
    changed = [
        value if place % 22 < 2 else value * (place % 22 < 2 + 2 * (parts[place // 22, 1] + 1))
        for place, value in enumerate(repeated)
    ]
    assert own.design(changed).genotype == twin.genotype


def test_a_table_knows_the_gap_of_nothing_and_of_everything() -> None:
    on = TableYardstick(tiny_table())
    rows = list(on.domain.enumerate())
    assert on.score([]) == 1.0
    assert on.score(rows) == pytest.approx(0.0)
    assert 0 < on.score(rows[:5]) < 1
    seen = {on.measure(rows[0], 0, np.random.default_rng(seed)) for seed in range(20)}
    assert len(seen) == 2 and all(
        math.exp(each[1]) == pytest.approx(on.table.costs[0, 0]) for each in seen if each
    )


@pytest.mark.parametrize("workers", [1, 7])
def test_promotion_trains_few_to_the_end_and_workers_save_time(workers: int) -> None:
    on = SyntheticYardstick(1, rungs=3)

    def search(reduction: int | None, workers: int) -> tuple[int, int, float]:
        strategy = create_strategy("random", on.domain, seed=0, startup=16)
        found = Simulation(on, strategy, 45, workers=workers, reduction=reduction).run()
        return len(found.events) - 45, max(found.scores), found.seconds

    everything, all_finished, slow = search(None, 1)
    fewer, finished, fast = search(3, workers)
    assert everything == 3 * 45 and all_finished == 45
    assert fewer < 0.7 * everything and 4 <= finished <= 20
    assert fast < slow / workers * 1.5


class Unlucky(TableYardstick):
    """Every third measurement fails, every fifth is no number."""

    count = 0

    def measure(self, design: Design, rung: int, rng: np.random.Generator) -> tuple[float, ...] | None:
        self.count += 1
        if self.count % 3 == 0:
            return None
        return (math.nan, 1.0) if self.count % 5 == 0 else super().measure(design, rung, rng)


def test_a_search_survives_failures_and_ends_when_nothing_is_left() -> None:
    on = Unlucky(tiny_table())
    found = Simulation(on, create_strategy("predictor", on.domain, seed=0, startup=8), 1000, workers=4).run()
    assert len(found.designs) == on.domain.count and found.repeats == 0


@pytest.mark.slow
def test_sixty_four_workers_find_nearly_as_much_as_one() -> None:
    on = SyntheticYardstick(3)

    def score(workers: int) -> float:
        strategy = create_strategy("predictor", on.domain, seed=0, startup=16)
        return Simulation(on, strategy, 130, workers=workers).run().scores[130]

    assert score(64) > 0.9 * score(1)


def test_nasbench201_is_measured_as_its_package_says() -> None:
    on = yardstick("nasbench201-cifar10")
    assert isinstance(on, TableYardstick)
    assert on.table.genotypes.shape == (15625, 6)
    assert np.nanmax(on.table.accuracy) == pytest.approx(0.917, abs=0.002)

    def gap(name: str) -> float:
        strategy = create_strategy(name, on.domain, seed=0, startup=20)
        return Simulation(on, strategy, 80).run().scores[80]

    assert gap("mutation") < gap("random") - 0.05


def test_strategies_are_compared_line_by_line() -> None:
    lines = list(compare("synthetic:3", ["random", "mutation"], 12, workers=2, seeds=1))
    assert lines[0].startswith("synthetic 3: hypervolume") and len(lines) == 4
    assert [line.split()[0] for line in lines[1:]] == ["strategy", "random", "mutation"]
    with pytest.raises(SettingsError, match="nothing to simulate named 'nowhere'"):
        list(compare("nowhere", [], 12))
    with pytest.raises(SettingsError, match="no strategy 'luck'"):
        list(compare("synthetic", ["luck"], 12))
