"""The address of a cluster: its forms, and a test that the cluster can be reached."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

from search_space.errors import MovinasError

_TIMEOUT_SECONDS, _HELLO_SECONDS = 5.0, 2.0
_FORMS = "give auto on a node of the cluster, or HOST:PORT of its head, such as 10.0.0.1:6379"


class ClusterError(MovinasError):
    """The error that a cluster cannot be reached, or lacks what a run needs."""


def resolve(address: str) -> str:
    """Return the HOST:PORT of an address, after connecting to it.

    Ray itself would wait for minutes at a closed port, and where only one side encrypts.

    Args:
        address: HOST:PORT of the cluster's head, or ``auto`` for the value of RAY_ADDRESS, which a Ray job
            sets, or else for the cluster that ``ray start`` last started or joined on this machine.

    Raises:
        ClusterError: the address has another form, there is no cluster, it cannot be reached, or only one of
            it and this process encrypts what they say (RAY_USE_TLS).
    """
    host_port = _automatic_address() if address == "auto" else address
    host, port = _split(host_port)
    try:
        socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"no cluster can be reached at {host_port}: {error.strerror or error}",
            hint="is its head running, and does a firewall let this machine through?",
        ) from error
    encrypts = _encrypts(host, port)
    if encrypts is not None and encrypts != (os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")):
        does, here = ("encrypts what it says", "not 1") if encrypts else ("does not encrypt", "1")
        raise ClusterError(
            f"the cluster at {host_port} {does}, and RAY_USE_TLS is {here} here",
            hint="set RAY_USE_TLS, RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY, RAY_TLS_CA_CERT as its nodes do",
        )
    return f"{host}:{port}"


def _encrypts(host: str, port: int) -> bool | None:
    """Return whether a server speaks TLS; None if it cannot be told. No certificate is checked."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=_HELLO_SECONDS) as connection:
            context.wrap_socket(connection).close()
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            return True
        return False if error.reason == "WRONG_VERSION_NUMBER" else None
    except OSError:
        return None
    return True


def _automatic_address() -> str:
    """Return the address that RAY_ADDRESS or Ray's own note on this machine gives."""
    variable = os.environ.get("RAY_ADDRESS", "")
    if variable and variable not in ("auto", "local"):
        return variable
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        return note.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ClusterError(
            "--address auto: no cluster was started on this machine, and RAY_ADDRESS is not set",
            hint="start one (ray start --head), or give HOST:PORT of the head",
        ) from error


def _split(address: str) -> tuple[str, int]:
    """Split an address into host and port."""
    host, colon, port = address.rpartition(":")
    if "://" in address:
        raise ClusterError(
            f"{address!r} cannot be the address: a search must run on a node of its cluster",
            hint=f"{_FORMS}; from elsewhere, movinas launch submits the search as a job",
        )
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ClusterError(f"{address!r} is not an address", hint=_FORMS)
    return host.strip("[]"), int(port)
