"""Paths that a user names for what a command writes: those that cannot be are refused before it works."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

import movinas
from proxy_train.training.checkpoint import BEST, LATEST, Checkpoint, write_checkpoint
from proxy_train.training.training_run import LOG
from results.commands.written_files import require_file, require_folder
from results.inference.annotated_video import annotated_video, is_annotated_video
from results.plots.style import is_picture, write_picture
from results.report.from_folders import is_page
from results.report.page import page
from search_space.cost.latency_table import LatencyTable, is_table
from search_space.errors import DataError, SettingsError
from searcher.standalone.single_training import TRAINING_FILES
from tests.proxy_train.data.test_refused_by_the_disk import as_nobody
from tests.proxy_train.video_files import content

# What the commands would read does not exist: they complain of it only if they have looked at their output.
FILES = {
    "report": ("report", "nowhere", "--output"),
    "check": ("data", "check", "--data", ".", "--json"),
    "stream": ("stream", "nowhere", "nowhere.mp4", "--output"),
    "latency-table": ("latency-table", "nowhere.yaml", "--output"),
}
FOLDERS = {
    "train": ("train", "A0-stream", "--data", "nowhere", "--output"),
    "search": ("search", "quickstart", "--name", "x", "--output"),
    "pictures": ("report", "nowhere", "--pictures"),
    "frontier": ("frontier",),
}

LINE = '{"epoch": 1, "loss": 2.5, "learning_rate": 0.1, "seconds": 1.0, "data_seconds": 0.5, "score": 0.2}\n'


@pytest.fixture
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder of a command, with what no output can be."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("content")
    Path("self").symlink_to("self")
    Path("to_folder").symlink_to("folder")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Runs a command that is refused; returns what it says of it."""
    monkeypatch.setattr(sys, "argv", ["movinas", *words])
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.usefixtures("_places")
@pytest.mark.parametrize("command", FILES)
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("folder", "is a folder"),
        ("to_folder", "is a folder"),
        ("socket", "is a socket"),
        ("file/out.mp4", "cannot be written: file is a file"),
        ("self/out.mp4", "cannot be written: self is a link to self, which leads nowhere"),
        (f"{'x' * 300}/out.mp4", "File name too long"),
    ],
)
def test_files_that_cannot_be_written_are_refused(
    command: str, path: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = FILES[command]
    told = refused(monkeypatch, capsys, *words, path)
    assert told.startswith(f"movinas: {words[-1]} {path}") and why in told and "  remedy: " in told
    assert Path("file").read_text() == "content" and Path("socket").is_socket()


@pytest.mark.usefixtures("_places")
@pytest.mark.parametrize("command", FOLDERS)
@pytest.mark.parametrize("path", ["file", "file/below", "socket", "self"])
def test_folders_that_cannot_be_written_are_refused(
    command: str, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(monkeypatch, capsys, *FOLDERS[command], path)
    assert (
        "cannot be written: " in told and f"{path.partition('/')[0]} is a " in told and "  remedy: " in told
    )


@pytest.mark.usefixtures("_places")
@pytest.mark.parametrize("command", FILES)
def test_only_what_the_same_command_wrote_is_written_anew(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = b"<!DOCTYPE html>\n<title>another page</title>"
    for written in (b"content", b"{}", b"{" * 3, b"\xff", b'{"counts": 1}', b'{"format": "x-1"}', other):
        Path("file").write_bytes(written)
        told = refused(monkeypatch, capsys, *FILES[command], "file")
        assert "file would overwrite what this command did not write" in told
        assert Path("file").read_bytes() == written


def test_files_say_which_command_wrote_them(tmp_path: Path) -> None:
    drawn = [tmp_path / name for name in ("frontier.png", "frontier.svg")]
    write_picture(lambda figure: None, drawn[0], (1, 1), drawn[1])
    for path in drawn:
        assert is_picture(path)
        Figure(figsize=(1, 1)).savefig(path)
        assert not is_picture(path), "matplotlib has other users"
    path = tmp_path / "report.html"
    path.write_text(page("x" * 3000, "", [], "", "library" * 9999))
    assert is_page(path)
    path.write_text("<!DOCTYPE html>\n<title>movinas report</title>")
    assert not is_page(path)
    LatencyTable("space", "options", 5, "device", "pytorch", 1).write(tmp_path / "table.json")
    text = (tmp_path / "table.json").read_text().replace("latency-1", "latency-2")
    (tmp_path / "table.json").write_text(text[:60])
    assert is_table(tmp_path / "table.json"), "of another version, and damaged: it is refused by what it says"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".wmv"])
def test_an_annotated_video_is_written_anew_and_another_is_not(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"seen{suffix}"
    with annotated_video(path, 8, 1) as written:
        written.add(np.zeros((32, 32, 3), np.uint8), "frame 1", [("a", 0.5)])
    assert is_annotated_video(path)
    require_file(path, option="--output", own=is_annotated_video)
    path.write_bytes(content(".mp4"))
    with pytest.raises(SettingsError, match="would overwrite what this command did not write"):
        require_file(path, option="--output", own=is_annotated_video)


@pytest.mark.usefixtures("_places")
@pytest.mark.parametrize("name", ["frontier.png", "frontier-latency.svg", "members.svg"])
def test_pictures_of_another_program_stay(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Figure(figsize=(1, 1)).savefig(Path("folder") / name)
    before = (Path("folder") / name).read_bytes()
    told = refused(monkeypatch, capsys, *FOLDERS["pictures"], "folder")
    assert f"--pictures folder holds {name}, which this command did not write" in told
    assert (Path("folder") / name).read_bytes() == before
    write_picture(lambda figure: None, Path("folder") / name, (1, 1))
    assert "nowhere" in refused(monkeypatch, capsys, *FOLDERS["pictures"], "folder")


@pytest.mark.usefixtures("_places")
@pytest.mark.parametrize("name", ["recipe.yaml", "weights.safetensors", "member.json", "architecture.json"])
def test_a_network_is_not_trained_over_another_one(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path("folder") / name).write_text("content")
    told = refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
    assert f"--output folder holds {name}, which this command did not write" in told and "  remedy: " in told
    assert (Path("folder") / name).read_text() == "content"
    training = Path("folder") / "checkpoint"
    training.touch()  # other programs call a file so
    assert name in refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
    training.unlink()
    training.mkdir()
    # They call a folder so, too, and what is in it.
    assert name in refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
    save_file({"weights": torch.zeros(2)}, training / LATEST)
    for line in ("", "step 1\n", '{"step": 1}\n', "[" * 99_999, "\0\n"):
        (training / LOG).write_text(line)
        told = refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
        assert f"--output folder holds {name}, which this command did not write" in told
    # It has been trained there before; what is missing is told later.
    (training / LOG).write_text(LINE)
    assert "nowhere" in refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
    (training / LOG).write_text("")
    for checkpoint in (LATEST, BEST):
        write_checkpoint(training, Checkpoint({}, {"epoch": 1}), checkpoint)
        assert "nowhere" in refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
        (training / checkpoint).unlink()


@pytest.mark.usefixtures("_places")
@pytest.mark.parametrize("name", TRAINING_FILES)
def test_a_training_does_not_write_over_files_of_another_program(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = Path("folder") / "checkpoint"
    training.mkdir()
    (training / "model.pt").write_text("content")
    assert "nowhere" in refused(monkeypatch, capsys, *FOLDERS["train"], "folder"), "nothing is in the way"
    (training / name).write_text("content")
    told = refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
    assert f"--output {training} holds {name}, which this command did not write" in told
    assert (training / name).read_text() == "content"


@pytest.mark.usefixtures("_places")
@pytest.mark.parametrize("kind", ["a file", "a link to absent, which leads nowhere"])
def test_a_place_that_is_no_folder_for_a_training_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = Path("folder") / "checkpoint"
    if kind == "a file":
        training.write_text("content")
    else:
        training.symlink_to("absent")
    told = refused(monkeypatch, capsys, *FOLDERS["train"], "folder")
    assert told.startswith(f"movinas: --output {training} cannot be written: {training} is {kind}")
    assert "  remedy: " in told


def test_what_can_be_written_is_not_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("absent")
    (tmp_path / "empty").touch()
    for name in ("new", "some/where/else", "pipe", "link", "empty"):
        require_file(tmp_path / name, option="--output", own=lambda _: False)
    require_file(Path("/dev/null"), option="--output", own=lambda _: False)
    for name in ("", "new", "some/where/else"):
        require_folder(tmp_path / name, option="--output")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link", "pipe"], "nothing is made"


@pytest.mark.parametrize("require", [partial(require_file, own=lambda _: False), require_folder])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("closed", "nothing may be written into closed"),
        ("closed/new", "nothing may be written into closed"),
        ("closed/some/where", "nothing may be written into closed"),
        ("hidden/deep/new", "Permission denied"),
    ],
)
def test_folders_that_may_not_be_written_are_refused(
    tmp_path: Path, require: Callable[..., None], path: str, why: str
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "hidden/deep").mkdir(parents=True)

    def check() -> None:
        try:
            require(Path(path), option="--output")
        except SettingsError as error:
            raise DataError(error.message) from error

    (tmp_path / "closed").chmod(0o555)
    (tmp_path / "hidden").chmod(0)
    try:
        said = as_nobody(tmp_path, check)
    finally:
        (tmp_path / "closed").chmod(0o755)
        (tmp_path / "hidden").chmod(0o755)
    file_wanted = require is not require_folder and path == "closed"
    assert said.startswith(f"--output {path}") and ("is a folder" if file_wanted else why) in said
