"""Nodes of a Ray cluster as processes of this machine, started as schedulers start them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import ray

from searcher.cluster.leaving import descendants
from tests.searcher.conftest import ROOT
from tests.searcher.processes import alive, until

RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
GUARD = [sys.executable, "-m", "searcher.cluster.leaving", "25", "--"]
"""What a step of Slurm runs a node with."""


def free_port() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def certificates(folder: Path) -> dict[str, str]:
    """A certificate of this machine, and the variables that make Ray speak TLS with it."""
    key, own = folder / "tls.key", folder / "tls.crt"
    # Ray puts this machine's own address in the place of 127.0.0.1.
    names = f"subjectAltName=DNS:localhost,IP:127.0.0.1,IP:{ray.util.get_node_ip_address()}"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", names, "-keyout", str(key), "-out", str(own)],
        check=True, capture_output=True,
    )  # fmt: skip
    files = {"RAY_TLS_SERVER_CERT": own, "RAY_TLS_SERVER_KEY": key, "RAY_TLS_CA_CERT": own}
    return {"RAY_USE_TLS": "1"} | {name: str(path) for name, path in files.items()}


class Node:
    """A node: a process, and all that it starts."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        env = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT), **env}
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._known: set[int] = set()

    @property
    def pids(self) -> list[int]:
        """Its processes; those that lost their parent, too."""
        self._known |= {self.process.pid, *descendants(self.process.pid)}
        return [pid for pid in self._known if alive(pid)]

    def terminate(self, *, everybody: bool) -> None:
        """SIGTERM, to its first process or to all of them at once."""
        for pid in self.pids if everybody else [self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def end(self, grace: float = 0.0) -> float:
        """SIGKILL after a time of grace to what is still there; seconds until there was nothing left."""
        began = time.monotonic()
        while self.pids and time.monotonic() < began + grace:
            self.process.poll()
            time.sleep(0.05)
        spent = time.monotonic() - began
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        return spent


@contextmanager
def head(folder: Path, env: Mapping[str, str] | None = None, options: Sequence[str] = ()) -> Iterator[str]:
    """A head without room for trainings, below ``folder``; yields its address."""
    port = free_port()
    own = [f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}", *options]
    folder.mkdir(exist_ok=True)
    node = Node([*RAY, "--head", "--node-ip-address=127.0.0.1", *own], folder / "head.out", env or {})
    try:
        until(lambda: _answers(port))
        yield f"127.0.0.1:{port}"
    finally:
        node.end()


@contextmanager
def worker(
    address: str, log: Path, *, guard: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Iterator[Node]:
    """A node with room for a training."""
    own = [f"--address={address}", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
    node = Node([*guard, *RAY, *own], log, env or {})
    try:
        # One after another: two that start at once on one machine take each other's answers.
        until(lambda: "Ray runtime started" in log.read_text())
        yield node
    finally:
        node.end()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
