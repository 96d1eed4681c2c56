"""A real PostgreSQL server in a folder of its own, for as long as a test wants it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Server:
    """A server that is reached through a socket in its folder; ``user`` runs it if that is not us."""

    folder: Path
    user: str | None

    @property
    def url(self) -> str:
        """The address of its database."""
        return f"postgresql://movinas@/postgres?host={self.folder}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        """Ends it at once, as a crash does: every connection is cut off."""
        self._control("-m", "immediate", "stop")

    def dump(self, password: str) -> str:
        """All that the database holds, as SQL."""
        program = binary("pg_dump")
        assert program is not None
        command = [program, "-h", str(self.folder), "-U", "movinas", "postgres"]
        env = os.environ | {"PGPASSWORD": password}
        return subprocess.run(command, check=True, env=env, capture_output=True, text=True).stdout

    def run(self, *command: str) -> None:
        """Runs one of its programs."""
        done = subprocess.run(
            command,
            check=False,
            cwd=self.folder,
            user=self.user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def _control(self, *words: str) -> None:
        control = binary("pg_ctl")
        assert control is not None
        self.run(control, "-D", str(self.folder / "data"), *words)


@contextmanager
def running(auth: str = "trust", password: str = "") -> Iterator[Server]:
    """An empty server; the test is skipped where there is none to be had.

    Args:
        auth: how clients prove who they are.
        password: of the user ``movinas``.
    """
    initdb = binary("initdb")
    if initdb is None or binary("pg_ctl") is None:
        pytest.skip("there is no PostgreSQL server (apt-get install postgresql)")
    user = unprivileged()
    # pytest's own temporary folders are private, and the server may be another user.
    folder = Path(tempfile.mkdtemp(prefix="pg-movinas-"))
    if user is not None:
        shutil.chown(folder, user)
    server = Server(folder, user)
    words = [initdb, "-D", str(folder / "data"), "-U", "movinas", "--auth", auth, "--no-sync"]
    if password:
        file = folder / "password"
        file.write_text(password)
        if user is not None:
            shutil.chown(file, user)
        words += ["--pwfile", str(file)]
    try:
        server.run(*words)
        server.start()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def binary(name: str) -> str | None:
    """Path of one of PostgreSQL's programs; None if it is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(installed[-1]) if installed else shutil.which(name)


def unprivileged() -> str | None:
    """The user to run a server as, since it refuses to run as root; None if that is us."""
    if os.geteuid() != 0:
        return None
    user = next((name for name in ("postgres", "nobody") if _exists(name)), None)
    if user is None:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return user


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
