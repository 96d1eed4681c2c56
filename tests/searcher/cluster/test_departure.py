"""Nodes and drivers that get SIGTERM, and SIGKILL after the grace: no update is lost, none is made twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import ray

from searcher.cluster.leaving import trains
from searcher.run.run_log import read_log
from tests.searcher.conftest import ROOT
from tests.searcher.driver import Driver
from tests.searcher.metadata import metadata
from tests.searcher.processes import lines, until
from tests.searcher.ray_nodes import GUARD, head, worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GRACE = 120.0
"""Seconds until SIGKILL. Schedulers give 30; what is told here is that nobody had to be killed,
however busy the machine is."""
UPDATES = 40
SECONDS = 8.0
"""Of an epoch."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    # Sockets below it have paths of at most about 100 characters.
    with tempfile.TemporaryDirectory(prefix="mvd-", dir="/tmp") as folder, head(Path(folder)) as address:
        yield address


def driver_of(folder: Path, address: str | None, seconds: float = SECONDS, **options: object) -> Driver:
    """A search of 2 candidates of 2 epochs."""
    own = {"trials": 2, "startup": 2, "rungs": [1, 2], "updates": UPDATES, "workers": 2}
    own |= {"confirm": False} | ({} if address is None else {"address": address})
    return Driver(folder, seconds, **{**own, **options})


def made(driver: Driver) -> list[str]:
    """A line for each update that was made."""
    return lines(Path(f"{driver.log}.updates"))


def under_way(driver: Driver, trainings: int = 2) -> bool:
    """Whether so many trainings are in the first half of an epoch, but not at its beginning."""
    last = {line.split()[0]: int(line.split()[-1]) for line in made(driver)}
    return sum(UPDATES // 20 < update < UPDATES // 2 for update in last.values()) >= trainings


def halves(folder: Path) -> int:
    """Number of trainings that were left in the middle of an epoch."""
    return sum('"update"' in path.read_text() for path in folder.rglob("state.json"))


def check_once(driver: Driver) -> None:
    """That every update of a whole search was made once."""
    counts = Counter(made(driver))
    assert set(counts.values()) == {1}, [line for line, count in counts.items() if count > 1]
    by_training: dict[str, list[tuple[int, int]]] = {}
    for line in made(driver):
        training, _, place = line.partition(" ")
        purpose, seed, epoch, update = place.split()
        by_training.setdefault(f"{training} {purpose} {seed}", []).append((int(epoch), int(update)))
    for places in by_training.values():
        assert places == [(n // UPDATES, n % UPDATES) for n in range(len(places))]


@pytest.mark.parametrize("everybody", [True, False], ids=["to every process", "to ray start alone"])
@pytest.mark.parametrize("store", [False, True], ids=["shared folder", "object store"])
def test_a_node_that_has_to_go_leaves_its_checkpoints(
    tmp_path: Path, address: str, everybody: bool, store: bool
) -> None:
    places: dict[str, Any] = {"checkpoints": f"file://{tmp_path}/store"} if store else {}
    guard = GUARD if everybody else []
    driver = driver_of(tmp_path, address, **places)
    with worker(address, tmp_path / "one") as one, worker(address, tmp_path / "two", guard=guard) as two:
        assert one.process.poll() is None
        with driver:
            until(lambda: under_way(driver))
            two.terminate(everybody=everybody)
            assert two.end(GRACE) < GRACE, "it was gone before anybody had to kill it"
            assert halves(tmp_path) == 1, "it did not wait for the end of an epoch"
            with worker(address, tmp_path / "three"):
                until(lambda: bool([line for _, line in read_log(driver.run) if line["event"] == "lost"]))
                driver.finish()
    check_once(driver)


def test_a_spot_machine_that_is_taken_away_leaves_its_checkpoints(tmp_path: Path, address: str) -> None:
    driver = driver_of(tmp_path, address, workers=1)
    with metadata() as told, worker(address, tmp_path / "one") as one:
        # Ray puts this machine's own address in the place of 127.0.0.1.
        own = address.replace("127.0.0.1", ray.util.get_node_ip_address())
        command = [sys.executable, "-m", "searcher.cluster.spot_notice", own, told.address]
        with (tmp_path / "notices").open("w") as log:
            watcher = subprocess.Popen(command, cwd=ROOT, stderr=log)
        try:
            with driver:
                until(lambda: told.asked > 0)
                until(lambda: under_way(driver, 1))
                told.take_away(datetime.now(UTC) + timedelta(minutes=10))
                until(lambda: not any(trains(pid) for pid in one.pids), GRACE)
                assert halves(tmp_path) == 1, "it did not wait for the end of an epoch"
                with worker(address, tmp_path / "two"):
                    driver.finish()
            assert not any(trains(pid) for pid in one.pids), "nothing new was started on it"
            one.end()
            assert watcher.wait(GRACE) == 0, "it ends with the node"
        finally:
            watcher.kill()
    check_once(driver)


def test_a_driver_that_has_to_go_has_its_workers_leave_their_checkpoints(
    tmp_path: Path, address: str
) -> None:
    driver = driver_of(tmp_path, address)
    with worker(address, tmp_path / "one"), worker(address, tmp_path / "two"):
        with driver:
            until(lambda: under_way(driver))
            assert driver.process is not None
            driver.process.send_signal(signal.SIGTERM)
            driver.process.wait(GRACE)
        assert halves(tmp_path) == 2
        with driver:
            driver.finish()
    check_once(driver)


def test_a_driver_on_one_machine_leaves_its_checkpoints(tmp_path: Path) -> None:
    # On a busy machine the second worker starts so late that the first would have ended by then.
    driver = driver_of(tmp_path, None, 5 * SECONDS)
    with driver:
        until(lambda: under_way(driver))
        assert driver.process is not None
        os.kill(driver.process.pid, signal.SIGTERM)
        driver.process.wait(GRACE)
    assert halves(tmp_path) == 2
    with driver:
        driver.finish()
    check_once(driver)
