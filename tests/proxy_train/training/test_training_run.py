"""A whole training: its log, its best weights, and the same files however often it was interrupted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
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
from proxy_train.training.training_run import EpochLine, TrainingRun, read_training_log
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
    assert [line.epoch for line in told] == [1, 2, 3, 4] and read_training_log(run.folder) == told
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
    assert without_times(read_training_log(run.folder)) == without_times(read_training_log(whole.folder))
    for name in ("checkpoint.safetensors", "best.safetensors"):
        one, two = read_checkpoint(run.folder, name), read_checkpoint(whole.folder, name)
        assert one is not None and two is not None and one.facts == two.facts
        assert all(torch.equal(value, two.tensors[key]) for key, value in one.tensors.items()), name
    run.finish(run.begin())
    assert without_times(read_training_log(run.folder)) == without_times(read_training_log(whole.folder)), (
        "nothing is left to do"
    )


def test_the_points_of_every_epoch_are_there_after_a_kill(run: TrainingRun) -> None:
    told: list[EpochLine] = []
    begin = (
        "import os, sys\n"
        "from proxy_train.training.training_run import TrainingRun\n"
        "run = TrainingRun.from_json(sys.argv[1])\n"
        "training = run.begin()\n"
        "save = training.save\n"
        # Killed at once after the second checkpoint.
        "training.save = lambda: (save(), os._exit(9) if training.epoch == 2 else None)\n"
        "run.finish(training)\n"
    )
    ended = subprocess.run([sys.executable, "-c", begin, run.to_json()], check=False, timeout=300)
    assert ended.returncode == 9
    run.finish(run.begin(), told.append)
    assert [line.epoch for line in told] == [3, 4]
    found = scalars(run.folder / "events")
    for line in read_training_log(run.folder):
        assert found["train/loss", line.epoch] == pytest.approx(line.loss)
        assert found["val/top1", line.epoch] == pytest.approx(line.metrics["top1"])


def test_a_torn_line_of_the_log_is_left_out(run: TrainingRun) -> None:
    training = run.begin()
    training.train_epoch()
    training.save()
    run.finish(run.begin())
    with (run.folder / "log.jsonl").open("a") as file:
        file.write('{"epoch": 5, "loss": 0.')
    assert [line.epoch for line in read_training_log(run.folder)] == [2, 3, 4]


def test_a_run_travels_as_text(run: TrainingRun, tmp_path: Path) -> None:
    full = replace(
        run, horizon=Fidelity(4, 8, 32, 0.5, 0.5), initial=tmp_path / "a", promoted_from=tmp_path / "b"
    )
    for each in (run, full):
        assert TrainingRun.from_json(each.to_json()) == each
        json.loads(each.to_json())
    with pytest.raises(RecordError, match="no checkpoint to resume from"):
        replace(run, promoted_from=tmp_path / "b").begin()
    assert isinstance(run.begin(), Training)


WRITTEN_RUN = """{
"architecture": {
  "stem": 8,
  "stages": [
    {"width": 8, "stride": 2, "layers": [{"kernel": "3x3x3", "expansion": 16, "squeeze": true}]}
  ],
  "head": 32, "hidden": 32, "input": {"frames": 8, "size": 32, "fps": 4.0},
  "options": {"convolution": "2plus1d", "squeeze": "2plus3d", "activation": "hard_swish",
              "gate": "hard_sigmoid", "causal": true, "position_encoding": false}
},
"data": "/data/prepared",
"recipe": {"optimizer": "muon", "batch_size": 16, "clip_norm": null, "warmup_epochs": 1},
"horizon": "e4-f8-s32-p50", "seed": 3, "folder": "/runs/one", "initial": null, "promoted_from": "/runs/lower"
}"""
WRITTEN_LINE = (
    '{"epoch": 1, "loss": 2.5, "learning_rate": 0.01, "seconds": 3.25, "data_seconds": 0.5, "score": 0.25, '
    '"metrics": {"top1": 0.25, "loss": NaN}, "best": true}'
)


def test_runs_and_logs_that_are_written_already_are_read(tmp_path: Path) -> None:
    run = TrainingRun.from_json(WRITTEN_RUN)
    assert run.architecture == Architecture.parse("stream_8x32x4_s8_w8s2-33e16-a_h32x32")
    assert run.recipe == Recipe(batch_size=16, warmup_epochs=1) and run.horizon == Fidelity(4, 8, 32, 0.5)
    assert (run.data, run.folder) == (Path("/data/prepared"), Path("/runs/one"))
    assert (run.seed, run.initial, run.promoted_from) == (3, None, Path("/runs/lower"))
    again = json.loads(run.to_json())
    assert again | {"recipe": None} == json.loads(WRITTEN_RUN) | {"recipe": None, "teacher": None}
    (tmp_path / "log.jsonl").write_text(WRITTEN_LINE + "\n")
    (line,) = read_training_log(tmp_path)
    assert line == replace(EpochLine(1, 2.5, 0.01, 3.25, 0.5, 0.25, best=True), metrics=line.metrics)
    assert line.metrics["top1"] == 0.25 and math.isnan(line.metrics["loss"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"log\.jsonl, line 2 is damaged"),
        (WRITTEN_LINE.replace("2.5", '"2.5"'), "line 2 is damaged: loss is '2.5'"),
        (WRITTEN_LINE.replace("score", "points"), "line 2 is incomplete: it has no 'score'"),
    ],
)
def test_a_damaged_line_of_the_log_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(f"{WRITTEN_LINE}\n{text}\n{WRITTEN_LINE}\n")
    with pytest.raises(RecordError, match=message):
        read_training_log(tmp_path)


def test_a_run_with_a_wrong_value_is_refused() -> None:
    with pytest.raises(RecordError, match=r"the training is damaged: horizon: 'e4' is not a fidelity"):
        TrainingRun.from_json(WRITTEN_RUN.replace("e4-f8-s32-p50", "e4"))
