"""Proxy validity: agreement of orders against known cases, and a study with invented accuracies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from proxy_train.evaluation import rank_agreement
from proxy_train.evaluation.rank_agreement import compare_rankings
from proxy_train.measurement import Measurement
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import compute_cost
from search_space.errors import SettingsError
from search_space.space.space import SearchSpace
from searcher.plan.job_plan import JobOutcome, JobPlan
from searcher.record.records import Records
from searcher.standalone.proxy_validity import Validity, _jobs, spread, summarise
from searcher.standalone.relative_fidelity import RelativeFidelity
from searcher.testing.domains import TINY_SPACE
from tests.searcher.invented import invented
from tests.searcher.serial import run_serially

SPACE = SearchSpace.from_dict(TINY_SPACE, "tiny").with_classes(16)


def test_tau_over_all_pairs_is_kendalls() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 6, 40).astype(float), rng.normal(size=40)
    expected = kendalltau(one, two).statistic
    assert rank_agreement.tau(one, two) == pytest.approx(expected)
    assert rank_agreement.pair_tau(one, two, np.ones((40, 40), bool)) == pytest.approx(expected)
    assert math.isnan(rank_agreement.tau(np.ones(5), two[:5]))


def test_precision_counts_the_best() -> None:
    dear = np.arange(10.0)
    assert rank_agreement.precision_at(dear, dear, 3) == 1
    assert rank_agreement.precision_at(-dear, dear, 3) == 0
    swapped = dear.copy()
    swapped[[0, 9]] = swapped[[9, 0]]
    assert rank_agreement.precision_at(swapped, dear, 3) == pytest.approx(2 / 3)
    assert rank_agreement.precision_at(np.zeros(10), dear, 3) == pytest.approx(0.3), "ties count by chance"


def test_agreement_within_like_cost_sees_through_size() -> None:
    # Accuracy is size plus something of the network's own; the cheap measure only knows its size.
    rng = np.random.default_rng(1)
    costs = np.repeat(np.geomspace(1, 1e5, 20), 3)
    own = rng.normal(size=60)
    dear, blind = np.log(costs) + 0.5 * own, np.log(costs) + 1e-3 * rng.normal(size=60)
    seeing = np.log(costs) + 0.5 * own + 0.1 * rng.normal(size=60)
    poor, good = (compare_rankings(each, dear, costs, 12) for each in (blind, seeing))
    assert poor.tau.value > 0.7 and abs(poor.within) < 0.3 and good.within > 0.6
    assert poor.tau.low < poor.tau.value < poor.tau.high and good.precision >= poor.precision
    assert compare_rankings(dear, dear, costs, 5).top_tau == pytest.approx(1)


def test_networks_are_spread_over_the_cost() -> None:
    low, high = SPACE.macs_range()
    chosen = spread(SPACE, low, high, 12, 0)
    assert len({each.digest for each in chosen}) == 12
    costs = np.log([compute_cost(each, SPACE.classes).macs for each in chosen])
    assert (np.diff(costs) > 0).mean() > 0.6 and np.ptp(costs) > 0.6 * math.log(high / low)
    assert [each.digest for each in spread(SPACE, low, high, 12, 0)] == [each.digest for each in chosen]


@pytest.mark.parametrize(
    "text", ["", "epochs", "share=0.5", "epochs=2,shore=1", "epochs=x", "epochs=2;share=1"]
)
def test_efforts_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="write epochs=4"):
        RelativeFidelity.parse(text)


def test_efforts_are_parts_of_a_networks_own_clip() -> None:
    effort = RelativeFidelity.parse("epochs=2, share=0.5, frames=0.5, size=0.75, width=0.5")
    assert effort.fidelity(ClipShape(8, 32, 4)).key == "e2-f4-s24-p50-w50"
    assert RelativeFidelity.parse("epochs=3").fidelity(ClipShape(8, 32, 4)).key == "e3-f8-s32-p100"
    with pytest.raises(SettingsError, match=r"width is 2\.0"):
        RelativeFidelity.parse("epochs=2,width=2")


def study(
    folder: Path, broken: str = "", stop_after: int | None = None, seeds: int = 1, networks: int = 12
) -> Validity | None:
    cheap, dear = RelativeFidelity(1), RelativeFidelity(4)
    low, high = SPACE.macs_range()
    jobs = _jobs(folder, spread(SPACE, low, high, networks, 0), (cheap, dear), seeds, 0)
    with Records.writing(folder, {"study": 1}) as records:
        plan = JobPlan(records, "validity", SPACE.classes, jobs)
        run_serially(plan, invented(folder / "log", broken=broken), stop_after=stop_after)
        if stop_after is not None:
            return None
        return summarise(plan.outcomes(), cheap, dear, SPACE.classes, seeds=seeds)


def test_a_study_goes_on_where_it_was(tmp_path: Path) -> None:
    study(tmp_path, stop_after=17)
    found = study(tmp_path)
    assert found is not None and len(found.networks) == 12 and found.failed == ()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 12 * (1 + 4), "no epoch was trained twice"
    assert set(found.agreements) == {"cheap training", "multiply-adds", "parameters"}
    # What is invented grows with the cost and jitters a little.
    assert all(each.tau.value > 0.3 for each in found.agreements.values()) and found.k == 3
    assert "cheap training" in found.text() and "precision@3" in found.text()
    again = found.to_json()
    assert again["networks"][0].keys() == {"architecture", "macs", "parameters", "cheap", "dear"}
    kept: list[Measurement] = Records.reading(tmp_path).measurements("validity")
    assert len(kept) == 24 and {each.fidelity.epochs for each in kept} == {1, 4}


def test_further_seeds_add_trainings_and_accuracies_are_their_means(tmp_path: Path) -> None:
    once = study(tmp_path)
    assert once is not None and once.reliabilities == (None, None)
    assert "--seeds 2" in once.text() and once.to_json()["reliability"] == {"cheap": None, "dear": None}
    thrice = study(tmp_path, seeds=3)
    assert thrice is not None and thrice.seeds == 3 and "means over 3 seeds" in thrice.text()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 3 * 12 * (1 + 4), "those of the first seed were not repeated"
    kept: list[Measurement] = Records.reading(tmp_path).measurements("validity")
    assert {each.seed for each in kept if each.fidelity.epochs == 1} == {0, 2, 4}
    assert {each.seed for each in kept if each.fidelity.epochs == 4} == {1, 3, 5}
    for network in thrice.networks:
        for epochs, accuracy in ((1, network.cheap), (4, network.dear)):
            own = [
                each.metrics["top1"]
                for each in kept
                if each.architecture == network.architecture and each.fidelity.epochs == epochs
            ]
            assert len(own) == 3 and accuracy == pytest.approx(sum(own) / 3)
    told = json.loads(json.dumps(thrice.to_json()))["reliability"]
    assert told["cheap"]["trainings"] == told["dear"]["trainings"] == 36 and told["cheap"]["networks"] == 12
    assert told["cheap"]["value"] != told["dear"]["value"]
    assert "reliability (cheap training): " in thrice.text()
    assert "reliability (expensive training): " in thrice.text()


def test_a_network_counts_as_long_as_one_training_each_way_succeeded(tmp_path: Path) -> None:
    found = study(tmp_path, seeds=2)
    assert found is not None
    with Records.writing(tmp_path, {"study": 1}) as records:
        cheap, dear = found.cheap, found.expensive
        low, high = SPACE.macs_range()
        jobs = _jobs(tmp_path, spread(SPACE, low, high, 12, 0), (cheap, dear), 2, 0)
        outcomes = JobPlan(records, "validity", SPACE.classes, jobs).outcomes()
    failed = Measurement("d", "t", jobs[0].fidelity, 0, "validity", "failed", reason="the loss is nan")
    outcomes[2] = JobOutcome(jobs[2], failed)
    some = summarise(outcomes, cheap, dear, SPACE.classes, seeds=2)
    assert some.failed == () and some.networks[0].cheap == outcomes[0].measurement.metrics["top1"]
    assert some.networks[0].dear == found.networks[0].dear and some.networks[1:] == found.networks[1:]
    assert some.reliabilities[0] is not None and some.reliabilities[0].trainings == 23
    outcomes[0] = JobOutcome(jobs[0], failed)
    less = summarise(outcomes, cheap, dear, SPACE.classes, seeds=2)
    assert less.failed == ((jobs[0].architecture.text, "the loss is nan"),) and len(less.networks) == 11


def test_failures_are_told_with_their_reason(tmp_path: Path) -> None:
    found = study(tmp_path / "some", broken="0123")
    assert found is not None and 0 < len(found.failed) < 8
    assert len(found.networks) + len(found.failed) == 12
    assert "loss is nan" in found.failed[0][1] and "failed" in found.text()
    with pytest.raises(SettingsError, match="only 0 of 12"):
        study(tmp_path / "all", broken="0123456789abcdef")
