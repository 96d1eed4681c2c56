"""status, stop and log on runs in a folder and in a database; passwords that are nowhere written down."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import movinas
from results.report.run_files import write_run
from search_space.errors import RecordError
from searcher.cluster.heartbeat import Heartbeat
from searcher.cluster.nodes import Node, alive, fitting, missing
from searcher.pilot.planned import keep_plan, resolved
from searcher.pilot.planner import RunPlan
from searcher.plan.events import EpochTrained, Event, Lost, Measured, PhaseProgress, Started
from searcher.record.channel import FolderChannel
from searcher.record.records import Records
from searcher.record.storage import Database
from searcher.run.run_log import RunLog, read_log
from tests.searcher.invented import invented
from tests.searcher.postgresql import Server, running
from tests.searcher.recording import IDENTITY, measurement, propose
from tests.searcher.searching import plan_over
from tests.searcher.serial import run_serially
from tests.searcher.tiny_driver import tiny_settings

PASSWORD = "geheim-4711"


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """A command's exit status, and all that it printed."""
    monkeypatch.setattr(sys, "argv", ["movinas", *words])
    monkeypatch.setenv("COLUMNS", "200")
    try:
        movinas.main()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def progress(**changes: object) -> PhaseProgress:
    """Of a search that is half done."""
    return PhaseProgress(**{"phase": "search", "planned": 40, "done": 18, "running": 2, "failed": 2,  # type: ignore[arg-type]
                       "seconds": 3600.0, "seconds_left": 7200.0, "ended": 20, **changes})  # fmt: skip


def test_a_run_tells_how_it_is_and_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with Records.writing(run, IDENTITY) as records:
        propose(records, 0)
        records.append(measurement(0, status="failed"))
        pulse = Heartbeat(records.channel)
        nodes = [Node("one", 8, 2), Node("two", 8, 0)]
        pulse.beat(progress(), nodes=nodes)
        _, told = call(monkeypatch, capsys, "status", str(run))
        for part in (
            f"driven by process {os.getpid()}",
            "18 of 40 done, 2 running, 2 failed; 20 an hour; about 2.0 hours left",
            "nodes: 2 with 16 CPU and 2 GPU: one (8 CPU, 2 GPU), two (8 CPU, 0 GPU)",
            "failed: 0000000000000000 (search): the loss is nan",
        ):
            assert part in told
        assert "PENDING" not in told
        pulse.beat(progress(), nodes=nodes, waiting=missing(nodes, 1, 4), waiting_seconds=300)
        _, told = call(monkeypatch, capsys, "status", str(run))
        assert "PENDING for 5 minutes: needs 4 GPU, cluster has 2" in told
        pulse.beat(progress(), nodes=nodes, obstacles=["two (10.0.0.2) cannot be reached for 12 seconds"])
        _, told = call(monkeypatch, capsys, "status", str(run))
        assert "WAITING: two (10.0.0.2) cannot be reached for 12 seconds" in told
        assert "no sign of life" not in told
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 20)
        _, told = call(monkeypatch, capsys, "status", str(run))
        assert "no sign of life for 20 seconds" in told and "18 of 40 done" in told
        monkeypatch.setattr(time, "time", lambda: now + 600)
        _, told = call(monkeypatch, capsys, "status", str(run))
        assert f"process {os.getpid()} on" in told and "has been silent for 10 minutes" in told
        monkeypatch.undo()
        pulse.end()
    _, told = call(monkeypatch, capsys, "status", str(run))
    assert "no driver is working on it" in told and "has been silent" not in told


@pytest.mark.parametrize("seed_spread, noisy", [(0.0, False), (0.2, True)])
def test_status_tells_the_reliability_of_repeated_trainings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seed_spread: float,
    noisy: bool,
) -> None:
    run = tmp_path / "run"
    with Records.writing(run, IDENTITY) as records:
        for number in range(6):
            for seed, sign in ((1, -1), (2, 1)):
                top1 = 0.5 + 0.01 * (number % 3) + sign * seed_spread
                again = measurement(number, epochs=4, seed=seed, purpose="confirmation", top1=top1)
                records.append(again)
    _, told = call(monkeypatch, capsys, "status", str(run))
    (line,) = [
        line for line in told.splitlines() if line.startswith("reliability (confirmation, 4 epochs): ")
    ]
    assert "6 networks, 12 trainings" in line and ("mostly noise" in line) is noisy


def test_a_wish_to_stop_is_heard_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with Records.writing(run, IDENTITY) as records:
        pulse = Heartbeat(records.channel)
        pulse.beat(progress())
        assert not pulse.stopping
        assert call(monkeypatch, capsys, "stop", str(run), "--no-wait")[0] == 0
        pulse.beat(progress())
        assert pulse.stopping
        assert "asked to stop" in call(monkeypatch, capsys, "status", str(run))[1]
        status, told = call(monkeypatch, capsys, "stop", str(run), "--timeout", "0")
        assert status == 2 and "still works after 0 minutes" in told
        pulse.end()
    assert "no driver is working on it" in call(monkeypatch, capsys, "stop", str(run))[1]
    again = Heartbeat(FolderChannel(run))
    again.beat(progress())
    assert not again.stopping, "the next driver is not meant"


def test_nodes_have_room_for_whole_trainings_only() -> None:
    nodes = alive(
        [
            {"Alive": True, "NodeManagerHostname": "a", "Resources": {"CPU": 8.0, "GPU": 2.0}},
            {"Alive": True, "NodeManagerHostname": "b", "Resources": {"CPU": 3.0}},
            {"Alive": False, "NodeManagerHostname": "c", "Resources": {"CPU": 64.0, "GPU": 8.0}},
        ]
    )
    assert [each.name for each in nodes] == ["a", "b"]
    assert (fitting(nodes, 2, 0), fitting(nodes, 1, 0.4), fitting(nodes, 4, 0.25)) == (5, 4, 2)
    assert (fitting(nodes, 1, 2), fitting(nodes, 1, 3), fitting(nodes, 9, 0)) == (1, 0, 0)
    assert missing(nodes, 1, 3) == "needs 3 GPU, cluster has 2"
    assert missing(nodes, 9, 0) == "needs 9 CPU on one node, none has more than 8"
    assert missing(nodes, 12, 1) == "needs 12 CPU, cluster has 11"
    assert missing((), 1, 0) == "needs 1 CPU, cluster has 0"
    apart = [Node("a", 8, 0), Node("b", 1, 1)]
    assert missing(apart, 4, 1) == "needs 4 CPU and 1 GPU on one node, no node has both"


def test_the_log_of_a_run_and_of_a_training_are_found_by_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings(tmp_path)
    heard: list[Event] = []
    bad = measurement(7, status="failed")
    with RunLog(settings.run_dir, settings) as log:
        listen = log.before(heard.append)
        listen(Started("search", bad.digest, "text-7", 0))
        listen(EpochTrained("search", bad.digest, 0, 1, 2.5, "host:12", ("WARNING data: a clip is broken",)))
        listen(Lost("search", bad.digest, 0, "its worker was lost", "Traceback: deep inside"))
        listen(progress())
        listen(Measured(bad))
    assert len(heard) == 5
    assert [line["event"] for _, line in read_log(settings.run_dir)] == [
        "session", "start", "lost", "measured", "end"
    ]  # fmt: skip
    lines = dict(enumerate(line for _, line in read_log(settings.run_dir, bad.digest[:6])))
    assert lines[1]["log"] == ["WARNING data: a clip is broken"] and lines[1]["where"] == "host:12"
    assert lines[2]["details"] == "Traceback: deep inside" and lines[3]["reason"] == "the loss is nan"
    status, told = call(monkeypatch, capsys, "log", str(settings.run_dir), bad.digest, "--failed")
    assert status == 0 and told.count("\n") == 2 and "deep inside" in told
    assert call(monkeypatch, capsys, "log", str(settings.run_dir), "ffff")[0] == 2


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that wants a password."""
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    with running(auth="scram-sha-256", password=PASSWORD) as found:
        yield found


@pytest.mark.parametrize("inside", [False, True], ids=["from the environment", "in the address"])
def test_a_password_is_in_no_file_and_in_no_message(
    tmp_path: Path,
    guarded: Server,
    inside: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = guarded.url.replace("movinas@", f"movinas:{PASSWORD}@") if inside else guarded.url
    settings = tiny_settings(tmp_path, trials=4).model_copy(update={"storage": url})
    if not inside:
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with (
        Records.writing(settings.run_dir, settings.identity(), url) as records,
        RunLog(settings.run_dir, settings) as log,
    ):
        run_serially(plan_over(settings, records), invented())
        keep_plan(records, settings.run_dir, RunPlan(None, 1, {"search.rungs": [1, 2]}))
        Heartbeat(records.channel).beat(progress())
        log.log(Lost("search", "0123", 0, f"a message with {PASSWORD}", f"and {url}"))
    (settings.run_dir / "settings.yaml").write_text(settings.to_yaml())
    if inside:
        # As the driver does at the end of a run, which knows the address of its settings.
        write_run(settings.run_dir, {}, storage=url)
        assert (settings.run_dir / "report.html").is_file()
        left_open = settings.model_copy(update={"search": settings.search.model_copy(update={"rungs": ()})})
        assert left_open.open_keys == ("search.rungs",) and not resolved(left_open).open_keys
        with pytest.raises(RecordError, match="cannot be used"):
            Records.reading(settings.run_dir)
    dump = guarded.dump(PASSWORD)
    assert settings.name in dump and PASSWORD not in dump
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    status, told = call(monkeypatch, capsys, "status", str(settings.run_dir))
    assert status == 0 and "candidates: 3 complete, 1 pruned" in told
    name = Database.of(settings.run_dir)
    assert name is not None
    status, by_name = call(monkeypatch, capsys, "status", name.study, "--storage", guarded.url)
    assert status == 0 and "18 of 40 done" in by_name, "a machine without the folder"
    status, several = call(monkeypatch, capsys, "status", "tinny", "--storage", guarded.url)
    assert status == 2 and "holds 0 runs named 'tinny'" in several
    monkeypatch.setenv("PGPASSWORD", "wrong")
    status, refused = call(monkeypatch, capsys, "status", str(settings.run_dir))
    assert status == 2 and "cannot be used" in refused
    for text in (told, by_name, refused, caplog.text):
        assert PASSWORD not in text
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 3
    for path in written:
        assert PASSWORD.encode() not in path.read_bytes(), path
