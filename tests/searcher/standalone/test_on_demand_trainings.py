"""Trainings of a search that decode their clips on demand."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from proxy_train.data.settings import DataSettings
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from search_space.progress import ignore_progress
from searcher.cluster import worker
from searcher.cluster.worker import TrialWorker
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.plan.job import EvaluatorSpec, Job
from searcher.settings.settings import Settings
from searcher.testing.domains import SPACE
from tests.proxy_train.video_files import write_videos

SMALL = SPACE.smallest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    videos = [f"{split}/{kind}/{n}.mp4" for split in ("train", "val") for kind in "ab" for n in range(4)]
    write_videos(tmp_path / "videos", *videos)
    return tmp_path / "videos"


def settings(root: Path, cache: str, source: str = "videos") -> DataSettings:
    return DataSettings.model_validate(
        {"kind": "folder", "root": root, "cache": root.parent / cache, "source": source}
    )


def evaluator(data: DataSettings) -> EvaluatorSpec:
    found = RunData.open(data, SPACE, workers=1, making=ignore_progress, preparing=ignore_progress)
    return video_evaluator(found.paths, Recipe(batch_size=2), data=data)


def job(folder: Path) -> Job:
    return Job(SMALL, Fidelity(2, 4, 16), 0, "search", folder, rungs=(1, 2))


def test_measurements_are_those_of_a_store(root: Path, tmp_path: Path) -> None:
    stored, on_demand = (
        [each.metrics for each in evaluator(settings(root, "cache", source)).build()(job(tmp_path / source))]
        for source in ("store", "videos")
    )
    assert stored == on_demand and len(stored) == 2 and stored[0] is not None
    names = sorted(path.name for path in (tmp_path / "cache" / "prepared").iterdir())
    assert len(names) == 2 and names[1] == f"{names[0]}-videos"


def test_a_run_may_change_where_its_clips_come_from(root: Path) -> None:
    runs = [
        Settings.model_validate({"data": settings(root, "cache", source).model_dump(), "space": "quickstart"})
        for source in ("store", "videos")
    ]
    assert runs[0].identity() == runs[1].identity()


def test_a_machine_without_the_records_measures_its_own(root: Path, tmp_path: Path) -> None:
    driver, node = settings(root, "driver"), settings(root, "node")
    paths = RunData.open(driver, SPACE, workers=1, making=ignore_progress, preparing=ignore_progress).paths
    shutil.rmtree(tmp_path / "driver")
    built = video_evaluator(paths, Recipe(), data=node).build()
    own = built._data(str(SMALL.input))  # type: ignore[attr-defined]
    assert own.path == tmp_path / "node" / "prepared" / paths[SMALL.input].name
    assert own.split("train").on_demand


def test_a_worker_waits_for_a_video_that_is_lost(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = evaluator(settings(root, "cache"))
    whole = [each.metrics for each in spec.build()(job(tmp_path / "whole"))]
    config = {
        "job": job(tmp_path / "job").to_json(),
        "evaluator": spec.to_json(),
        "threads": 1,
        "retry_seconds": 60,
        "mirror": None,
    }
    monkeypatch.setattr(worker, "_PAUSE_SECONDS", 0.05)
    trial = TrialWorker(config)
    found = [trial.step()]
    path = root / "train" / "b" / "2.mp4"
    path.rename(tmp_path / "away.mp4")
    tried = threading.Event()

    def bring_back() -> None:
        tried.wait(300)
        (tmp_path / "away.mp4").rename(path)

    end_epochs = TrialWorker._end_epochs

    def waiting(self: TrialWorker) -> None:
        tried.set()
        end_epochs(self)

    monkeypatch.setattr(TrialWorker, "_end_epochs", waiting)
    helper = threading.Thread(target=bring_back)
    helper.start()
    # Begun again, the job tells its first epoch again.
    found += [trial.step(), trial.step()]
    helper.join()
    assert [each["epoch"]["metrics"] for each in found] == [whole[0], whole[0], whole[1]]
    assert any("2.mp4: no such file" in line and "waiting" in line for line in found[1]["log"])

    config["retry_seconds"] = 0
    path.unlink()
    impatient = TrialWorker(config | {"job": job(tmp_path / "other").to_json()})
    assert "2.mp4: no such file" in impatient.step()["failure"]
