"""A whole training: its log, its best weights, and the same files however often it was interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboardX.proto.event_pb2 import Event

from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.checkpoint import read_checkpoint
from proxy_train.training.training import Training
from proxy_train.training.training_run import EpochLine, TrainingRun, read_log
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError


@pytest.fixture
def run(small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path) -> TrainingRun:
    recipe = Recipe(batch_size=8, ema=0.5, learning_rate=0.02)
    return TrainingRun(small_architecture, tiny_data.path, recipe, Fidelity(4, 8, 32), 0, tmp_path / "run")


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """What event files (TFRecord: length, checksum, bytes, checksum) hold; the last write of a step wins."""
    found = {}
    for file in sorted(folder.glob("events.out.*")):
        data, at = file.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found


def without_times(lines: list[EpochLine]) -> list[EpochLine]:
    return [replace(line, seconds=0, data_seconds=0) for line in lines]


def test_a_run_is_logged_and_keeps_its_best_weights(run: TrainingRun) -> None:
    told: list[EpochLine] = []
    seen: list[tuple[int, int]] = []
    training = run.begin()
    run.finish(training, told.append, lambda done, of: seen.append((done, of)))
    assert [line.epoch for line in told] == [1, 2, 3, 4] and read_log(run.folder) == told
    assert seen == [(step, 4) for _ in range(4) for step in (1, 2, 3, 4)]
    best = run.best
    assert best is not None and best.facts["score"] == max(line.score for line in told)
    assert told[0].best and [line.epoch for line in told if line.best][-1] == best.facts["epoch"]
    found = scalars(run.folder / "events")
    for line in told:
        assert found["train/loss", line.epoch] == pytest.approx(line.loss)
        assert found["val/top1", line.epoch] == pytest.approx(line.metrics["top1"])
    assert "epoch 1 of 4: loss" in told[0].text(4) and "the best so far" in told[0].text(4)


@pytest.mark.parametrize("moment", ["trained", "best", "logged"])
def test_interrupted_anywhere_it_leaves_the_same_files(
    moment: str, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(run, folder=run.folder.with_name("whole"))
    whole.finish(whole.begin())

    class Killed(BaseException):
        pass

    def end(*_: object, **__: object) -> None:
        raise Killed

    training = run.begin()
    monkeypatch.setattr(training, "save_best" if moment == "best" else "save", end)
    if moment == "trained":
        monkeypatch.setattr(training, "evaluate", end)
    with pytest.raises(Killed):
        run.finish(training)
    again = run.begin()
    assert again.epoch == 0
    run.finish(again)
    assert without_times(read_log(run.folder)) == without_times(read_log(whole.folder))
    for name in ("checkpoint.safetensors", "best.safetensors"):
        one, two = read_checkpoint(run.folder, name), read_checkpoint(whole.folder, name)
        assert one is not None and two is not None and one.facts == two.facts
        assert all(torch.equal(value, two.tensors[key]) for key, value in one.tensors.items()), name
    run.finish(run.begin())
    assert without_times(read_log(run.folder)) == without_times(read_log(whole.folder)), (
        "nothing is left to do"
    )


def test_a_torn_line_of_the_log_is_left_out(run: TrainingRun) -> None:
    training = run.begin()
    training.train_epoch()
    training.save()
    run.finish(run.begin())
    with (run.folder / "log.jsonl").open("a") as file:
        file.write('{"epoch": 5, "loss": 0.')
    assert [line.epoch for line in read_log(run.folder)] == [2, 3, 4]


def test_a_run_travels_as_text(run: TrainingRun, tmp_path: Path) -> None:
    full = replace(
        run, horizon=Fidelity(4, 8, 32, 0.5, 0.5), initial=tmp_path / "a", promoted_from=tmp_path / "b"
    )
    for each in (run, full):
        assert TrainingRun.from_json(each.to_json()) == each
        json.loads(each.to_json())
    with pytest.raises(RecordError, match="no checkpoint to go on from"):
        replace(run, promoted_from=tmp_path / "b").begin()
    assert isinstance(run.begin(), Training)
