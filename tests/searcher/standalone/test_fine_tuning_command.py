"""``movinas train --weights``: what it says and keeps, and what is refused before any video is decoded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import movinas
from search_space.architecture.architecture import Architecture
from search_space.files import write_json
from search_space.network.model import build
from search_space.network.weights import save_weights
from searcher.testing.domains import SPACE
from tests.proxy_train.moving_videos import write_motions
from tests.test_command_line import call

NETWORK = SPACE.smallest()


def write_trained(folder: Path, classes: int = 7, architecture: Architecture = NETWORK) -> Path:
    folder.mkdir(parents=True)
    save_weights(build(architecture, classes, seed=5), folder / "weights.safetensors")
    write_json(folder / "architecture.json", architecture.to_json())
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "videos"
    write_motions(folder, train=4, val=2)
    return folder


def train(monkeypatch: pytest.MonkeyPatch, videos: Path, output: Path, *words: str) -> int:
    monkeypatch.setattr("sys.argv", [])
    place = ["--output", str(output), "--data", str(videos), "--cache", str(videos.parent / "cache")]
    return call(monkeypatch, "train", NETWORK.text, *place, *words)


def test_a_network_is_fine_tuned_for_other_classes_and_learns_from_a_teacher(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, teacher = write_trained(tmp_path / "source"), write_trained(tmp_path / "teacher", classes=4)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "{batch_size: 8, learning_rate: 1.0e-30, optimizer: sgd, frozen_trunk_epochs: 1, patience: 1,"
        " batch_norm: frozen}"
    )
    words = ["--weights", str(source), "--recipe", str(recipe), "--epochs", "9", "--teacher", str(teacher)]
    assert train(monkeypatch, videos, tmp_path / "tuned", *words) == 0
    told = capsys.readouterr().out
    assert f"{source} was trained on 7 classes, videos has 4: the classifier starts from scratch" in told
    assert "stopped after epoch 2 of 9: the score did not rise for 1 epochs" in " ".join(told.split())
    member = json.loads((tmp_path / "tuned" / "member.json").read_text())
    assert member["trained"]["weights of"].startswith("source (") and "tmp" not in str(member["trained"])
    assert member["trained"]["teacher"].startswith("teacher (")
    assert member["trained"]["epochs"] == 2 and member["trained"]["weights of epoch"] == 1
    model, _ = movinas.load_member(tmp_path / "tuned")
    theirs = build(NETWORK, 7, seed=5).state_dict()
    ours = model.state_dict()
    assert torch.equal(ours["stem.weight"], theirs["stem.weight"])
    assert ours["head.classifier.weight"].shape[0] == 4
    # Run again, nothing is left to train; without the teacher it is another training.
    assert train(monkeypatch, videos, tmp_path / "tuned", *words) == 0
    assert "epoch 3" not in capsys.readouterr().out
    assert train(monkeypatch, videos, tmp_path / "tuned", *words[:-2]) == 2
    assert "teacher" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "{tmp}/other"], "holds the weights of "),
        (["--weights", "{tmp}/other/weights.safetensors"], "head.project.weight: expected shape"),
        (["--weights", "{tmp}/nothing"], "there are no weights"),
        (["--weights", "{tmp}/text.safetensors"], "cannot read weights"),
        (["--recipe", "fine-tune"], "frozen_trunk_epochs"),
        (["--teacher", "{tmp}/source"], "has 7 classes, and the data 4"),
        (["--teacher", "A0-stream"], "there is no trained network"),
        (["--data", "{tmp}/nowhere"], "there is no such folder"),
        (["--data", "{tmp}/unlabelled"], "train.csv, line 2: 'a.mp4'"),
        (["--data", "{tmp}/missing"], "missing/b.mp4: no such file"),
    ],
)
def test_what_cannot_be_fine_tuned_is_refused_before_work(
    words: list[str],
    said: str,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_trained(tmp_path / "source")
    write_trained(tmp_path / "other", architecture=replace(NETWORK, head=2 * NETWORK.head))
    (tmp_path / "text.safetensors").write_text("weights")
    write_motions(tmp_path / "unlabelled", train=1, val=1, classes=("right", "left"))
    lists = {"unlabelled": "a.mp4;3\na.mp4\n", "missing": "path,label\nb.mp4,c\nd.mp4,e\n"}
    for name, rows in lists.items():
        (tmp_path / name).mkdir(exist_ok=True)
        for split in ("train", "val"):
            (tmp_path / name / f"{split}.csv").write_text(rows)
    given = [word.format(tmp=tmp_path) for word in words]
    cache = tmp_path / "cache"
    assert train(monkeypatch, videos, tmp_path / "out", *given, "--cache", str(cache)) == 2
    told = capsys.readouterr().err
    assert said in told and told.splitlines()[-1].startswith("  remedy: "), told
    assert not (tmp_path / "out").exists() and not list(cache.rglob("*.npy"))
