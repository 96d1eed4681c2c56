"""A training of the search by two processes: what it learns, and that nobody is left when it ends early."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.recipe import Recipe
from search_space.progress import ignore_progress
from searcher.evaluator.clips import prepare_clip
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.plan.job import Job
from tests.proxy_train.video_files import write_videos
from tests.searcher.jobs import SMALL, job


def helpers() -> list[int]:
    """Processes of teams on this machine whose parent is this one."""
    found = []
    for child in Path("/proc/self/task").glob("*/children"):
        for pid in child.read_text().split():
            if "searcher.evaluator.team_member" in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(int(pid))
    return found


def test_two_processes_train_what_one_does_and_end_with_it(tmp_path: Path) -> None:
    videos = [f"{split}/{kind}/{n}.mp4" for split in ("train", "val") for kind in "ab" for n in range(3)]
    write_videos(tmp_path / "videos", *videos)
    data = DataSettings(kind="folder", root=tmp_path / "videos", cache=tmp_path / "cache")
    stores = {SMALL.input: prepare_clip(load_dataset(data), data, SMALL.input, 1, ignore_progress).path}
    # Muon makes much of the last bits of a gradient.
    recipe = Recipe.model_validate({"batch_size": 4, "optimizer": "sgd"})
    alone = list(video_evaluator(stores, recipe).build()(_job(tmp_path / "alone")))
    evaluator = video_evaluator(stores, recipe, processes=2).build()
    epochs = evaluator(_job(tmp_path / "team"))
    first = next(epochs)
    assert len(helpers()) == 1
    # Stopped early, as by the promotion; another worker goes on from the checkpoint.
    epochs.close()  # type: ignore[attr-defined]
    assert helpers() == []
    rest = list(evaluator(_job(tmp_path / "team", measured=(1,))))
    assert helpers() == []
    together = [first, *rest]
    assert [each.epoch for each in together] == [each.epoch for each in alone] == [1, 2, 3, 4]
    for one, other in zip(alone, together, strict=True):
        if one.metrics is not None:
            assert other.metrics is not None
            assert other.metrics["loss"] == pytest.approx(one.metrics["loss"], abs=2e-3)


def test_a_helper_that_dies_is_an_error_at_once(tmp_path: Path) -> None:
    write_videos(tmp_path / "videos", *[f"{s}/{k}/1.mp4" for s in ("train", "val") for k in "ab"])
    data = DataSettings(kind="folder", root=tmp_path / "videos", cache=tmp_path / "cache")
    stores = {SMALL.input: prepare_clip(load_dataset(data), data, SMALL.input, 1, ignore_progress).path}
    epochs = video_evaluator(stores, Recipe.model_validate({"batch_size": 4}), processes=2).build()(
        _job(tmp_path / "team")
    )
    next(epochs)
    os.kill(helpers()[0], signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(RuntimeError):
        list(epochs)
    assert time.monotonic() - began < 60 and helpers() == []


def _job(folder: Path, measured: tuple[int, ...] = ()) -> Job:
    return job(folder, measured=measured)
