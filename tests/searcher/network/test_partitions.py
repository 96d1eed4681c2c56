"""A search over hosts that share nothing, while the network between them fails."""

from __future__ import annotations

import pytest

from tests.searcher.network.services import Driver, site
from tests.searcher.processes import alive, until

pytestmark = pytest.mark.long


def test_a_search_over_hosts_that_share_nothing_outlives_a_lost_worker_and_a_lost_database() -> None:
    """Seconds only: longer failures, and more kinds of them, are in ``test_network_faults``."""
    with site(workers=2) as hosts, Driver(hosts, 0.2, trials=8) as driver:
        until(lambda: len(driver.epochs) >= 3)
        with hosts.workers[0].unplugged(4):
            pass
        known = len(driver.epochs)
        until(lambda: len(driver.epochs) > known)
        with hosts.database.unplugged(4):
            pass
        driver.finish()
        records = driver.check(8, redone=2)
        assert {line.partition(" ")[0] for line in driver.epochs} == {
            each.digest for each in records.candidates()
        }
        assert not any("checkpoints" in str(path) for path in (hosts.head.disk / "runs").rglob("*"))
        switched_on = [hosts.database, hosts.store, *hosts.hosts]
        running = [pid for host in switched_on for pid in host.processes()]
        assert len(running) > len(switched_on)
    until(lambda: not any(alive(pid) for pid in running))
