"""The command line: helps, refusals, and the commands that need no run."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import movinas

COMMANDS = [
    ["data"],
    ["data", "make"],
    ["data", "check"],
    ["data", "prepare"],
    ["space"],
    ["space", "list"],
    ["space", "profile"],
    ["search"],
    ["status"],
    ["stop"],
    ["log"],
    ["launch"],
    ["frontier"],
    ["family"],
    ["report"],
    ["dashboard"],
    ["train"],
    ["evaluate"],
    ["reproduce"],
    ["proxy-validity"],
    ["simulate"],
    ["export"],
    ["weights"],
    ["profile"],
    ["stream"],
    ["latency-table"],
]


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Runs a command in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["movinas", *words])
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *command, "--help") == 0
    told = capsys.readouterr().out
    assert "Usage: " in told and len(told.splitlines()) > 5


def test_helps_have_no_brackets_that_the_terminal_takes_for_markup() -> None:
    commands: list[Any] = [typer.main.get_command(movinas.app)]
    helps = []
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        helps += [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
    assert len(helps) > 100
    assert [text for text in helps if "[" in (text or "").replace("moving-digits[:hard]", "")] == []


def test_the_help_lists_the_commands_that_are_tested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--help") == 0
    told = capsys.readouterr().out
    listed = {line.split()[1] for line in told.splitlines() if line.startswith("│ ") and line[2].isalpha()}
    assert listed == {command[0] for command in COMMANDS}


REFUSALS = {
    "unknown key": ("search: {trails: 9}", ["search.trails", "trials"]),
    "wrong type": ("search: {trials: many}", ["search.trials", "'many'", "integer"]),
    "not a budget": (
        "family: {budgets: {A0: 1.0e+12}}",
        ["family.budgets.A0", "1e+12", "choose a value between"],
    ),
    "window outside the space": ("search: {macs: {high: 1.0e+13}}", ["search.macs.high", "1e+13"]),
    "no such folder": ("data: {kind: folder, root: /nowhere/at/all}", ["data.root", "/nowhere/at/all"]),
    "too many workers": ("search: {workers: 4096, trials: 5000}", ["search.workers", "4096", "CPUs"]),
    "output is a file": ("output: FILE", ["output", "cannot be written"]),
    "repeated key": ("seed: 1\nseed: 2", ["seed"]),
    "rungs that shrink": ("search: {rungs: [4, 2]}", ["search.rungs", "increase"]),
    "no such space": ("space: gigantic", ["gigantic"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_settings_are_refused_before_work_starts(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = REFUSALS[case]
    (tmp_path / "file").write_text("")
    settings = tmp_path / "settings.yaml"
    lines = text.replace("FILE", str(tmp_path / "file"))
    if "output" not in lines:
        lines += f"\noutput: {tmp_path / 'runs'}"
    if "data" not in lines:
        lines += f"\ndata: {{cache: {tmp_path / 'cache'}}}"
    settings.write_text(lines + "\n")
    assert call(monkeypatch, "search", str(settings)) == 2
    told = capsys.readouterr()
    for word in [*expected, "remedy: "]:
        assert word in told.err, told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "runs").exists() and not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["status", "nowhere"],
        ["frontier", "nowhere"],
        ["family", "nowhere"],
        ["family", "nowhere", "--budget", "A0=lots"],
        ["report", "nowhere"],
        ["dashboard", "nowhere"],
        ["export", "nowhere", "video.mp4"],
        ["export", "nowhere", "video.mp4", "--int8", "--float16"],
        ["export", "nowhere", "video.mp4", "--int8", "--most-lost", "1"],
        ["stream", "nowhere", "video.mp4"],
        ["profile", "A9"],
        ["train", "A0", "--output", "out", "--data", "nowhere"],
        ["train", "A0-stream", "--output", "out", "--clip", "8x32"],
        ["data", "check", "--data", "nowhere"],
        ["data", "make", "gigantic"],
        ["space", "profile", "gigantic"],
        ["search", "gigantic"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_named(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    named = next(word for word in reversed(words) if word in told)
    assert (
        named in ("nowhere", "gigantic", "A9", "A0=lots", "video.mp4", "8x32", "--float16", "1")
        and "remedy: " in told
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["A0-stream", "--output", "out", "--address", "auto"], "--address"),
        (["mine", "--recipe", "official", "--keep-best"], "--keep-best, --recipe"),
    ],
)
def test_options_of_another_kind_of_training_are_not_ignored(
    words: list[str],
    refused: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/family.json").touch()
    assert call(monkeypatch, "train", *words) == 2
    told = capsys.readouterr().err
    assert f"{refused} with " in told and "remedy: " in told
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_space_is_profiled(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "space", "profile", "quickstart", "--budget", "big=1e12") == 0
    told = capsys.readouterr().out
    for word in ("smallest", "median", "largest", "architectures", "budget big", "out of reach"):
        assert word in told


def test_a_network_is_profiled(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = "stream_4x32x8_s8_w8s2-15e24-a_w16s2-33e32-aa_w24s1-13e48-a_h64x128"
    assert call(monkeypatch, "profile", text, "--classes", "10", "--frames", "2") == 0
    told = capsys.readouterr().out
    for word in ("multiply-adds", "they agree", "a frame", "state"):
        assert word in told


@pytest.mark.parametrize(
    ("number", "others"), [(errno.EACCES, ()), (errno.EISDIR, ("temporary",)), (errno.ELOOP, ())]
)
def test_what_the_disk_refuses_is_said_in_a_sentence(
    number: int,
    others: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object, **__: object) -> None:
        place = str(tmp_path / "closed" / "x")
        # What was to be moved into its place is told first.
        raise OSError(number, os.strerror(number), *((*others, None, place) if others else (place,)))

    monkeypatch.setattr("searcher.simulation.comparison.compare", refuse)
    monkeypatch.setattr(sys, "argv", ["movinas", "simulate"])
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"movinas: {tmp_path}/closed/x: {os.strerror(number)}\n  remedy: ")
