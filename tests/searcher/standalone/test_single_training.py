"""One network trained from a folder of videos, promoted, fine-tuned, and what is left of it on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from movinas import app
from proxy_train.clips.views import Views
from proxy_train.data import moving_digits
from proxy_train.data.settings import DataSettings
from proxy_train.recipe import Recipe
from proxy_train.training.training_run import EpochLine
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.errors import MovinasError, RecordError, SettingsError
from search_space.network.weights import save_weights
from searcher.standalone.single_training import (
    SingleTraining,
    TrainedNetwork,
    TrainingListeners,
    train_single,
)

NETWORK = Architecture.parse("stream_4x16x4_s8_w16s2-33e32-a_w16s2-33e32-a_h64x32")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    root = tmp_path_factory.mktemp("videos")
    moving_digits.write(root, moving_digits.Preset(train=2, val=1, test=1), seed=0)
    return DataSettings.model_validate(
        {"kind": "folder", "root": root, "cache": root / "cache", "flips": False}
    )


def train(
    videos: DataSettings, folder: Path, epochs: int, **extras: Any
) -> tuple[TrainedNetwork, list[EpochLine]]:
    told: list[EpochLine] = []
    wanted = SingleTraining(NETWORK, videos, Recipe(batch_size=8), folder / "checkpoint", epochs, **extras)
    return train_single(wanted, TrainingListeners(on_epoch=told.append)), told


def test_a_narrow_training_is_promoted_and_fine_tuned(videos: DataSettings, tmp_path: Path) -> None:
    narrow, told = train(videos, tmp_path / "narrow", 2, share=0.5, width=0.5)
    assert [line.epoch for line in told] == [1, 2] and narrow.model.architecture != NETWORK
    whole, told = train(videos, tmp_path / "whole", 4, promoted_from=tmp_path / "narrow", views=Views(2, 3))
    assert [line.epoch for line in told] == [3, 4] and whole.model.architecture == NETWORK
    assert whole.split == "test" and set(whole.assessments) == {"centre", "views", "stream"}
    assert whole.metrics["top1"] == whole.assessments["centre"].figures["top1"].value
    folder = tmp_path / "whole" / "checkpoint"
    written = json.loads((folder / "evaluation.json").read_text())
    assert written["views"]["clips"] == 16 and len(written["stream"]["confusion"]["class"]) == 16
    assert {"classes.json", "left_out.json", "log.jsonl", "best.safetensors"} <= {
        p.name for p in folder.iterdir()
    }
    assert "stream, 16 clips of test:" in whole.text() and "mean_class" in whole.text()
    again, told = train(videos, tmp_path / "whole", 4, promoted_from=tmp_path / "narrow")
    assert told == [] and again.metrics == whole.metrics, "nothing is left to train"
    save_weights(whole.model, tmp_path / "weights.safetensors")
    tuned, told = train(videos, tmp_path / "tuned", 1, weights=tmp_path / "weights.safetensors")
    fresh, _ = train(videos, tmp_path / "fresh", 1)
    assert len(told) == 1 and not torch.equal(tuned.model.stem.weight, fresh.model.stem.weight)
    with pytest.raises(RecordError, match="initial"):
        train(videos, tmp_path / "tuned", 1)


def test_the_best_weights_can_be_kept(videos: DataSettings, tmp_path: Path) -> None:
    last, told = train(videos, tmp_path, 3)
    best, none = train(videos, tmp_path, 3, keep_best=True)
    assert none == []
    wanted = max(line.score for line in told)
    found = next(line.epoch for line in told if line.score == wanted)
    same = all(
        torch.equal(a, b)
        for a, b in zip(last.model.state_dict().values(), best.model.state_dict().values(), strict=True)
    )
    assert same == (found == 3)


@pytest.mark.parametrize("views", ["10", "x3", "2x2", "0x1", "axb"])
def test_views_that_make_no_sense_are_refused(views: str) -> None:
    with pytest.raises(SettingsError, match=r"CLIPSxCROPS|1 or 3 crops"):
        Views.parse(views)


@pytest.mark.parametrize("on_demand", [False, True])
def test_the_command_trains_on_another_clip(on_demand: bool, videos: DataSettings, tmp_path: Path) -> None:
    assert videos.root is not None
    words = ["train", NETWORK.text, "--clip", "2x16x4", "--epochs", "1", "--output", str(tmp_path / "out")]
    words += ["--on-demand"] * on_demand + ["--cache", str(tmp_path / "cache")]
    told = CliRunner().invoke(app, [*words, "--data", f"folder:{videos.root}"])
    assert told.exit_code == 0, told.output
    made = Architecture.from_json(json.loads((tmp_path / "out" / "architecture.json").read_text()))
    assert made == NETWORK.with_input(ClipShape(2, 16, 4))
    (prepared,) = (tmp_path / "cache" / "prepared").iterdir()
    assert bool(list(prepared.glob("*.npy"))) != on_demand


def test_what_is_wrong_is_said_before_videos_are_decoded(videos: DataSettings, tmp_path: Path) -> None:
    def decoding(_done: int, _total: int) -> None:
        raise AssertionError("decodes")

    network = NETWORK.with_input(ClipShape(3, 16, 4))
    refused: list[dict[str, Any]] = [
        {"share": 2.0},
        {"width": 0.0},
        {"epochs": 0},
        {"weights": tmp_path / "nowhere"},
    ]
    for extras in refused:
        with pytest.raises(MovinasError):
            wanted = SingleTraining(network, videos, Recipe(), tmp_path, **{"epochs": 1, **extras})
            train_single(wanted, TrainingListeners(preparing=decoding))
