"""Long cuts, slow links, lost drivers, shifted clocks: every search over several hosts ends whole."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.searcher.network.faults import fault
from tests.searcher.network.hosts import kill
from tests.searcher.network.services import Driver, Site, site
from tests.searcher.processes import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Site]:
    """Hosts that the tests share, one after the other."""
    with site() as made:
        yield made


@pytest.mark.parametrize(
    ("part", "seconds", "told"),
    [
        ("worker", 90, "WAITING: work0 (10.77.0.10) cannot be reached for"),
        ("database", 60, "no sign of life for"),
        ("store", 60, "the object store s3://checkpoints/movinas"),
        ("driver", 120, "no sign of life for"),
    ],
)
def test_a_long_cut_is_told_of_and_nothing_is_lost_or_done_twice(
    hosts: Site, part: str, seconds: float, told: str
) -> None:
    cut = {"worker": hosts.workers[0], "database": hosts.database, "store": hosts.store, "driver": hosts.head}
    with Driver(hosts, 0.5, part, trials=24) as driver:
        until(lambda: len(driver.epochs) >= 4)
        with cut[part].unplugged(seconds):
            until(lambda: told in driver.told(), seconds)
        driver.finish()
        # Of each training that was under way, at most one epoch.
        driver.check(24, redone=3)


def test_a_host_that_comes_back_with_another_address_works_again(hosts: Site) -> None:
    moved = hosts.workers[2]
    with Driver(hosts, 0.3, "moved", trials=16) as driver:
        until(lambda: len(driver.epochs) >= 4)
        moved.unplug()
        moved.move(30)
        moved.plug()
        hosts.start_node(moved)
        driver.finish()
        driver.check(16, redone=3)
    with Driver(hosts, 0.3, "after", trials=8) as driver:
        driver.finish()
        driver.check(8, redone=0)
    assert (moved.disk / "epochs-after").stat().st_size > 0


def test_slow_and_lossy_links_cost_nothing_but_time(hosts: Site) -> None:
    near, far, _ = hosts.workers
    with far.relayed(200, loss=0.02), near.slow(1), Driver(hosts, 0.3, "slow", trials=12) as driver:
        driver.finish()
        driver.check(12, redone=0)


def test_a_driver_on_another_host_resumes_a_lost_one_s_run_with_the_same_command() -> None:
    """Nothing is copied: the record is in the database, the checkpoints are in the store."""
    with site() as hosts, Driver(hosts, 0.5, trials=16) as driver:
        until(lambda: len(driver.epochs) >= 8)
        lost = hosts.head
        lost.off()
        known = len(driver.records().measurements())
        hosts.start_head(hosts.host("second", 4))
        for worker in hosts.workers:
            hosts.start_node(worker)
        driver.start()
        driver.finish()
        # Three trainings were under way.
        records = driver.check(16, redone=3)
        assert 0 < known < len(records.measurements()) and not (hosts.head.disk / lost.name).exists()


def test_clocks_that_differ_by_ten_minutes_change_nothing() -> None:
    # Not the head's or the database's: neither Ray's control service nor initdb runs under libfaketime.
    with site(ahead={"work0": 600, "looker": 600}) as hosts, Driver(hosts, 0.3, trials=12) as driver:
        until(lambda: "search now:" in driver.told())
        looker, command = hosts.host("looker", 6), ["status", "tiny", "--storage", hosts.url]
        told = looker.call(sys.executable, "-m", "movinas", *command, env=hosts.variables)
        assert "driven by process" in told and "silent" not in told
        driver.finish()
        driver.check(12, redone=0)


def test_a_second_driver_on_another_host_is_refused(hosts: Site) -> None:
    with Driver(hosts, 0.5, "twice", trials=8) as driver:
        until(lambda: len(driver.epochs) >= 2)
        first, other = hosts.head, hosts.host("other", 5)
        second = Driver(hosts, 0.5, "twice", trials=8)
        hosts.head = other
        second.start()
        hosts.head = first
        assert second.process is not None and second.process.wait(300) != 0
        assert "is being written by another process" in (other.disk / "driver.log").read_text()
        kill(second.process)
        driver.finish()
        driver.check(8, redone=0)


def test_twenty_random_faults_in_a_search_of_two_hundred_trainings(hosts: Site) -> None:
    rng, happened = random.Random(20), list[str]()
    options: dict[str, Any] = {"trials": 200, "rungs": [2], "strategy": "random"}
    with Driver(hosts, 1.5, "random", **options) as driver:
        for _ in range(20):
            known = len(driver.epochs)
            until(lambda known=known: len(driver.epochs) > known)  # type: ignore[misc]
            happened.append(fault(hosts, rng))
        assert driver.process is not None and driver.process.poll() is None, "all of them hit the search"
        driver.finish(1000)
        # Of each training that was under way, at most one epoch a fault.
        records = driver.check(200, redone=3 * len(happened))
        assert len(records.measurements("search")) == 200
