"""Measurements are grouped by what may be compared, and a group of repeated trainings has its reliability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement, Purpose
from searcher.plan.measured_reliability import NOISE_REMEDY, MeasuredReliability, measured_reliabilities
from searcher.reliability import Reliability, TrainingResult, reliability

FOUND = Reliability(0.62, 0.3, 0.85, 0.041, 0.4, 10, 20)


def repeated(
    purpose: Purpose = "confirmation", epochs: int = 6, networks: int = 6, between: float = 0.2
) -> list[Measurement]:
    """Two trainings of each network, on clips of different shapes."""
    rng = np.random.default_rng(epochs)
    own = 0.5 + between * rng.uniform(-1, 1, networks)
    return [
        Measurement(
            f"{number:016x}",
            "text",
            Fidelity(epochs, 4 + number % 3, 16 + number % 2),
            seed,
            purpose,
            "complete",
            {"top1": float(own[number] + 0.02 * rng.normal()), "macs": 1e6 * (number + 1)},
        )
        for number in range(networks)
        for seed in (1, 2)
    ]


def test_a_group_is_a_purpose_with_epochs_and_shares_whatever_the_clip() -> None:
    long = repeated("family", 12)
    half = [replace(each, fidelity=replace(each.fidelity, share=0.5)) for each in long]
    narrow = [replace(each, fidelity=replace(each.fidelity, width=0.5, share=0.25)) for each in long]
    found = measured_reliabilities([*long, *repeated("confirmation", 4), *half, *narrow])
    assert [(each.purpose, each.epochs, each.share, each.width) for each in found] == [
        ("family", 12, 0.25, 0.5),
        ("confirmation", 4, 1, 1),
        ("family", 12, 0.5, 1),
        ("family", 12, 1, 1),
    ]
    assert found[0].kind == "family, 12 epochs, 25 % of the clips, 50 % of the channels"
    assert found[1].kind == "confirmation, 4 epochs"
    assert found[1].reliability == reliability(
        [
            TrainingResult(each.digest, each.metrics["macs"], each.metrics["top1"])
            for each in repeated("confirmation", 4)
        ]
    )


def test_a_purpose_that_is_not_known_yet_has_its_own_group() -> None:
    pilot: Purpose = "pilot"
    (found,) = measured_reliabilities(replace(each, purpose=pilot) for each in repeated())
    assert found.kind == "pilot, 6 epochs"


def test_what_was_trained_once_or_failed_tells_nothing() -> None:
    rows = repeated()
    once = [each for each in rows if each.seed == 1]
    assert measured_reliabilities(once) == ()
    assert measured_reliabilities([*once, *once]) == (), (
        "the same measurement twice shows no luck of the seed"
    )
    failed = [replace(each, status="failed", metrics={}, seed=3) for each in rows]
    strange = [replace(each, metrics=metrics, seed=4) for each in rows for metrics in ({}, {"top1": 0.5})]
    assert measured_reliabilities([*rows, *failed, *strange]) == measured_reliabilities(rows)


def test_one_network_on_two_clips_is_not_one_network_with_two_seeds() -> None:
    rows = [replace(each, fidelity=Fidelity(6, 4 * each.seed, 16)) for each in repeated("validity")]
    assert measured_reliabilities(rows) == ()


@pytest.mark.parametrize("value, noisy", [(0.62, False), (0.2, True)])
def test_a_line_says_what_noise_means(value: float, noisy: bool) -> None:
    found = MeasuredReliability("confirmation", 1, 1, 1, replace(FOUND, value=value))
    line = found.text()
    start = f"reliability (confirmation, 1 epoch): {value:.2f} (0.30 to 0.85), 4.1 points between seeds"
    assert line.startswith(f"{start}, 10 networks, 20 trainings")
    assert line.endswith(NOISE_REMEDY) is noisy and "\n" not in line
    assert "mostly noise" in NOISE_REMEDY and "confirmation.seeds" in NOISE_REMEDY


def test_means_of_repeats_tell_of_themselves() -> None:
    rows = repeated()
    by_network: dict[str, list[Measurement]] = {}
    for each in rows:
        by_network.setdefault(each.digest, []).append(each)
    means = []
    for group in by_network.values():
        values = [each.metrics["top1"] for each in group]
        both = {"top1": float(np.mean(values)), "top1_std": float(np.std(values, ddof=1))}
        both["repeats"] = len(values)
        means.append(replace(group[0], purpose="search", metrics={**group[0].metrics, **both}))
    (single,), (mean,) = measured_reliabilities(rows), measured_reliabilities(means)
    count = len(next(iter(by_network.values())))
    assert mean.kind == f"search, 6 epochs, means of {count}"
    assert mean.reliability.trainings == single.reliability.trainings
    assert mean.reliability.seed_deviation == pytest.approx(single.reliability.seed_deviation)
    expected = single.reliability.of_mean(count)
    assert mean.reliability.value == pytest.approx(expected.value, abs=0.02)
    assert mean.reliability.value > single.reliability.value
