"""Copies to a slow or broken store: what waits for them, what does not, and what a lost worker repeats."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from searcher.cluster.background_push import BackgroundPush
from searcher.cluster.checkpoint_mirror import Mirror, StoreError
from searcher.cluster.worker import TrialWorker
from tests.searcher.invented import invented
from tests.searcher.processes import until
from tests.searcher.searching import search


class Gate(Mirror):
    """A store whose copies wait while the gate is shut."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"file://{folder}/store")
        self.open = threading.Event()
        self.begun = threading.Event()
        self.open.set()

    def _write(self, path: Path, target: str) -> None:
        self.begun.set()
        self.open.wait()
        super()._write(path, target)


@contextmanager
def pushing(mirror: Mirror, folder: Path, patience: float = 0.0) -> Iterator[BackgroundPush]:
    push = BackgroundPush(mirror, folder / "here", "job", patience)
    push.begin()
    try:
        yield push
    finally:
        push.close()


def stored(folder: Path) -> str:
    path = folder / "store" / "job" / "state"
    return path.read_text() if path.exists() else ""


def test_only_what_is_measured_waits_for_its_copy(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with pushing(gate, tmp_path) as push:
        (push.folder / "state").write_text("1")
        push.keep(measured=True)
        assert stored(tmp_path) == "1"
        gate.open.clear()
        (push.folder / "state").write_text("22")
        push.keep(measured=False)
        assert stored(tmp_path) == "1", "the next epoch is trained meanwhile"
        (push.folder / "state").write_text("333")
        after = threading.Thread(target=push.keep, kwargs={"measured": False})
        after.start()
        # Two epochs ahead of the store would be one too many.
        after.join(0.3)
        assert after.is_alive() and push._asked == 2
        gate.open.set()
        after.join()
        push.keep(measured=True)
        assert stored(tmp_path) == "333"
        assert push.waited >= 0.3


def test_at_the_end_all_is_in(tmp_path: Path) -> None:
    with pushing(Mirror(f"file://{tmp_path}/store"), tmp_path) as push:
        for size in range(1, 9):
            (push.folder / "state").write_text("1" * size)
            push.keep(measured=False)
    assert stored(tmp_path) == "1" * 8


def test_weights_are_copied_before_the_epoch_is_over(tmp_path: Path) -> None:
    with pushing(Mirror(f"file://{tmp_path}/store"), tmp_path) as push:
        (push.folder / "log").write_text("half a line")
        (push.folder / "deep").mkdir()
        (push.folder / "deep" / "checkpoint.safetensors").write_bytes(b"weights")
        until((tmp_path / "store/job/deep/checkpoint.safetensors").exists)
        assert not (tmp_path / "store/job/log").exists(), "it is still written"


def test_a_store_that_fails_is_named_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    with pushing(Mirror(f"file://{store}"), tmp_path, patience=500) as push:
        store.write_text("no folder")
        (push.folder / "state").write_text("1")
        with caplog.at_level(logging.WARNING):
            push.keep(measured=False)
            until(lambda: "trying again" in caplog.text)
        assert f"the object store file://{store} cannot be used: " in caplog.text
        store.unlink()
        push.keep(measured=True)
        assert stored(tmp_path) == "1"


def test_a_store_that_stays_away_ends_the_training_with_its_name(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pushing(Mirror(f"file://{store}"), tmp_path) as push:
        store.write_text("no folder")
        (push.folder / "state").write_text("1")
        push.keep(measured=False)
        with pytest.raises(StoreError, match=f"the object store file://{store} cannot be used"):
            push.keep(measured=False)
        # Once it is there again, nothing of the earlier epochs is missing.
        store.unlink()
        push.keep(measured=True)
        assert stored(tmp_path) == "1"
        store.joinpath("job", "state").unlink()
        store.joinpath("job").rmdir()
        store.rmdir()
        store.write_text("no folder")
        (push.folder / "state").write_text("22")
        with pytest.raises(StoreError):
            push.keep(measured=True)


def test_a_lost_worker_costs_one_epoch_that_was_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with search(tmp_path / "run", trials=1, startup=1, rungs=[1, 4]) as plan:
        job = plan.next()
    assert job is not None
    log, gate = tmp_path / "log", Gate(tmp_path)
    config = {
        "job": job.to_json(), "evaluator": invented(log).to_json(), "threads": 1, "retry_seconds": 0.0,
        "mirror": f"file://{tmp_path}/store",
    }  # fmt: skip
    monkeypatch.setattr("searcher.cluster.worker.Mirror", lambda uri: gate)
    lost = TrialWorker(config)
    lost.step()
    gate.begun.clear()
    gate.open.clear()
    # The second epoch is reported, and its copy is under way when the worker is lost, for good.
    assert lost.step()["epoch"]["epoch"] == 2
    gate.begun.wait()
    monkeypatch.setattr("searcher.cluster.worker.Mirror", Mirror)
    other = TrialWorker(config)
    epochs = [other.step()["epoch"] for _ in range(4)]
    other.stop()
    gate.open.set()
    lost.stop()
    assert [(each["epoch"], each["metrics"] is not None) for each in epochs] == [
        (1, True), (2, False), (3, False), (4, True),
    ]  # fmt: skip
    trained = Counter(line.split()[1] for line in log.read_text().splitlines())
    assert trained == {"1": 1, "2": 2, "3": 1, "4": 1}
