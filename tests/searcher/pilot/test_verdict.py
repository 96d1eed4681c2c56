"""The verdicts of a pilot: each cause from its evidence, with its remedy; nothing is stopped without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proxy_train.evaluation.content_probe import Probed
from searcher.pilot.findings import Verdict
from searcher.pilot.mirrors import mirrored_names
from searcher.pilot.pilot_plan import PilotPlan
from searcher.pilot.trials import LONG, RATES
from searcher.pilot.verdict import Setup, judge
from searcher.plan.job import EvaluatorSpec
from searcher.record.records import Records
from tests.searcher.pilot.learners import CHANCE, learner, plan_of, task
from tests.searcher.recording import IDENTITY
from tests.searcher.serial import run_serially

SETUP = Setup(
    updates_an_epoch=30,
    rungs=(2, 4),
    rung_updates=(60, 120),
    batch_size=32,
    learning_rate=0.02,
    mirrored=(),
    mirrors=False,
    covered=0.5,
    side=64,
)
CONTENT = Probed(0.5, 0.12, 0.5, 960, 320)
NO_CONTENT = Probed(0.07, 0.12, 0.06, 960, 320)


def trained(folder: Path, evaluator: EvaluatorSpec, **changes: object) -> PilotPlan:
    plan = plan_of(Records.in_memory(IDENTITY), folder, task(**changes))  # type: ignore[arg-type]
    run_serially(plan, evaluator)
    return plan


def verdict(
    folder: Path,
    evaluator: EvaluatorSpec,
    probed: Probed | None = CONTENT,
    setup: Setup = SETUP,
    **changes: object,
) -> Verdict:
    plan = trained(folder, evaluator, **changes)
    return judge(plan.task, plan.results, probed, setup)


def test_networks_that_learn_are_searched(tmp_path: Path) -> None:
    assert verdict(tmp_path, learner()) == Verdict()
    # Whatever the probe says.
    assert verdict(tmp_path / "b", learner(), NO_CONTENT) == Verdict()


def test_one_network_that_learns_is_enough(tmp_path: Path) -> None:
    found = verdict(tmp_path, learner(epochs=60, sooner=1 / 30))
    assert found.kind == "learns" and not found.stops
    assert any("most networks are still at chance" in words for words in found.notes)


def test_rungs_before_networks_leave_chance_are_warned_of(tmp_path: Path) -> None:
    found = verdict(tmp_path, learner(epochs=7, sooner=0.25), epochs=1000)
    assert not found.stops and any("begin with 4 epochs" in words for words in found.notes)
    short = replace(SETUP, rungs=(2,), rung_updates=(60,))
    found = verdict(tmp_path / "b", learner(epochs=9, sooner=0.4), setup=short, epochs=2000, last=2)
    assert found.kind == "few updates" and found.stops and "after about 120" in found.message


def test_too_few_updates_are_told_by_a_long_training(tmp_path: Path) -> None:
    found = verdict(tmp_path, learner(epochs=30, sooner=0.6), epochs=900)
    assert found.kind == "few updates" and found.stops
    assert "after 120 updates" in found.message and "after about 960" in found.message
    assert "search.rungs to [32, 64]" in found.remedy and "confirmation.epochs to 64" in found.remedy
    assert "batch_size" not in found.remedy, "4 clips an update would be too few"
    sooner = verdict(tmp_path / "b", learner(epochs=16, sooner=0.8), epochs=900)
    assert "about 480" in sooner.message and "recipe.batch_size to 8" in sooner.remedy


def test_updates_that_were_not_enough_either(tmp_path: Path) -> None:
    found = verdict(tmp_path, learner(epochs=1000), epochs=900)
    assert found.kind == "few updates" and found.stops and "labels follow" in found.message


def test_labels_that_contradict_the_clips(tmp_path: Path) -> None:
    found = verdict(tmp_path, learner(epochs=1000, memorises=True), NO_CONTENT, epochs=900)
    assert found.kind == "labels" and found.stops
    assert "by heart" in found.message and "annotation file" in found.remedy
    plain = verdict(tmp_path / "b", learner(epochs=1000), NO_CONTENT, epochs=900)
    assert plain.kind == "labels" and "by heart" not in plain.message
    other = replace(NO_CONTENT, among_own=0.4)
    split = verdict(tmp_path / "c", learner(epochs=1000), other, epochs=900)
    assert "fails on the validation clips" in split.message


def test_learning_rates(tmp_path: Path) -> None:
    high = verdict(tmp_path / "high", learner(best=0.1))
    assert high.kind == "rate" and high.stops and high.remedy == "set recipe.learning_rate to 0.002"
    low = verdict(tmp_path / "low", learner(best=10.0), epochs=900)
    assert low.kind == "rate" and "too low" in low.message and low.remedy.endswith("to 0.2")
    # So high that not even a thousandth leaves chance in time, though it is calm.
    mad = verdict(tmp_path / "mad", learner(best=0.002, epochs=1000), epochs=900)
    assert mad.kind == "diverges" and mad.stops and "stays finite" in mad.message
    assert mad.remedy.endswith("to 0.0002") or mad.remedy.endswith("to 2e-05")


def test_mirrored_clips(tmp_path: Path) -> None:
    assert mirrored_names(
        ("pushing left", "pushing right", "turn-clockwise", "turn-counter-clockwise", "x")
    ) == (
        ("pushing left", "pushing right"),
        ("turn-counter-clockwise", "turn-clockwise"),
    )
    assert mirrored_names(("left", "up", "bright")) == ()
    named = replace(SETUP, mirrors=True, mirrored=(("left", "right"),))
    found = verdict(tmp_path, learner(), CONTENT, named)
    assert not found.stops and "data.flips to false" in found.notes[0]
    pairs = tuple((f"a{n}", f"b{n}") for n in range(8))
    silent = verdict(
        tmp_path / "b",
        learner(epochs=1000),
        replace(CONTENT, mirrored=pairs),
        replace(SETUP, mirrors=True),
        epochs=900,
    )
    assert silent.kind == "flips" and silent.stops and silent.remedy == "set data.flips to false"


def test_hints_at_the_clips(tmp_path: Path) -> None:
    found = verdict(tmp_path, learner(epochs=1000), setup=replace(SETUP, covered=0.1, side=24), epochs=900)
    assert any("covers 10 %" in words for words in found.notes)
    assert any("24 x 24" in words for words in found.notes)


@pytest.mark.parametrize("probed", [CONTENT, NO_CONTENT, None])
def test_without_clear_evidence_nothing_is_stopped(probed: Probed | None, tmp_path: Path) -> None:
    # The budget ends before anything but the shortest trainings has run.
    poor = verdict(tmp_path, learner(epochs=1000), probed, epochs=90)
    assert not poor.stops and poor.message
    few = verdict(tmp_path / "few", learner(epochs=1000), probed, chance=replace(CHANCE, threshold=1.1))
    assert few.kind == "unknown" and not few.stops


def test_offsets_of_seeds_do_not_meet() -> None:
    offsets = [LONG, *RATES.values()]
    assert len(set(offsets)) == len(offsets) and min(offsets) >= LONG > 10
