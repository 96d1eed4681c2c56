"""Workers that are lost with their machine, machines that do not answer, stores that are away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from searcher.cluster import checkpoint_mirror, reachability
from searcher.cluster.capacity import Capacity, FaultTolerance
from searcher.cluster.checkpoint_mirror import Mirror, Removals, StoreError
from searcher.cluster.ray_adapters import Bridge
from searcher.cluster.worker import TrialWorker
from searcher.plan.job import Job
from tests.searcher.invented import invented
from tests.searcher.processes import until
from tests.searcher.searching import search


def lost(bridge: Bridge, name: str, job: Job | None, max_failures: int) -> Job | None:
    """Loses a trial's worker for good, as Ray sees it; answers the job that is handed out next."""
    trial: Any = SimpleNamespace(trial_id=name, max_failures=max_failures)
    assert job is not None and name in bridge.jobs
    bridge.on_lost(trial, "the actor's node was terminated", "")
    bridge.on_end(name, failed=True)
    return bridge.next(name + "+")


@pytest.mark.parametrize(("retries", "max_failures", "again"), [(3, 3, True), (0, 0, False), (3, 0, False)])
def test_a_job_that_ray_gives_up_with_a_lost_machine_is_handed_out_again(
    tmp_path: Path, retries: int, max_failures: int, again: bool
) -> None:
    """Ray never retries what was to reuse a worker of a machine that is gone."""
    with search(tmp_path) as plan:
        first = plan.next()
        assert first is not None
        bridge = Bridge(plan, first, Capacity(2), FaultTolerance(retries=retries), 10)
        following = lost(bridge, "a", bridge.next("a"), max_failures)
        assert following is not None and (following == first) == again
        assert bool(plan.records.measurements()) != again


def test_a_job_that_is_lost_too_often_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searcher.cluster.ray_adapters._MOMENT_SECONDS", -1.0)
    with search(tmp_path) as plan:
        first = plan.next()
        assert first is not None
        bridge, name = Bridge(plan, first, Capacity(2), FaultTolerance(retries=2), 10), "a"
        job = bridge.next(name)
        while job == first:
            job = lost(bridge, name, job, 2)
            name += "+"
        (measured,) = plan.records.measurements()
        assert name == "a+++" and measured.reason == "the actor's node was terminated"


@contextmanager
def deaf() -> Iterator[tuple[str, int]]:
    """A port that answers nothing: its queue of connections is full, and nobody accepts them."""
    with ExitStack() as held:
        server = held.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()


def test_machines_that_answer_are_told_from_those_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(reachability, "_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as unused, deaf() as silent:
        unused.bind(("127.0.0.1", 0))
        listens, refuses = server.getsockname(), unused.getsockname()
        addresses = {"listens": listens, "refuses": refuses, "silent": silent}
        assert reachability.answering_of(addresses) == {"listens", "refuses"}
        watch = reachability.Reachability(seconds=0.05)
        try:
            watch.watch({"silent": silent})
            until(lambda: bool(watch.sentences()))
            assert "silent (127.0.0.1) cannot be reached for 0 seconds" in watch.sentences()[0]
            watch.watch({"listens": listens})
            assert not watch.sentences()
        finally:
            watch.close()


def away(store: Path) -> Path:
    """Replaces a store by a file, in which no folder can be made; answers where it has gone."""
    kept = store.with_name("kept")
    store.rename(kept)
    store.touch()
    return kept


def test_an_epoch_waits_for_its_store_and_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searcher.cluster.worker._PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("searcher.cluster.worker._TOLD_SECONDS", 0.2)
    with search(tmp_path / "run", trials=1, startup=1, rungs=[1, 2, 4]) as plan:
        job = plan.next()
    assert job is not None
    store, log = tmp_path / "store", tmp_path / "log"
    config = {
        "job": job.to_json(), "evaluator": invented(log).to_json(), "threads": 1, "retry_seconds": 60.0,
        "mirror": f"file://{store}",
    }  # fmt: skip
    worker = TrialWorker(config)
    assert "epoch" in worker.step()
    kept = away(store)
    told = worker.step()
    assert f"the object store file://{store} cannot be used" in told["waiting"] and "where" in told

    def back() -> None:
        store.unlink()
        kept.rename(store)

    threading.Timer(0.1, back).start()
    until(lambda: "epoch" in worker.step())
    worker.stop()
    assert [line.split()[1] for line in log.read_text().splitlines()] == ["1", "2"]


def test_a_training_does_not_wait_for_ever(tmp_path: Path) -> None:
    with search(tmp_path / "run", trials=1, startup=1) as plan:
        job = plan.next()
    assert job is not None
    (tmp_path / "store").touch()
    config = {
        "job": job.to_json(), "evaluator": invented().to_json(), "threads": 1, "retry_seconds": 0.0,
        "mirror": f"file://{tmp_path}/store",
    }  # fmt: skip
    worker = TrialWorker(config)
    with pytest.raises(StoreError, match="cannot be used"):
        worker.step()


def test_what_cannot_be_removed_is_removed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_mirror, "_PAUSE_SECONDS", 0.05)
    mirror = Mirror(f"file://{tmp_path}/store")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "state").write_text("1")
    for name in ("a", "b", "c"):
        Mirror(f"file://{tmp_path}/store").push(tmp_path / "own", name)
    removals, drop, away = Removals(mirror), mirror.drop, threading.Event()
    away.set()
    tried = threading.Event()

    def fails(name: str) -> None:
        tried.set()
        if away.is_set():
            raise StoreError("away")
        drop(name)

    monkeypatch.setattr(mirror, "drop", fails)
    removals.add("a")
    removals.add("never there")
    assert tried.wait(60)
    assert list((tmp_path / "store").iterdir())
    away.clear()
    removals.add("b")
    until(lambda: [path.name for path in (tmp_path / "store").iterdir()] == ["c"])
    away.set()
    removals.add("c")
    removals.finish()
    assert (tmp_path / "store" / "c" / "state").is_file()
