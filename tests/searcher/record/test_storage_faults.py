"""Disks that fill up and databases that are started again: a run waits, and writes everything once."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from search_space.errors import RecordError
from searcher.cluster.heartbeat import Heartbeat
from searcher.plan.events import PhaseProgress
from searcher.record.candidate import Decision
from searcher.record.channel import FolderChannel
from searcher.record.records import Records
from searcher.record.retrying import Retrying
from searcher.record.storage import FILE
from tests.searcher.driver import Driver
from tests.searcher.postgresql import Server, running
from tests.searcher.processes import until
from tests.searcher.recording import IDENTITY, measurement, propose

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of our own to switch off."""
    with running() as found:
        yield found


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A real file system of that size; the test is skipped where none may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Writes until nothing more fits; answers the file to delete."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            return ballast


@contextmanager
def later(seconds: float, action: object) -> Iterator[None]:
    """Does something while the block runs."""
    assert callable(action)
    timer = threading.Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_a_record_on_a_full_disk_waits_for_space_and_is_whole(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        with Records.writing(disk / "run", IDENTITY, retry_seconds=30) as records:
            propose(records, 0)
            ballast, count = fill(disk), 1
            with later(1.5, ballast.unlink):
                # What still fits into the last page is written before the disk is full.
                while ballast.exists():
                    propose(records, count)
                    assert records.append(measurement(count))
                    count += 1
            records.decide(0, 1, Decision(True, "front 1"))
        read = Records.reading(disk / "run")
        assert [each.digest for each in read.candidates()] == [f"{n:016x}" for n in range(count)]
        assert len(read.measurements()) == count - 1
        assert read.candidates()[0].decisions and not list((disk / "run").glob("*.torn*"))


def test_without_retries_a_full_disk_ends_the_driver_and_the_next_one_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        with Records.writing(disk / "run", IDENTITY) as records:
            ballast = fill(disk)
            with pytest.raises(RecordError, match=r"No space left on device.*the same command to resume"):
                for count in range(1000):
                    records.append(measurement(count))
            known = len(records.measurements())
        ballast.unlink()
        with Records.writing(disk / "run", IDENTITY) as records:
            assert len(records.measurements()) == known
            assert records.append(measurement(2000))
        assert len(Records.reading(disk / "run").measurements()) == known + 1


def test_a_sign_of_life_on_a_full_disk_is_only_missing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        pulse = Heartbeat(FolderChannel(disk))
        fill(disk)
        pulse.beat(PhaseProgress("search", 1, 0, 0, 0))
        pulse.end()


def test_a_write_that_was_done_and_not_confirmed_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Records.writing(tmp_path / "run", IDENTITY, retry_seconds=30) as records:
        create = records.storage.create_new_trial
        calls = []

        def breaks_after(*words: object) -> int:
            calls.append(create(*words))  # type: ignore[arg-type]
            raise OSError("the answer was lost")

        monkeypatch.setattr(records.storage, "create_new_trial", breaks_after)
        assert records.append(measurement(0))
        propose(records, 0)
        assert len(calls) == 2
    read = Records.reading(tmp_path / "run")
    assert len(read.measurements()) == len(read.candidates()) == 1


def test_retries_end() -> None:
    def fails() -> None:
        raise OSError("away")

    began = time.monotonic()
    with pytest.raises(RecordError, match="'run' cannot be written: away"):
        Retrying("run", 1.2).do(fails)
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("away", [0.0, 2.0])
def test_a_database_that_is_started_again_costs_nothing(tmp_path: Path, server: Server, away: float) -> None:
    run = tmp_path / "run"
    with Records.writing(run, IDENTITY, server.url, retry_seconds=60) as records:
        propose(records, 0)
        server.stop()
        with later(away, server.start):
            assert records.append(measurement(0))
            propose(records, 1)
        (run / "driver.lease").unlink()
        with (
            pytest.raises(RecordError, match="is being written by another process"),
            Records.writing(run, IDENTITY),
        ):
            pass  # The server's own lock was taken again, too.
        records.close(0, "complete")
    read = Records.reading(run)
    assert [each.state for each in read.candidates()] == ["complete", "open"]
    assert len(read.measurements()) == 1


def test_a_driver_that_lost_its_lock_to_another_writes_nothing(tmp_path: Path, server: Server) -> None:
    run = tmp_path / "run"
    with Records.writing(run, IDENTITY, server.url, retry_seconds=2) as records:
        server.stop()
        server.start()
        (run / "driver.lease").unlink()
        with Records.writing(run, IDENTITY) as other:
            assert other.append(measurement(0))
            with pytest.raises(RecordError, match="is being written by another process"):
                records.append(measurement(1))
    assert len(Records.reading(run).measurements()) == 1


@pytest.mark.slow
def test_a_search_outlives_a_full_disk(tmp_path: Path) -> None:
    """Driver and workers wait: journal, checkpoints and logs all lie on the disk that is full."""
    with small_disk(tmp_path / "disk", 1024) as disk:
        driver = Driver(disk, 0.2, trials=8)
        with driver:
            until(lambda: len(driver.epochs) >= 4)
            ballast = fill(disk)
            time.sleep(5)
            known = len(driver.epochs)
            time.sleep(3)
            assert len(driver.epochs) <= known + 2
            ballast.unlink()
            driver.finish()
        # Epochs that could not be saved were trained again.
        driver.check(8, redone=10)


@pytest.mark.slow
def test_a_search_outlives_its_database(tmp_path: Path, server: Server) -> None:
    driver = Driver(tmp_path, 0.2, trials=8, storage=server.url)
    with driver:
        for epochs in (4, 12):
            until(lambda epochs=epochs: len(driver.epochs) >= epochs)  # type: ignore[misc]
            server.stop()
            time.sleep(2)
            server.start()
        driver.finish()
    driver.check(8)
    assert not (driver.run / FILE).exists()
