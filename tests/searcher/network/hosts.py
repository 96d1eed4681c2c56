"""Hosts on one machine: namespaces of the kernel, joined by a switch whose links can be cut and slowed.

A host has its own address, name, processes, ``/tmp`` and shared memory: two of them share the kernel, the
disk that holds installed packages and this code, and the clock, unless ``ahead`` shifts it. All that belongs
to a host ends with its first process, which ends with the test's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.searcher.conftest import ROOT

NETWORK = "10.77.0"
_ADDRESSES = range(1, 60)
_PREFIX = "movinas-hosts-"
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
_REAPER = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
while True:
    signal.sigwait([signal.SIGCHLD])
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


def require_namespaces() -> None:
    """Skips a test where there can be no hosts, with the reason."""
    missing = [name for name in ("ip", "tc", "unshare", "nsenter", "setpriv") if shutil.which(name) is None]
    if os.geteuid() != 0:
        pytest.skip("hosts of their own network need root")
    if missing:
        pytest.skip(f"hosts of their own network need {', '.join(missing)}")
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "ip", "link", "add", "br0",
         "type", "bridge"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if tried.returncode != 0:
        pytest.skip(f"no hosts of their own network can be made here: {tried.stderr.strip()}")


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _bring_up(name: str, script: str, namespaces: Sequence[str]) -> tuple[subprocess.Popen[str], int]:
    """Starts the first process of new namespaces; answers it, and its number outside of them."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--fork", "--kill-child=KILL",
         "bash", "-ec", f"{script}\necho ready\nexec python3 -S -c '{_REAPER}'", name],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", f"{name} did not come up"
    return process, children(process.pid)[0]


class Switch:
    """The network that hosts are plugged into, in a namespace of its own."""

    def __init__(self) -> None:
        script = (
            f"ip link add br0 type bridge && ip address add {NETWORK}.254/24 dev br0 && ip link set br0 up"
        )
        self._process, self.pid = _bring_up("switch", script, ["--net", "--pid"])
        self.hosts: list[Host] = []
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> None:
        """Changes its links."""
        self.call("ip", *words)

    def call(self, *command: str) -> None:
        """Runs a command in its network."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--net", "--", *command],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts a command in its network, which ends with the test's process; its first line is read."""
        process = subprocess.Popen(
            ["nsenter", "--target", str(self.pid), "--net", "--", "setpriv", "--pdeathsig", "KILL", *command],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "ready\n", command
        return process

    def close(self) -> None:
        """Ends it and all links with it, and switches off all hosts, which would start Ray for ever."""
        for host in self.hosts:
            host.kill()
        self._process.kill()
        self._process.wait()


class Host:
    """A machine of the network; it is on until ``off``.

    Args:
        switch: network it is plugged into.
        folder: folder of this machine that holds its disk: what it sees as ``/tmp`` and ``/dev/shm``.
        name: name of the host, at most 10 characters.
        number: last part of its address.
        ahead: seconds by which its clock is ahead of this machine's.
    """

    def __init__(self, switch: Switch, folder: Path, name: str, number: int, ahead: int = 0) -> None:
        self.switch, self.folder, self.name, self.number, self.ahead = switch, folder, name, number, ahead
        self.disk = folder / name / "tmp"
        self._relay: subprocess.Popen[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self.pid = 0
        switch.hosts.append(self)
        self.on()

    @property
    def address(self) -> str:
        """Its address in the network."""
        return f"{NETWORK}.{self.number}"

    # Power and cable

    def on(self) -> None:
        """Switches it on; its disk is as it was."""
        for part in ("tmp", "shm"):
            (self.folder / self.name / part).mkdir(parents=True, exist_ok=True)
            (self.folder / self.name / part).chmod(0o1777)
        for part in ("home", "cache"):
            (self.disk / part).mkdir(exist_ok=True)
        lines = [f"hostname {self.name}", "ip link set lo up"]
        for path in _seen_by_all():
            target = self.disk / path.relative_to("/tmp")
            target.mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind '{path}' '{target}'")
        lines.append(f"mount --bind '{self.folder / self.name / 'shm'}' /dev/shm")
        lines.append(f"mount --rbind '{self.disk}' /tmp")
        self._process, self.pid = _bring_up(
            self.name, "\n".join(lines), ["--net", "--uts", "--mount", "--pid", "--mount-proc"]
        )
        self.switch.ip(
            "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid)
        )
        self.switch.ip("link", "set", self.link, "master", "br0", "up")
        self._set_address()

    @property
    def link(self) -> str:
        """Name of the switch's end of its cable."""
        return f"v-{self.name}"

    def _set_address(self) -> None:
        """Gives it its address; nobody has to ask for another's, so that lost hosts are silent."""
        commands = [
            "link set eth0 down",
            "address flush dev eth0",
            f"link set eth0 address {_mac(self.number)} up",
            f"address add {self.address}/24 dev eth0",
            f"route replace default via {NETWORK}.254",
            *(f"neigh replace {NETWORK}.{n} lladdr {_mac(n)} dev eth0 nud permanent" for n in _ADDRESSES),
        ]
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--net", "--", "ip", "-batch", "-"],
            input="\n".join(commands), check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def off(self) -> None:
        """Switches it off as a power cut does: its processes are gone, and its connections are not closed."""
        self.unplug()
        self.kill()
        # The kernel takes the other end of a cable away some time after its network.
        with suppress(AssertionError):
            self.switch.ip("link", "delete", self.link)

    def kill(self) -> None:
        """Ends all of its processes; its disk and its cable stay."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def move(self, number: int) -> None:
        """Gives it another address, as a machine gets one that comes back."""
        self.number = number
        self._set_address()

    def unplug(self) -> None:
        """Cuts it off; nobody is told, and packets are lost in both directions."""
        self.switch.ip("link", "set", self.link, "nomaster")

    def plug(self) -> None:
        """Ends ``unplug``, ``slow`` and ``relay``."""
        if self._relay is not None:
            self._relay.kill()
            self._relay.wait()
            self._relay = None
        self.switch.ip("link", "set", self.link, "master", "br0")

    @contextmanager
    def unplugged(self, seconds: float) -> Iterator[None]:
        """Cuts it off for the block and at least so long."""
        end = time.monotonic() + seconds
        self.unplug()
        try:
            yield
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            self.plug()

    @contextmanager
    def slow(self, megabits: float) -> Iterator[None]:
        """Lets so many megabits a second through in each direction while the block runs."""
        shape = ["root", "tbf", "rate", f"{megabits}mbit", "burst", "32kbit", "latency", "400ms"]
        self.switch.call("tc", "qdisc", "add", "dev", self.link, *shape)
        inside = ["nsenter", "--target", str(self.pid), "--net", "--", "tc", "qdisc"]
        subprocess.run([*inside, "add", "dev", "eth0", *shape], check=True)
        try:
            yield
        finally:
            self.switch.call("tc", "qdisc", "del", "dev", self.link, "root")
            subprocess.run([*inside, "del", "dev", "eth0", "root"], check=True)

    @contextmanager
    def relayed(self, milliseconds: float, loss: float = 0.0) -> Iterator[None]:
        """Delays each packet, in each direction, and loses a share of them, while the block runs."""
        if not Path("/dev/net/tun").exists():
            pytest.skip("packets are delayed by a program, which needs /dev/net/tun")
        program = [sys.executable, "-S", str(Path(__file__).with_name("relay.py"))]
        self._relay = self.switch.start(*program, self.link, str(milliseconds / 1000), str(loss))
        try:
            yield
        finally:
            self.plug()

    # Programs

    def environment(self) -> dict[str, str]:
        """Variables of its programs: nothing of the test's own but what finds Python's packages."""
        found = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ["PYTHONPATH"],
            "HOME": "/tmp/home",
            "XDG_CACHE_HOME": "/tmp/cache",
            "TMPDIR": "/tmp",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
        }
        if self.ahead:
            if not _FAKETIME.exists():
                pytest.skip("a shifted clock needs libfaketime (apt-get install libfaketime)")
            # Clocks that only measure spans run as everywhere.
            found |= {
                "LD_PRELOAD": str(_FAKETIME),
                "FAKETIME": f"{self.ahead:+d}s",
                "DONT_FAKE_MONOTONIC": "1",
            }
        return found

    def start(
        self, *command: str, env: dict[str, str] | None = None, user: str | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Starts a program on it, which ends with the test's process at the latest."""
        as_user = [] if user is None else [f"--reuid={user}", "--regid=nogroup", "--clear-groups"]
        words = [
            "nsenter", "--target", str(self.pid), "--net", "--uts", "--mount", "--pid", f"--wd={ROOT}", "--",
            "setpriv", *as_user, "--pdeathsig", "KILL", *command,
        ]  # fmt: skip
        return subprocess.Popen(words, env=self.environment() | (env or {}), text=True, **options)

    def call(
        self, *command: str, env: dict[str, str] | None = None, seconds: float = 300, **options: Any
    ) -> str:
        """Runs a program on it to its end; answers what it printed."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = self.start(*command, env=env, **{**pipes, **options})
        try:
            output, _ = process.communicate(timeout=seconds)
        finally:
            kill(process)
        assert process.returncode == 0, f"{self.name}: {' '.join(command)}: {output}"
        return output

    def processes(self) -> dict[int, str]:
        """Command of each of its processes, by its number outside."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.pid:
                try:
                    if (entry / "ns" / "pid").samefile(f"/proc/{self.pid}/ns/pid"):
                        found[int(entry.name)] = (
                            (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                        )
                except OSError:
                    continue
        return {pid: command for pid, command in found.items() if command}


def kill(process: subprocess.Popen[str]) -> None:
    """Kills a program that was started on a host."""
    for pid in children(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _mac(number: int) -> str:
    return f"02:00:0a:4d:00:{number:02x}"


def _seen_by_all() -> list[Path]:
    """This code and Python's packages, as far as a host's own /tmp would hide them."""
    paths = [
        Path(ROOT),
        Path(sys.prefix),
        *map(Path, filter(None, os.environ["PYTHONPATH"].split(os.pathsep))),
    ]
    below = {path.resolve() for path in paths if path.resolve().is_relative_to("/tmp")}
    return sorted(
        path for path in below if not any(path != other and path.is_relative_to(other) for other in below)
    )


def sweep() -> None:
    """Removes what networks of killed processes have left: their disks."""
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        if not Path("/proc", folder.name.removeprefix(_PREFIX).partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def network() -> Iterator[tuple[Switch, Path]]:
    """A switch and a folder for the disks of its hosts; at the end, all of it is gone."""
    require_namespaces()
    # Sockets are in it, whose paths may have about 100 characters.
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir="/tmp"))
    folder.chmod(0o755)
    switch = Switch()
    try:
        yield switch, folder
    finally:
        switch.close()
        shutil.rmtree(folder, ignore_errors=True)
