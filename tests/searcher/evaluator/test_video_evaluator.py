"""The evaluator of real runs, around a training that only counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.evaluation import Metrics
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from search_space.cost.latency_table import KINDS, LatencyTable, frame_operations, space_operations
from search_space.errors import DataError, SettingsError
from search_space.network.model import build
from search_space.progress import ignore_progress
from search_space.space.space import SearchSpace
from searcher.evaluator import video_evaluator
from searcher.evaluator.clips import clip_shapes, prepare_clip
from searcher.evaluator.latency import latency
from searcher.plan.job import EpochResult, EvaluatorSpec
from searcher.testing.domains import SPACE, TINY_SPACE
from tests.proxy_train.video_files import write_videos
from tests.searcher.jobs import SMALL, job


@dataclass
class Counting:
    """Stands in for a training: an epoch adds one, the folder keeps the count."""

    architecture: Any
    data: Any
    recipe: Recipe
    horizon: Fidelity
    seed: int
    folder: Path
    device: str
    promoted_from: Path | None = None
    group: None = None
    initial: None = None
    teacher: None = None
    epoch: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = build(self.architecture, 4, seed=0)
        folders = [each for each in (self.promoted_from, self.folder) if each is not None]
        for counted in (each / "epoch" for each in folders):
            if counted.exists():
                self.epoch = int(counted.read_text())

    def train_epoch(self) -> None:
        self.epoch += 1

    def save(self) -> None:
        (self.folder / "epoch").write_text(str(self.epoch))

    def evaluate(self) -> Metrics:
        # Seeds that are a repeat's are a little worse, each more than the one before.
        worse = self.seed // 1_000_000 / 100
        return Metrics(self.epoch / 10 + self.recipe.learning_rate - worse, 0.9, 1.0, 40)


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EvaluatorSpec:
    monkeypatch.setattr(video_evaluator, "Training", Counting)
    monkeypatch.setattr(PreparedData, "open", lambda path: path)
    recipe = Recipe.model_validate({"learning_rate": 0.01})
    made = video_evaluator.video_evaluator({SMALL.input: tmp_path / "store"}, recipe)
    return EvaluatorSpec.from_json(made.to_json())


def accuracies(results: list[EpochResult]) -> list[tuple[int, float | None]]:
    return [
        (each.epoch, None if each.metrics is None else round(each.metrics["top1"], 3)) for each in results
    ]


def test_metrics_come_at_the_rungs(spec: EvaluatorSpec, tmp_path: Path) -> None:
    found = accuracies(list(spec.build()(job(tmp_path / "job"))))
    assert found == [(1, 0.11), (2, 0.21), (3, None), (4, 0.41)]
    assert not (tmp_path / "job" / "weights.safetensors").exists(), "the search keeps no weights"


def test_it_goes_on_where_it_was_stopped(spec: EvaluatorSpec, tmp_path: Path) -> None:
    evaluator = spec.build()
    epochs = evaluator(job(tmp_path / "job"))
    assert accuracies([next(epochs), next(epochs)]) == [(1, 0.11), (2, 0.21)]
    epochs.close()  # type: ignore[attr-defined]
    assert accuracies(list(evaluator(job(tmp_path / "job", measured=(1, 2))))) == [(3, None), (4, 0.41)]


def test_a_rung_that_was_trained_but_not_recorded_is_measured_at_once(
    spec: EvaluatorSpec, tmp_path: Path
) -> None:
    evaluator = spec.build()
    epochs = evaluator(job(tmp_path / "job"))
    assert accuracies([next(epochs), next(epochs)])[-1] == (2, 0.21)
    again = evaluator(job(tmp_path / "job", measured=(1,)))
    assert accuracies([next(again), next(again)]) == [(2, 0.21), (3, None)]


def test_repeated_trainings_count_as_their_mean(spec: EvaluatorSpec, tmp_path: Path) -> None:
    results = list(spec.build()(job(tmp_path / "job", repeats=3)))
    assert accuracies(results) == [(1, 0.10), (2, 0.20), (3, None), (4, 0.40)]
    metrics = results[1].metrics
    assert metrics is not None and metrics["repeats"] == 3 and metrics["top1_std"] == pytest.approx(0.01)
    assert metrics["top5"] == pytest.approx(0.9) and metrics["loss"] == pytest.approx(1.0)
    folders = [tmp_path / "job", tmp_path / "job" / "repeat-1", tmp_path / "job" / "repeat-2"]
    assert [(folder / "epoch").read_text() for folder in folders] == ["4"] * 3
    single = list(spec.build()(job(tmp_path / "other")))[1].metrics
    assert single is not None and "repeats" not in single


def test_a_repeat_that_was_left_behind_catches_up(spec: EvaluatorSpec, tmp_path: Path) -> None:
    evaluator = spec.build()
    epochs = evaluator(job(tmp_path / "job", repeats=2))
    assert accuracies([next(epochs), next(epochs)])[-1] == (2, 0.205)
    epochs.close()  # type: ignore[attr-defined]
    # Killed after the first training's third epoch, and before the second one's.
    (tmp_path / "job" / "epoch").write_text("3")
    found = accuracies(list(evaluator(job(tmp_path / "job", repeats=2, measured=(1, 2)))))
    assert found == [(3, None), (4, 0.405)]
    # Killed after both reached a rung, and before it was recorded.
    for folder in (tmp_path / "job", tmp_path / "job" / "repeat-1"):
        (folder / "epoch").write_text("2")
    again = evaluator(job(tmp_path / "job", repeats=2, measured=(1,)))
    assert accuracies(list(again)) == [(2, 0.205), (3, None), (4, 0.405)]


def test_a_repeat_that_fails_fails_the_candidate(spec: EvaluatorSpec, tmp_path: Path) -> None:
    evaluator = spec.build()
    epochs = evaluator(job(tmp_path / "job", repeats=2, recipe={"learning_rate": -1}))
    with pytest.raises(ValueError, match="learning_rate"):
        next(epochs)


def test_final_trainings_leave_weights_even_if_killed_before_they_were_written(
    spec: EvaluatorSpec, tmp_path: Path
) -> None:
    final = job(tmp_path / "job", purpose="family", rungs=(4,))
    assert accuracies(list(spec.build()(final)))[-1] == (4, 0.41)
    assert final.weights.is_file()
    final.weights.unlink()
    assert accuracies(list(spec.build()(final))) == [(4, 0.41)]
    assert final.weights.is_file()


def test_a_job_may_bring_its_own_recipe(spec: EvaluatorSpec, tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"learning_rate": 0.5}).model_dump(mode="json")
    found = accuracies(list(spec.build()(job(tmp_path / "job", recipe=recipe))))
    assert found[0] == (1, 0.6)


def test_measurements_have_a_latency_if_somebody_asks_for_it(spec: EvaluatorSpec, tmp_path: Path) -> None:
    timed = EvaluatorSpec(spec.path, {**spec.arguments, "timed": True})
    metrics = next(iter(timed.build()(job(tmp_path / "job")))).metrics
    assert metrics is not None and metrics["latency_ms"] > 0 and metrics["latency_frames"] == 1


def test_latency_comes_from_a_table_if_there_is_one(spec: EvaluatorSpec, tmp_path: Path) -> None:
    table = LatencyTable(
        SPACE.name,
        repr(SPACE.choices.options),
        SPACE.classes,
        "a phone",
        "pytorch",
        1,
        operations=dict.fromkeys(space_operations(SPACE.choices, SPACE.classes), 0.5),
        factors=dict.fromkeys(KINDS, 2.0),
        constant=3.0,
    )
    table.write(tmp_path / "table.json")
    recipe = Recipe.model_validate({"learning_rate": 0.01})
    stores = {SMALL.input: tmp_path / "store"}
    made = video_evaluator.video_evaluator(stores, recipe, timed=True, latency_table=tmp_path / "table.json")
    metrics = next(iter(EvaluatorSpec.from_json(made.to_json()).build()(job(tmp_path / "job")))).metrics
    assert metrics is not None
    assert metrics["latency_ms"] == 3.0 + len(frame_operations(SMALL, SPACE.classes))
    assert metrics["latency_frames"] == 1


@pytest.mark.parametrize("form", ["base", "stream"])
def test_latency_is_of_a_step_or_of_a_whole_clip_and_leaves_the_model_alone(form: str) -> None:
    space = SearchSpace.from_dict(TINY_SPACE | {"options": form}, "tiny")
    architecture = space.largest()
    model = build(architecture, 4, seed=0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    threads = torch.get_num_threads()
    found = latency(model, architecture.input)
    assert found["latency_frames"] == (1 if form == "stream" else architecture.input.frames)
    assert 0 < found["latency_ms"] < 10_000
    assert model.training and torch.get_num_threads() == threads
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_clips_that_were_not_prepared_are_named(
    spec: EvaluatorSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, larger = SMALL.with_input(replace(SMALL.input, size=32)), Fidelity(4, 4, 32)
    with pytest.raises(SettingsError, match=r"4x32x8.*there is data for 4x16x8"):
        list(spec.build()(job(tmp_path / "job", architecture=other, fidelity=larger)))
    monkeypatch.undo()
    with pytest.raises(DataError, match="store"):
        list(spec.build()(job(tmp_path / "job")))


def test_the_fidelity_decides_the_clip(spec: EvaluatorSpec, tmp_path: Path) -> None:
    larger = SMALL.with_input(replace(SMALL.input, size=32, frames=8))
    cheap = job(tmp_path / "job", architecture=larger, fidelity=Fidelity(1, 4, 16, 0.5, 0.5), rungs=(1,))
    assert accuracies(list(spec.build()(cheap))) == [(1, 0.11)]
    assert cheap.fidelity_at(1).key == "e1-f4-s16-p50-w50"


def test_inputs_are_those_that_the_space_can_choose() -> None:
    assert clip_shapes(SPACE) == (SMALL.input,)


def test_evaluators_that_do_not_exist_and_jobs_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be imported"):
        EvaluatorSpec("nowhere:Nothing").build()
    with pytest.raises(SettingsError, match=r"rungs are \[2, 1, 4\]"):
        job(tmp_path, rungs=(2, 1, 4))
    with pytest.raises(SettingsError, match="schedule of 4 epochs"):
        job(tmp_path, rungs=(1, 2))


def test_a_machine_without_the_prepared_data_makes_its_own(tmp_path: Path) -> None:
    """As a node of a cluster whose cache is a disk of its own."""
    videos = [f"{split}/{kind}/{n}.mp4" for split in ("train", "val") for kind in "ab" for n in range(2)]
    write_videos(tmp_path / "videos", *videos)
    data = {
        name: DataSettings(kind="folder", root=tmp_path / "videos", cache=tmp_path / name)
        for name in ("driver", "node")
    }
    clip = SMALL.input
    made = prepare_clip(load_dataset(data["driver"]), data["driver"], clip, 1, ignore_progress)
    recipe = Recipe.model_validate({})
    spec = video_evaluator.video_evaluator({clip: made.path}, recipe, data=data["node"])
    made.path.rename(tmp_path / "elsewhere")
    own = spec.build()._data(str(clip))  # type: ignore[attr-defined]
    assert own.path.parent == tmp_path / "node" / "prepared" and own.path.name == made.path.name
    assert len(own.split("train")) == 4

    write_videos(tmp_path / "videos", "train/b/more.mp4")
    spec = video_evaluator.video_evaluator({clip: made.path}, recipe, data=data["node"])
    with pytest.raises(DataError, match="are not those that the run was started with"):
        spec.build()._data(str(clip))  # type: ignore[attr-defined]
