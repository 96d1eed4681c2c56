"""A real object store for tests: a process of its own that answers S3's interface."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.searcher.processes import until
from tests.searcher.ray_nodes import free_port


def require_object_store() -> None:
    """Skips a test where there is no server, with the reason."""
    if find_spec("moto") is None or find_spec("flask_cors") is None:
        pytest.skip("there is no object store (pip install moto flask flask-cors)")


@contextmanager
def store(log: Path | None = None) -> Iterator[str]:
    """An object store with a bucket called ``bucket``; yields its address.

    Args:
        log: file for a line a request; by default they are not kept.
    """
    require_object_store()
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        Path(log or "/dev/null").open("w") as told,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told) as server,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            until(lambda: _made_bucket(address))
            yield address
        finally:
            server.kill()


def _made_bucket(address: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).read()
    except OSError:
        return False
    return True
