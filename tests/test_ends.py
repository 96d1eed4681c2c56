"""Commands that somebody ends: in seconds, in words, with the codes that batch systems know."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search_space.termination import restored_handlers
from searcher.cluster.tracked_ends import TrackedEnds
from searcher.record.records import Records
from tests.searcher.conftest import ROOT
from tests.searcher.processes import lines, until

pytestmark = pytest.mark.long

PROGRAM = Path(__file__).with_name("ending_program.py")


def started(*words: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "movinas: interrupted\n"), (signal.SIGTERM, 143, "movinas: ended by SIGTERM\n")],
)
def test_a_command_that_keeps_nothing_ends_with_a_word(number: int, code: int, words: str) -> None:
    process = started("-m", "movinas", "simulate", "synthetic", "--evaluations", 10**6)
    assert process.stdout is not None
    assert "synthetic" in process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (code, f"\n{words}")


def test_sigterm_ends_a_job_in_the_background_of_a_shell_too() -> None:
    command = f"{sys.executable} -m movinas simulate synthetic --evaluations 1000000 & echo $!; wait $!"
    shell = subprocess.Popen(["sh", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    job = int(shell.stdout.readline())
    assert "synthetic" in shell.stdout.readline()
    os.kill(job, signal.SIGTERM)
    assert shell.wait(300) == 143


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        pytest.param(
            "SIGINT",
            130,
            "interrupted; what was finished is kept, and the same command goes on from there",
            marks=pytest.mark.slow,
        ),
        ("SIGTERM", 143, "ended by SIGTERM; what was finished is kept"),
        pytest.param(
            "stop",
            0,
            "stopped on request; what was measured is kept, and the same command goes on",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_search_ends_in_order_and_keeps_what_it_measured(
    tmp_path: Path, how: str, code: int, words: str
) -> None:
    log, run = tmp_path / "log", tmp_path / "runs" / "tiny"
    process = started(PROGRAM, "search", tmp_path / "runs", log)
    until(lambda: len(lines(log)) >= 4)
    if how == "SIGTERM":
        # Batch systems send it to every process of the group.
        os.killpg(process.pid, signal.SIGTERM)
    elif how == "stop":
        assert started("-m", "movinas", "stop", run).wait(300) == 0
    else:
        process.send_signal(getattr(signal, how))
    output, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    assert words in errors
    assert "Traceback" not in output + errors and "SIGTERM received" not in errors
    assert Records.reading(run).candidates()


@pytest.mark.slow
def test_a_stop_does_not_wait_for_a_long_epoch(tmp_path: Path) -> None:
    log, run = tmp_path / "log", tmp_path / "runs" / "tiny"
    process = started(PROGRAM, "search", tmp_path / "runs", log, "--seconds", 3000)
    until(lambda: (run / "record.journal").exists() and len(Records.reading(run).candidates()) >= 2)
    assert started("-m", "movinas", "stop", run).wait(300) == 0
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "stopped on request" in errors and "Traceback" not in output + errors


def test_signals_after_the_trainings_are_the_program_s_own() -> None:
    both = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in both]
    try:
        signal.signal(signal.SIGTERM, lambda *_: None)
        ours = signal.getsignal(signal.SIGTERM)
        with restored_handlers():
            for number in both:
                signal.signal(number, signal.SIG_IGN)
        assert [signal.getsignal(number) for number in both] == [before[0], ours]
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with restored_handlers():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in zip(both, before, strict=True):
            signal.signal(number, handler)


class Waiting:
    """A tracker that counts the trainings whose end it was not told."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    def on_trial_complete(self, iteration: int, trials: object, trial: FakeTrial) -> None:
        del iteration, trials
        self.open.discard(trial.trial_id)


class FakeTrial:
    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def test_trackers_are_told_of_the_ends_that_an_interruption_brings(caplog: pytest.LogCaptureFixture) -> None:
    tracker = Waiting()
    trials = [FakeTrial(name) for name in "abc"]
    ends = TrackedEnds([tracker], 20)
    for trial in trials:
        ends.on_trial_start(0, trials, trial)
        tracker.open.add(trial.trial_id)
    ends.on_trial_complete(1, trials, trials[0])
    ends.on_trial_error(1, trials, trials[1])
    tracker.open -= {"a", "b"}
    assert tracker.open == {"c"}
    ends.on_experiment_end(trials)
    assert not tracker.open
    assert "waiting up to 20 s for the trackers" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_by_several_processes_ends_as_one_by_one_does(
    tmp_path: Path, number: int, code: int
) -> None:
    what = [
        "a0-stream",
        "--data",
        "moving-digits:tiny",
        "--clip",
        "4x16x5",
        "--epochs",
        500,
        "--processes",
        2,
    ]
    process = started(
        "-m", "movinas", "train", *what, "--output", tmp_path / "trained", "--cache", tmp_path / "cache"
    )
    assert process.stdout is not None
    assert any("epoch 2 of" in line for line in process.stdout)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code and "what was finished is kept" in errors


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="the extra wandb is not installed")
def test_an_interrupted_search_does_not_wait_for_weights_and_biases(tmp_path: Path) -> None:
    log, notes = tmp_path / "log", tmp_path / "wandb"
    notes.mkdir()
    process = started(
        PROGRAM,
        "search",
        tmp_path / "runs",
        log,
        "--tracker",
        "wandb",
        WANDB_MODE="offline",
        WANDB_DIR=str(notes),
    )
    until(lambda: len(lines(log)) >= 4)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert list(notes.rglob("*.wandb"))
