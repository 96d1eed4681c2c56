"""Real Ray processes on several nodes, killed, hung, short of room: every search ends whole all the same."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from searcher.cluster.heartbeat import ask_to_stop, last_beat
from searcher.record.channel import FolderChannel
from searcher.record.records import Records
from searcher.run.overview import overview
from searcher.run.run_log import read_log
from tests.searcher.driver import LAST, Driver
from tests.searcher.processes import alive, until

pytestmark = pytest.mark.long

OWN = {"MOVINAS_TESTED_BY": str(os.getpid())}
"""In the environment of every process of this module's cluster, which tells them from those of other runs."""

HANG = "01"
"""The digests that begin so belong to networks whose training never gets through its second epoch."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without room for trainings; tests add the nodes that they need, and take them away."""
    os.environ.update(OWN, RAY_AUTH_MODE="disabled")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield made
    finally:
        made.shutdown()


@contextmanager
def nodes(cluster: Any, *cpus: int) -> Iterator[list[Any]]:
    """Nodes with so many CPUs each; those that are there at the end are taken away."""
    made = [cluster.add_node(num_cpus=count, wait=False) for count in cpus]
    cluster.wait_for_nodes()
    try:
        yield made
    finally:
        for node in made:
            if node in cluster.list_all_nodes():
                cluster.remove_node(node, allow_graceful=False)


def trainers() -> list[int]:
    """Processes that train for this module's cluster, whoever their parent is by now."""
    found = []
    own = b"=".join(part.encode() for part in next(iter(OWN.items())))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, environment = ((entry / name).read_bytes() for name in ("cmdline", "environ"))
            except OSError:
                continue
            if b"TrialWorker" in command and own in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def test_a_killed_worker_a_killed_node_a_hang_and_a_wish_to_stop(tmp_path: Path, cluster: Any) -> None:
    before = set(trainers())
    options: dict[str, Any] = {
        "address": cluster.address,
        "trials": 12,
        "elastic": True,
        "rungs": [2, LAST],
        "hang": HANG,
        # Far more than a training takes on a busy machine; a single network hangs.
        "time_limit_minutes": 0.5,
        "strategy": "random",
    }
    driver = Driver(tmp_path, 0.3, **options)
    with nodes(cluster, 1, 1) as (first, _), driver:
        until(lambda: len(driver.workers()) >= 1 and len(driver.epochs) >= 4)
        os.kill(next(iter(driver.workers().values())), signal.SIGKILL)
        until(lambda: len(driver.epochs) >= 10)
        cluster.remove_node(first, allow_graceful=False)
        until(lambda: len(overview(driver.run).beat.nodes) == 2)  # type: ignore[union-attr]
        second = cluster.add_node(num_cpus=2)
        try:
            until(lambda: overview(driver.run).beat.running == 3)  # type: ignore[union-attr]
            told = overview(driver.run).text()
            assert "driven by process" in told and "nodes: 3 with 3 CPU and 0 GPU" in told
            ask_to_stop(FolderChannel(driver.run))
            driver.finish()
            assert "no driver is working on it" in overview(driver.run).text()
            assert len(Records.reading(driver.run).measurements("confirmation")) < 6, "there is more to do"
            with driver:
                driver.finish()
        finally:
            cluster.remove_node(second, allow_graceful=False)
    hung = sum(each.digest[0] in HANG for each in Records.reading(driver.run).candidates())
    records = driver.check(12, failed=hung, redone=4)
    assert hung and all(
        each.reason == "it took more than 0.5 minutes"
        for each in records.measurements()
        if each.status == "failed"
    )
    failed = next(each.digest for each in records.measurements() if each.status == "failed")
    assert [line["event"] for _, line in read_log(driver.run, failed)][-2:] == ["lost", "measured"]
    lost = [line["reason"] for _, line in read_log(driver.run) if line["event"] == "lost"]
    assert len(lost) > hung, "the killed worker's is in the log, too"
    until(lambda: not set(trainers()) - before)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_driver_killed_at_twenty_random_moments(tmp_path: Path, cluster: Any) -> None:
    driver = kill_and_finish(tmp_path, cluster, kills=20)
    longer = Driver(tmp_path, 0.0, address=cluster.address, trials=14)
    with nodes(cluster, 2), longer:
        longer.finish()
    assert len(Records.reading(driver.run).candidates()) == 14, "a finished run is extended"


def kill_and_finish(folder: Path, cluster: Any, kills: int) -> Driver:
    rng, before = random.Random(kills), set(trainers())
    driver = Driver(folder, 0.25, address=cluster.address, trials=12)
    with nodes(cluster, 2):
        for _ in range(kills):
            known = len(driver.epochs)
            driver.start()
            # Somewhere between joining the cluster and being done.
            until(lambda known=known: len(driver.epochs) > known or driver.process.poll() is not None)  # type: ignore
            time.sleep(rng.uniform(0, 1.5))
            driver.kill()
            until(lambda: not set(trainers()) - before)
        with driver:
            driver.finish()
    # An epoch under way at a kill is trained again, one a worker.
    driver.check(12, redone=2 * kills)
    return driver


def test_a_run_that_waits_says_for_what_and_can_be_stopped(tmp_path: Path, cluster: Any) -> None:
    driver = Driver(tmp_path, 0.0, address=cluster.address, gpus_per_trial=1)
    with nodes(cluster, 1), driver:
        until(lambda: "PENDING for 1" in (overview(driver.run).text() if driver.run.exists() else ""))
        told = overview(driver.run).text()
        assert "seconds: needs 1 GPU, cluster has 0" in told
        ask_to_stop(FolderChannel(driver.run))
        driver.finish(60)
    beat = last_beat(FolderChannel(driver.run))
    assert beat is not None and beat.state == "ended"
    assert len(Records.reading(driver.run).candidates()) == 1 and alive(os.getpid())
