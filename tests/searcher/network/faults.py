"""Faults of hosts and their network, at random and one after the other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tests.searcher.network.services import Site


def fault(site: Site, rng: random.Random) -> str:
    """Lets a random fault happen, and ends it; answers which it was.

    Args:
        site: hosts, which are whole before and afterwards.
        rng: source of chance.
    """
    kinds: dict[str, Callable[[Site, random.Random], None]] = {
        "worker cut": lambda site, rng: _cut(site, rng, "worker", 40),
        "database cut": lambda site, rng: _cut(site, rng, "database", 20),
        "store cut": lambda site, rng: _cut(site, rng, "store", 20),
        "driver cut": lambda site, rng: _cut(site, rng, "driver", 15),
        "slow link": _slow,
        "lossy link": _lossy,
        "new address": _moved,
        "power cut": _powerless,
    }
    kind = rng.choice(list(kinds))
    kinds[kind](site, rng)
    return kind


def _cut(site: Site, rng: random.Random, part: str, most: float) -> None:
    """Cuts a host off for 5 seconds or more."""
    hosts = {"worker": rng.choice(site.workers), "database": site.database, "store": site.store}
    with hosts.get(part, site.head).unplugged(rng.uniform(5, most)):
        pass


def _slow(site: Site, rng: random.Random) -> None:
    with rng.choice(site.workers).slow(1):
        time.sleep(rng.uniform(5, 15))


def _lossy(site: Site, rng: random.Random) -> None:
    with rng.choice(site.workers).relayed(200, loss=0.02):
        time.sleep(rng.uniform(5, 15))


def _moved(site: Site, rng: random.Random) -> None:
    """Gives a worker's host an address that no host has had."""
    host = rng.choice(site.workers)
    taken = {each.number for each in site.workers}
    host.move(rng.choice([number for number in range(10, 60) if number not in taken]))
    site.start_node(host)


def _powerless(site: Site, rng: random.Random) -> None:
    """Switches a worker's host off and on."""
    host = rng.choice(site.workers)
    host.off()
    time.sleep(rng.uniform(1, 5))
    host.on()
    site.start_node(host)
