"""Real Ray processes: a killed driver, lost workers, one worker's order, trainings that are not searches."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from ray.tune.execution import class_cache

from search_space.architecture.architecture import Architecture
from search_space.errors import SettingsError
from searcher.cluster.cluster import _keep_keys_back
from searcher.cluster.ray_adapters import Bridge
from searcher.cluster.worker import TrialWorker
from searcher.plan.events import Event, PhaseProgress
from searcher.plan.job import Job
from searcher.record.records import Records
from searcher.run.session import Session
from tests.searcher.conftest import ROOT
from tests.searcher.driver import DRIVER
from tests.searcher.invented import invented
from tests.searcher.processes import alive, lines, until
from tests.searcher.searching import finished, story
from tests.searcher.tiny_driver import tiny_settings

pytestmark = pytest.mark.long


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [found for child in children for found in (int(child), *_descendants(int(child)))]


def _command(pid: int) -> str:
    """The first word of its command line; a process that is writing a new one shows none for a moment."""
    for _ in range(20):
        try:
            name = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0].strip()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        if name:
            return name
        time.sleep(0.01)
    return ""


@pytest.mark.parametrize("sent", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_driver_that_is_stopped_goes_on_and_leaves_no_process(tmp_path: Path, sent: signal.Signals) -> None:
    log = tmp_path / "log"
    command = [sys.executable, str(DRIVER), str(tmp_path / "runs"), str(log), "0.15", "trials=8"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as driver:
        until(lambda: len(lines(log)) >= 4)
        started = {pid: _command(pid) for pid in _descendants(driver.pid)}
        assert any("ray::" in name for name in started.values()), started
        if sent == signal.SIGINT:
            # A terminal's Ctrl-C goes to every process of the group.
            os.killpg(driver.pid, signal.SIGINT)
        else:
            driver.kill()
        assert driver.wait(300) != 0
    before = Records.reading(tmp_path / "runs" / "tiny").measurements()
    if sent == signal.SIGKILL:
        # Ray's agents notice later, but nothing may train on, or take jobs.
        working = re.compile(r"ray::(?!.*Agent)|gcs_server$|raylet$")
        started = {pid: name for pid, name in started.items() if working.search(name)}
        assert len(started) >= 3
    until(lambda: not any(alive(pid) for pid in started))
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=500)
    records = Records.reading(tmp_path / "runs" / "tiny")
    assert records.measurements()[: len(before)] == before
    assert len(records.candidates()) == 8
    assert {each.state for each in records.candidates()} == {"complete", "pruned"}
    assert len(records.measurements("confirmation")) == 6
    keys = [each.key for each in records.measurements()]
    assert len(set(keys)) == len(keys)
    # An epoch that was under way at the kill may be trained again, one a worker; nothing else is.
    counts = Counter(lines(log))
    assert max(counts.values()) <= 2
    assert sum(count - 1 for count in counts.values()) <= 2


def test_one_worker_tells_the_story_of_the_plan_and_a_finished_run_costs_nothing(tmp_path: Path) -> None:
    """On Ray as in a plain loop: the same proposals, promotions and measurements in the same order."""
    plain = finished(tmp_path / "plain", trials=10)
    events: list[Event] = []
    settings = tiny_settings(tmp_path / "ray", trials=10, workers=1)
    environment = dict(os.environ)
    with Session.open(settings, invented(), classes=16, on_event=events.append) as session:
        done = session.search()
        confirmed = session.confirm()
        largest = Architecture.parse(confirmed[-1].architecture)
        outcomes = session.train([session.job(largest), session.job(largest, 3, seed=5)])
        searched = session.records.measurements("search")
    # These two are Ray's own.
    assert os.environ.keys() - environment.keys() <= {"PYTHONBREAKPOINT", "RAY_CLIENT_MODE"}
    assert [(each.digest, each.fidelity, each.metrics["top1"]) for each in searched] == [
        (each.digest, each.fidelity, each.metrics["top1"]) for each in plain.measurements()
    ]
    assert (done.done, done.running, done.failed) == (10, 0, 0)
    assert any(isinstance(event, PhaseProgress) for event in events)
    assert sum(each.count for each in confirmed) == 6 and all(each.chance >= 0 for each in confirmed)
    assert [outcome.measurement.fidelity.epochs for outcome in outcomes] == [7, 3]
    assert all(outcome.job.weights.read_bytes() == b"weights" for outcome in outcomes)

    events.clear()
    with Session.open(
        settings, invented(broken="0123456789abcdef"), classes=16, on_event=events.append
    ) as session:
        session.search()
        assert session.confirm() == confirmed
        again = session.train([session.job(largest), session.job(largest, 3, seed=5)])
        assert story(session.records)[1] == story(plain)[1]
    assert [each.measurement for each in again] == [each.measurement for each in outcomes]
    assert all(isinstance(event, PhaseProgress) for event in events), "nothing was started"
    part = settings.confirmation
    shorter = part.model_copy(update={"epochs": part.epochs - 1})
    with (
        Session.open(
            settings.model_copy(update={"confirmation": shorter}), invented(), classes=16
        ) as session,
        pytest.raises(
            SettingsError, match=f"a confirmation of {part.epochs} epochs, and the longest one counts"
        ),
    ):
        session.confirm()


def test_a_search_ends_in_order_while_a_training_waits_for_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM between a proposal and the start of its training, for which Ray has no folder by then."""
    propose, proposals = Bridge.next, []

    def proposed(bridge: Bridge, trial_id: str) -> Job | None:
        job = propose(bridge, trial_id)
        if job is not None:
            proposals.append(job)
            if len(proposals) == 3:
                signal.raise_signal(signal.SIGTERM)
        return job

    monkeypatch.setattr(Bridge, "next", proposed)
    settings = tiny_settings(tmp_path, trials=8)
    with Session.open(settings, invented(), classes=16) as session, pytest.raises(KeyboardInterrupt):
        session.search()
    kept = {each.digest for each in Records.reading(tmp_path / "tiny").measurements()}
    assert kept <= {job.architecture.digest for job in proposals[:2]}


def test_keys_of_a_store_stay_out_of_command_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray writes the variables that it hands to an actor into the command line that starts it."""
    # As Ray has it; an earlier search of this process has changed it.
    names = {*class_cache.ENV_VARS_TO_PROPAGATE, "AWS_SECRET_ACCESS_KEY"}
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", names)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-of-the-store")

    def handed() -> str:
        return str(class_cache._ActorClassCache().get(TrialWorker)._default_options)

    assert "key-of-the-store" in handed()
    _keep_keys_back()
    assert "key-of-the-store" not in handed() and "env_vars" in handed()


@pytest.mark.slow
def test_lost_workers_are_replaced_and_hopeless_trainings_recorded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = tiny_settings(tmp_path, trials=4, rungs=[3], strategy="random")
    with Session.open(settings, invented(log, broken="0123456789abcdef", kill=True), classes=16) as session:
        done = session.search()
        states = {each.state for each in session.records.candidates()}
    assert (done.done, done.failed, states) == (4, 0, {"complete"})
    assert max(Counter(lines(log)).values()) == 1, "each went on from its own checkpoint"

    settings = settings.model_copy(update={"search": settings.search.model_copy(update={"trials": 6})})
    with Session.open(settings, invented(log, broken="0123456789abcdef"), classes=16) as session:
        done = session.search()
        reasons = [each.reason for each in session.records.measurements() if each.status == "failed"]
    assert (done.done, done.failed) == (4, 2)
    assert reasons == ["Diverged: the loss is nan"] * 2
