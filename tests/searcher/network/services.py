"""What runs on the hosts of a cluster: a database, an object store, Ray's nodes, a driver.

The object store is moto's server, a process of its own that answers S3's HTTP interface from its
memory: of what pip, apt and npm offer it was the only one that is kept and needs no settings. It checks no
signatures.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from searcher.record.records import Records
from searcher.run.overview import overview
from tests.searcher.conftest import ROOT
from tests.searcher.driver import check
from tests.searcher.network.hosts import Host, Switch, kill, network
from tests.searcher.object_store import require_object_store
from tests.searcher.postgresql import binary, unprivileged
from tests.searcher.processes import lines, until

RAY_PORT, STORE_PORT = 6379, 5000
_RAY = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
_KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
BUCKET = "checkpoints"


def require_services() -> None:
    """Skips a test where a server is missing, with the reason."""
    if binary("postgres") is None:
        pytest.skip("there is no PostgreSQL server (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    require_object_store()


class Site:
    """Hosts with a database, an object store, a head of Ray's that has the driver, and workers.

    Args:
        switch: network of the hosts.
        folder: folder of this machine for the hosts' disks.
        workers: number of hosts with a CPU for trainings each.
        ahead: seconds by which the clocks of single hosts are ahead, by name.
    """

    def __init__(
        self, switch: Switch, folder: Path, workers: int = 3, ahead: dict[str, int] | None = None
    ) -> None:
        self._switch, self._folder, self._ahead = switch, folder, ahead or {}
        self._started: dict[str, subprocess.Popen[str]] = {}
        self.head = self.host("head", 1)
        self.database, self.store = self.host("db", 2), self.host("store", 3)
        self.workers = [self.host(f"work{number}", 10 + number) for number in range(workers)]
        require_services()
        self.start_head(self.head)
        for worker in self.workers:
            self.start_node(worker)
        self.start_store()
        self.start_database()
        self.await_all()

    def host(self, name: str, number: int) -> Host:
        """Adds a host with nothing on it."""
        return Host(self._switch, self._folder, name, number, self._ahead.get(name, 0))

    @property
    def hosts(self) -> list[Host]:
        """Hosts that Ray runs on."""
        return [self.head, *self.workers]

    # Database

    @property
    def url(self) -> str:
        """Address of the database in the network."""
        return f"postgresql://movinas@{self.database.address}/postgres"

    @property
    def side_entrance(self) -> str:
        """Address of the database for this test, which needs no network."""
        return f"postgresql://movinas@/postgres?host={self.database.disk / 'pg'}"

    def start_database(self) -> None:
        """Starts a server that all hosts can reach."""
        server, initdb, user = binary("postgres"), binary("initdb"), unprivileged()
        assert server is not None and initdb is not None
        host, data = self.database, "/tmp/pg/data"
        if not (host.disk / "pg").exists():
            host.call("install", "-d", "-o", user or "root", "/tmp/pg")
            words = [initdb, "-D", data, "-U", "movinas", "--auth", "trust", "--no-sync"]
            process = host.start(*words, user=user, **_QUIET)
            assert process.wait(120) == 0
            with (host.disk / "pg" / "data" / "pg_hba.conf").open("a") as file:
                file.write("host all all 0.0.0.0/0 trust\n")
        options = ["-c", "listen_addresses=*", "-c", "unix_socket_directories=/tmp/pg", "-c", "fsync=off"]
        self._started["db"] = host.start(server, "-D", data, *options, user=user, **_QUIET)

    # Object store

    @property
    def checkpoints(self) -> str:
        """Address of the checkpoints; the store's own address is in ``variables``."""
        return f"s3://{BUCKET}/movinas"

    @property
    def variables(self) -> dict[str, str]:
        """Environment of drivers and workers."""
        return _RAY | _KEYS | {"AWS_ENDPOINT_URL": f"http://{self.store.address}:{STORE_PORT}"}

    def start_store(self) -> None:
        """Starts a store."""
        command = [sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", str(STORE_PORT)]
        self._started["store"] = self.store.start(*command, **_QUIET)

    def await_all(self) -> None:
        """Waits until database, store and head answer."""
        until(lambda: self._answers(self.database, 5432))
        until(lambda: self._answers(self.store, STORE_PORT))
        self.store.call("python3", "-c", _MAKE_BUCKET.format(port=STORE_PORT, bucket=BUCKET))
        until(lambda: self._answers(self.head, RAY_PORT))

    # Ray

    def start_head(self, host: Host) -> None:
        """Starts a head without room for trainings."""
        self.head = host
        command = ["--head", f"--port={RAY_PORT}", "--num-cpus=0", "--include-dashboard=false"]
        self._start_ray(host, command)

    def start_node(self, host: Host) -> None:
        """Starts a node with a CPU, again and again when it ends, as a service manager does."""
        self._start_ray(host, [f"--address={self.head.address}:{RAY_PORT}", "--num-cpus=1"])

    def _start_ray(self, host: Host, words: list[str]) -> None:
        if host.name in self._started:
            # As service managers do, with all that it has started.
            kill(self._started[host.name])
            for pid, command in host.processes().items():
                if "ray" in command:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        own = [f"--node-ip-address={host.address}", "--object-store-memory=80000000"]
        loop = 'while true; do "$@"; sleep 1; done'
        with (host.disk / "ray.log").open("a") as log:
            self._started[host.name] = host.start(
                "bash", "-c", loop, "ray", *ray, *own, *words, env=self.variables, stdout=log, stderr=log
            )

    def trainers(self) -> list[tuple[str, int]]:
        """Host and process of all that train."""
        return [
            (host.name, pid)
            for host in self.workers
            for pid, command in host.processes().items()
            if "TrialWorker" in command
        ]

    def _answers(self, host: Host, port: int) -> bool:
        """Whether something listens on a port of a host, asked on that host."""
        probe = f"import socket; socket.create_connection(('{host.address}', {port}), 2)"
        process = host.start("python3", "-S", "-c", probe, **_QUIET)
        return process.wait() == 0


_MAKE_BUCKET = """
import urllib.request
request = urllib.request.Request("http://127.0.0.1:{port}/{bucket}", method="PUT")
urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(request).read()
"""


class Driver:
    """A driver on a host of a site: a search over invented accuracies, and its confirmation.

    Args:
        site: hosts of the search.
        seconds: seconds of an epoch.
        name: name of the run.
        options: options of ``tiny_driver``.
    """

    def __init__(self, site: Site, seconds: float, name: str = "tiny", **options: object) -> None:
        self.site, self._seconds, self._name, self._options = site, seconds, name, options
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it on the host that is the head."""
        site = self.site
        given = {
            "name": self._name,
            "address": f"{site.head.address}:{RAY_PORT}",
            "storage": site.url,
            "checkpoints": site.checkpoints,
            "elastic": True,
        }
        words = [f"{key}={json.dumps(value)}" for key, value in (given | self._options).items()]
        program = [
            sys.executable,
            str(Path(ROOT, "tests/searcher/tiny_driver.py")),
            "/tmp/runs",
            self._log,
        ]
        with (site.head.disk / "driver.log").open("a") as log:
            self.process = site.head.start(
                *program, str(self._seconds), *words, env=site.variables, stdout=log, stderr=log
            )

    def finish(self, seconds: float = 500) -> None:
        """Waits until it has ended well."""
        assert self.process is not None
        code = self.process.wait(seconds)
        assert code == 0, (self.site.head.disk / "driver.log").read_text()[-5000:]

    def __enter__(self) -> Driver:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process is not None and self.process.poll() is None:
            kill(self.process)

    @property
    def _log(self) -> str:
        """File of the epochs on each host."""
        return f"/tmp/epochs-{self._name}"

    @property
    def epochs(self) -> list[str]:
        """A line for each epoch that was trained, on any host."""
        return [line for host in self.site.workers for line in lines(host.disk / Path(self._log).name)]

    def records(self) -> Records:
        """The record as it is now."""
        return Records.reading_from(self.site.side_entrance, self._name)

    def told(self) -> str:
        """What ``movinas status`` says, to somebody who has the database alone."""
        return overview(Path(self._name), self.site.side_entrance).text()

    def check(self, trials: int, *, redone: int) -> Records:
        """That nothing planned is lost or twice there, and no worker is left."""
        records = self.records()
        check(records, self.epochs, trials, redone=redone)
        until(lambda: not self.site.trainers(), 60)
        return records


@contextmanager
def site(workers: int = 3, ahead: dict[str, int] | None = None) -> Iterator[Site]:
    """Hosts and all that runs on them; at the end nothing of it is left."""
    with ExitStack() as held:
        switch, folder = held.enter_context(network())
        yield Site(switch, folder, workers, ahead)
