"""``movinas data check`` and ``movinas data prepare`` on a folder of whatever people have."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import movinas
from tests.proxy_train.video_files import content, touch, write_videos


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "my videos"
    for split in ("train", "val"):
        write_videos(root, f"{split}/a/1.mp4", f"{split}/b/1.webm")
    (root / "train/a/zero.mp4").touch()
    (root / "train/b/cut [1].mkv").write_bytes(content(".mkv", frames=60)[:-400])
    # A name that is no text, as file systems allow it.
    (root / "train/a" / os.fsdecode(b"caf\xe9 \xff.mp4")).touch()
    (root / "train/b/half.mp4").write_bytes(content(".mp4")[:500])
    return root


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["movinas", *words])
    monkeypatch.setattr("searcher.cluster.machine.cpus", lambda: 1)
    monkeypatch.setenv("COLUMNS", "200")
    try:
        movinas.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_check_tells_everything_in_words_and_json(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    assert call(monkeypatch, "data", "check", "--data", str(videos), "--json", str(report)) == 1
    told = capsys.readouterr().out
    assert "5 readable videos, 3 broken" in told
    assert [line.split() for line in told.splitlines() if line.split()[:1] == ["b"]] == [["b", "2", "1"]]
    assert "broken train/a/zero.mp4" in told and "the file is empty" in told
    found = json.loads(report.read_text())
    assert found["counts"] == {"train": {"a": 1, "b": 2}, "val": {"a": 1, "b": 1}, "test": {"a": 0, "b": 0}}
    assert found["sizes"] == {"32x32": 5}
    assert found["codecs"] == {"h264": 3, "vp9": 2}
    names = {"train/a/zero.mp4", "train/b/half.mp4", os.fsdecode(b"train/a/caf\xe9 \xff.mp4")}
    assert {entry["name"] for entry in found["broken"]} == names
    (doubt,) = found["doubtful"]
    assert doubt["name"] == "train/b/cut [1].mkv" and "its header says 10.00 s" in doubt["reason"]
    assert found["seconds"]["low"] == pytest.approx(1, abs=0.002)


def test_a_name_of_any_characters_is_told_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, said = tmp_path / "videos", r"new\nline \x1b[31m \x85 \u2028 \x07 \udcff"
    name = os.fsdecode(b"new\nline \x1b[31m \xc2\x85 \xe2\x80\xa8 \x07 \xff")
    write_videos(root, "train/a/1.mp4", f"train/{name}/1.mp4", "val/a/1.mp4", f"val/{name}/1.mp4")
    touch(root, f"train/a/{name}.txt", f"train/a/{name}.mp4")
    (root / "val/a/link").symlink_to(name)
    words = ("data", "check", "--data", str(root), "--json", str(tmp_path / "found.json"))
    assert call(monkeypatch, *words) == 1
    told = capsys.readouterr().out.split("\n")
    rows = {
        f"  {said}       1       1",
        f"  left out {root}/train/a/{said}.txt: not a video: suffix .txt",
        f"  broken train/a/{said}.mp4: {root}/train/a/{said}.mp4: the file is empty",
        f"  left out {root}/val/a/link: a link to {said}, which leads nowhere",
    }
    assert rows <= set(told) and all(line.isprintable() for line in told)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["broken"][0]["name"] == f"train/a/{name}.mp4" and name in found["counts"]["val"]
    assert call(monkeypatch, "data", "check", "--data", f"list:{root}/{name}") == 2
    told = capsys.readouterr().err.split("\n")
    assert told[0] == f"movinas: --data list:{root}/{said}: there is no such folder"
    assert told[1].startswith("  remedy: ") and told[2:] == [""]


def test_prepare_makes_the_stores_that_a_training_finds(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "prepare", "--data", f"folder:{videos}", "--cache", str(tmp_path / "cache")]
    assert call(monkeypatch, *words, "--clip", "4x16x4", "--clip", "4x24x4.5") == 0
    told = capsys.readouterr().out
    assert told.count("3 train, 2 val, 3 unreadable") == 2
    stores = sorted((tmp_path / "cache/prepared").iterdir())
    assert [np.load(store / "val.npy").shape[2] for store in stores] == [18, 27]
    assert call(monkeypatch, *words, "--clip", "4x16x4", "--on-demand") == 0
    assert "-videos: 3 train, 2 val, 3 unreadable" in capsys.readouterr().out
    assert not list((tmp_path / "cache/prepared").glob("*-videos/*.npy"))
    assert call(monkeypatch, *words) == 2
    assert call(monkeypatch, *words, "--clip", "4x16") == 2
    assert "'4x16'" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["/nowhere/at/all", "moving-digits:huge", "kinetics:/nowhere"])
def test_data_that_is_not_there_is_refused(
    data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "data", "check", "--data", data) == 2
    assert data in capsys.readouterr().err
