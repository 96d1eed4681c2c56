"""Videos of what a stream saw: beside their place until they are whole, never in place of what is read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

import movinas
from proxy_train.video.writing import write_video
from results.inference.annotated_video import annotated_video
from results.member import write_member
from tests.results.synthetic import LABELS, SIZE, network

PICTURE = np.full((SIZE, SIZE, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family") / "A4"
    write_member(folder, "A4", network(1), recipe_yaml="", labels=LABELS, metrics={"top1": 0.5})
    return folder


def call(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["movinas", *map(str, words)])
    try:
        movinas.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return len(list(container.decode(video=0)))


def hard_link(path: Path) -> Path:
    os.link(path, path.with_name("hard.mp4"))
    return path.with_name("hard.mp4")


def soft_link(path: Path) -> Path:
    path.with_name("soft.mp4").symlink_to(path.name)
    return path.with_name("soft.mp4")


NAMES: dict[str, Callable[[Path], Path]] = {
    "itself": lambda path: path,
    "another spelling": lambda path: path.parent / ".." / path.parent.name / "v.mp4",
    "a link": soft_link,
    "a hard link": hard_link,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_never_overwrites_its_video(
    name: str,
    member: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = tmp_path / "v.mp4"
    write_video(video, [PICTURE] * 16, crf=20, fps=8)
    before = video.read_bytes()
    output = NAMES[name](video)
    assert call(monkeypatch, "stream", member, video, "--output", output) == 2
    told = capsys.readouterr()
    assert told.out == "" and "--output" in told.err and "which is read" in " ".join(told.err.split())
    assert video.read_bytes() == before
    assert call(monkeypatch, "stream", member, video, "--output", tmp_path / "other.mp4") == 0
    assert frames_of(tmp_path / "other.mp4") == 16 and video.read_bytes() == before


def test_a_stream_never_overwrites_what_is_piped_into_it(
    member: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "v.mkv"
    write_video(video, [PICTURE] * 4, crf=20, fps=8)
    before, own = video.read_bytes(), os.dup(0)
    try:
        with video.open("rb") as file:
            os.dup2(file.fileno(), 0)
            assert call(monkeypatch, "stream", member, "-", "--output", video) == 2
    finally:
        os.dup2(own, 0)
        os.close(own)
    assert "which is read" in " ".join(capsys.readouterr().err.split())
    assert video.read_bytes() == before


def test_other_commands_keep_what_they_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/1.mp4", "b/1.mp4"):
        (tmp_path / "d" / name).parent.mkdir(parents=True)
        write_video(tmp_path / "d" / name, [PICTURE] * 4, crf=20, fps=8)
    video, space = tmp_path / "d/a/1.mp4", tmp_path / "space.yaml"
    space.write_text("preset: quickstart\n")
    kept = {path: path.read_bytes() for path in (video, space)}
    assert call(monkeypatch, "data", "check", "--data", tmp_path / "d", "--json", video) == 2
    assert "--json" in capsys.readouterr().err
    assert call(monkeypatch, "latency-table", space, "--output", space) == 2
    assert "--output" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in kept} == kept
    report = tmp_path / "d/report.json"
    for _ in range(2):
        assert call(monkeypatch, "data", "check", "--data", tmp_path / "d", "--json", report) == 0
    assert json.loads(report.read_text())["videos"] == 2


def test_reports_and_trainings_keep_what_they_read(
    member: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What a run has made, its videos, the settings that it was started with: all that is no page.
    kept = [tmp_path / name for name in ("run/family/A0/step.onnx", "videos/a/1.mp4", "my_settings.yaml")]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
        assert call(monkeypatch, "report", tmp_path / "run", "--output", path) == 2
        assert "would overwrite" in " ".join(capsys.readouterr().err.split())
    for weights in (member, member / "weights.safetensors"):
        assert call(monkeypatch, "train", "A0-stream", "--output", member, "--weights", weights) == 2
        assert "which is read" in " ".join(capsys.readouterr().err.split())
    assert [path.read_text() for path in kept] == ["content"] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_ends_early_leaves_an_earlier_video_whole(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"

    def write(count: int, *, fails: bool) -> None:
        with annotated_video(path, 8, 1) as video:
            for _ in range(count):
                video.add(PICTURE, "heading", [("label", 0.5)])
            if fails:
                raise error

    with pytest.raises(error):
        write(5, fails=True)
    assert frames_of(path) == 5, "what there is of a first one is kept"
    write(7, fails=False)
    before = path.read_bytes()
    with pytest.raises(error):
        write(3, fails=True)
    assert path.read_bytes() == before and frames_of(tmp_path / "out.partial.mp4") == 3
    # What was left before may be wanted, or be what is read now.
    with pytest.raises(error):
        write(2, fails=True)
    left = {"out.mp4": 7, "out.partial.mp4": 3, "out.partial2.mp4": 2}
    assert {entry.name: frames_of(entry) for entry in tmp_path.iterdir()} == left


def test_nothing_is_in_place_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("an earlier file")
    with annotated_video(path, 8, 1) as video:
        video.add(PICTURE, "heading", [("label", 0.5)])
        assert path.read_text() == "an earlier file"
    assert frames_of(path) == 1
