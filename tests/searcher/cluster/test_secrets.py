"""Clusters that ask for a token and speak TLS, records with a password, stores with keys: none of it is told.

A search of the command line runs on a real cluster over a real database and a real object store; everything
that it leaves anywhere is searched for what was planted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from searcher.testing.domains import TINY_SPACE
from tests.searcher.conftest import ROOT
from tests.searcher.object_store import store
from tests.searcher.postgresql import running
from tests.searcher.ray_nodes import certificates, head, worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SECRETS = {
    "PGPASSWORD": "geheim-of-the-database",
    "AWS_SECRET_ACCESS_KEY": "geheim-of-the-store",
    "AWS_SESSION_TOKEN": "geheim-of-the-session",
    "WANDB_API_KEY": "geheim-of-the-tracker",
    "RAY_AUTH_TOKEN": "9e11ce1a" * 8,
}
PLANTED = [b"geheim-of", SECRETS["RAY_AUTH_TOKEN"].encode()]


class Watch:
    """What every user of this machine can see of all processes: their command lines, over and over."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue


def movinas(*words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """A command, and what it said."""
    return subprocess.run(
        [sys.executable, "-m", "movinas", *words], cwd=ROOT, env=env, capture_output=True, check=False
    )


def settings_of(folder: Path, **changes: Any) -> str:
    """Settings of a search of two real trainings."""
    data = {
        "name": "kept", "output": str(folder / "runs"), "space": TINY_SPACE,
        "data": {"preset": "tiny", "cache": str(Path("~/.cache/movinas").expanduser())},
        "pilot": False, "search": {"trials": 2, "startup": 2, "workers": 1, "rungs": [1]},
        "confirmation": {"epochs": 1, "seeds": 1, "members": 1}, "family": {"epochs": 1},
    }  # fmt: skip
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(data | changes))
    return str(path)


def telling(content: bytes) -> list[bytes]:
    """What is around each planted secret in some content."""
    return [
        content[max(0, (at := content.find(word)) - 300) : at + 40] for word in PLANTED if word in content
    ]


def files_with_secrets(*folders: Path) -> list[tuple[str, bytes]]:
    """The files below folders that hold something planted, with what is around it."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [(str(path), around) for path in paths for around in telling(path.read_bytes())]


@pytest.mark.parametrize("in_url", [False, True], ids=["password in the environment", "password in storage"])
def test_nothing_that_is_secret_is_told(tmp_path: Path, in_url: bool) -> None:
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    session = Path(tempfile.mkdtemp(prefix="mvs-", dir="/tmp"))
    tls = certificates(tmp_path)
    password = SECRETS["PGPASSWORD"]
    with running(auth="scram-sha-256", password=password) as database, store() as objects, Watch() as watch:
        env = os.environ | SECRETS | tls | {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
        env |= {"AWS_ACCESS_KEY_ID": "someone", "AWS_ENDPOINT_URL": objects, "AWS_REGION": "us-east-1"}
        nodes = {key: value for key, value in env.items() if key != "PGPASSWORD"}
        storage = database.url
        if in_url:
            del env["PGPASSWORD"]
            storage = storage.replace("movinas@", f"movinas:{password}@")
        settings = settings_of(tmp_path, storage=storage, checkpoints="s3://bucket/checkpoints")
        with head(session, nodes) as address, worker(address, tmp_path / "node", env=nodes):
            told = [movinas("search", settings, "--address", address, env=env)]
            assert told[0].returncode == 0, told[0].stderr.decode()[-2000:]
            run = str(tmp_path / "runs" / "kept")
            reading = env | {"PGPASSWORD": password}
            told += [movinas(*words, run, env=reading) for words in (("status",), ("log",), ("report",))]
            told.append(movinas("launch", settings, "--dry-run", env=env))
        dump = database.dump(password).encode()
        assert b"kept" in dump and list(Path(run).rglob("report.html"))
    said = b"".join(each.stdout + each.stderr for each in told)
    for texts in ([said], [dump], watch.seen):
        assert not [around for text in texts for around in telling(text)]
    assert any(b"raylet" in command for command in watch.seen), "it saw the cluster"
    Path(settings).unlink()
    assert not files_with_secrets(tmp_path, session)
    assert sum(1 for _ in session.rglob("*.out")) > 5, "Ray's logs are among what was searched"


def test_a_driver_with_another_token_with_none_or_without_tls_does_not_join(tmp_path: Path) -> None:
    session, tls = Path(tempfile.mkdtemp(prefix="mvs-", dir="/tmp")), certificates(tmp_path)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": SECRETS["RAY_AUTH_TOKEN"]}
    search = settings_of(tmp_path)
    other = {"RAY_AUTH_TOKEN": "f" * 64}
    refused = "cannot be joined"
    with head(session, tls | token) as address:
        for wrong, told in (
            (tls | token | other, refused),
            (tls | {"RAY_AUTH_MODE": "disabled"}, refused),
            (token, "encrypts what it says, and RAY_USE_TLS is not 1 here"),
        ):
            env = {**os.environ, **wrong}
            with subprocess.Popen(
                [sys.executable, "-m", "movinas", "search", search, "--address", address], cwd=ROOT, env=env,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
            ) as driver:  # fmt: skip
                try:
                    _, errors = driver.communicate(timeout=170)
                except subprocess.TimeoutExpired:
                    os.killpg(driver.pid, signal.SIGKILL)
                    raise
            assert driver.returncode not in (0, None) and told in errors, errors[-2000:]
