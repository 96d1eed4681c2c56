"""Where a cluster is: what ``--address`` may say, and whether somebody answers there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from search_space.errors import MovinasError

_SECONDS = 5.0
_FORMS = "give auto on a node of the cluster, or HOST:PORT of its head, such as 10.0.0.1:6379"


class ClusterError(MovinasError):
    """A cluster cannot be reached, or has not what a run needs."""


def resolve(address: str) -> str:
    """The HOST:PORT that an address means, after somebody was heard there.

    ``auto`` is what RAY_ADDRESS says, as it does inside of a Ray job, or else the cluster that ``ray start``
    was last told of on this machine. Ray itself would wait for minutes at a port where nobody listens.

    Raises:
        ClusterError: the address has another form, there is no cluster, or nobody answers.
    """
    found = _automatic() if address == "auto" else address
    host, port = _parts(found)
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"no cluster answers at {found}: {error.strerror or error}",
            hint="is its head running, and does a firewall let this machine through?",
        ) from error
    return f"{host}:{port}"


def _automatic() -> str:
    told = os.environ.get("RAY_ADDRESS", "")
    if told and told not in ("auto", "local"):
        return told
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        return noted.read_text().strip()
    except OSError as error:
        raise ClusterError(
            "--address auto: no cluster was started on this machine, and RAY_ADDRESS is not set",
            hint="start one (ray start --head), or give HOST:PORT of the head",
        ) from error


def _parts(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if "://" in address:
        raise ClusterError(
            f"the address {address!r}: a search drives its cluster from one of its nodes",
            hint=f"{_FORMS}; from elsewhere, movinas launch submits the search as a job",
        )
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ClusterError(f"the address {address!r} is none", hint=_FORMS)
    return host.strip("[]"), int(port)
