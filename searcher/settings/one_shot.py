"""The settings of a search by a supernet: what short trainings have and it has not."""

from __future__ import annotations

from typing import Any

from proxy_train.supernet.settings import SupernetSettings


def with_one_rung(data: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings, as given, with the one rung at which a supernet's candidates are measured.

    Without a supernet nothing changes. With one there is no pilot: it is about trainings of single networks.

    Raises:
        ValueError: something is given that only short trainings have.
    """
    if data.get("supernet") is None:
        search = data.get("search")
        if isinstance(search, dict) and search.get("strategy") == "tunas":
            raise ValueError("strategy tunas needs a supernet with a target: supernet: {target: 3e6}")
        return data
    given, default = data["supernet"], SupernetSettings.model_fields["epochs"].default
    if isinstance(given, SupernetSettings):
        given = given.model_dump()
    epochs = given.get("epochs", default) if isinstance(given, dict) else default
    search = data.get("search") or {}
    if data.get("hours") is not None:
        raise ValueError("hours plans short trainings: leave it out, and give supernet.epochs")
    if not isinstance(search, dict) or type(epochs) is not int or epochs < 1:
        return data  # their own fields refuse them
    # Settings that are written out have the rung.
    if search.get("rungs") not in (None, [epochs], (epochs,)):
        raise ValueError("a supernet measures candidates once: leave search.rungs out")
    if search.get("repeats") not in (None, 1):
        raise ValueError(
            "a supernet measures every candidate with the same weights: leave search.repeats out"
        )
    target = given.get("target") if isinstance(given, dict) else None
    if (search.get("strategy") == "tunas") != (target is not None):
        raise ValueError(
            "strategy tunas and supernet.target belong together: give the multiply-adds that the network is"
            " to have, or leave both out"
        )
    if data.get("pilot") not in (None, False):
        raise ValueError("a pilot trains single networks: leave it out with a supernet")
    return data | {"search": search | {"rungs": [epochs]}, "pilot": False}
