"""A driver process for the tests that kill one: a search and its confirmation on real workers.

Usage: tiny_driver.py OUTPUT LOG SECONDS [key=value ...], where a key is one of the search's settings, or
name, address, storage, checkpoints, updates of an epoch, confirm: whether it does, or hang: the first
characters of digests whose training hangs
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from search_space.errors import Stopped
from search_space.termination import interrupt_on_termination
from searcher.plan.events import Event, Measured
from searcher.run.session import Session
from searcher.settings.settings import Settings
from searcher.testing.domains import TINY_SPACE
from tests.searcher.invented import invented


def tiny_settings(output: Path, **search: Any) -> Settings:
    """A run over a space of 6,561 small networks; every search setting can be given."""
    defaults = {
        "trials": 12,
        "startup": 4,
        "workers": 2,
        "rungs": [1, 2, 4],
        "reduction": 2,
        "cpus_per_trial": 1,
    }
    return Settings.model_validate(
        {
            "name": "tiny",
            "output": output,
            "space": TINY_SPACE,
            "search": defaults | search,
            "confirmation": {"epochs": 6, "seeds": 2, "members": 3},
            "family": {"epochs": 7},
        }
    )


def main() -> None:
    """Runs a search and its confirmation, and prints a line a measurement."""
    output, log, seconds, *rest = sys.argv[1:]
    search = {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in rest)}
    address, hang, updates = (search.pop(key, None) for key in ("address", "hang", "updates"))
    confirm = search.pop("confirm", True)
    places = {"name": search.pop("name", "tiny")} | {
        key: search.pop(key, None) for key in ("storage", "checkpoints")
    }

    def show(event: Event) -> None:
        if isinstance(event, Measured):
            sys.stdout.write(f"{event.measurement.digest} {event.measurement.fidelity.key}\n")
            sys.stdout.flush()

    settings = tiny_settings(Path(output), **search).model_copy(update=places)
    evaluator = invented(Path(log), float(seconds), hang=hang or "", updates=updates or 1)
    interrupt_on_termination()
    with (
        suppress(Stopped),
        Session.open(settings, evaluator, classes=16, on_event=show, address=address) as session,
    ):
        session.search()
        if confirm:
            session.confirm()


if __name__ == "__main__":
    main()
