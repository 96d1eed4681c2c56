"""Which machines of a cluster answer: Ray itself gives a machine up only after a minute of silence."""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from collections.abc import Mapping

_SECONDS, _TIMEOUT_SECONDS, _SILENT_SECONDS = 4.0, 3.0, 10.0
_AT_A_TIME = 200

Address = tuple[str, int]


class Reachability:
    """A thread that connects to the machines of a cluster every few seconds.

    Args:
        seconds: seconds between two attempts.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._addresses: dict[str, Address] = {}
        self._answered: dict[str, float] = {}
        self._lock, self._ended = threading.Lock(), threading.Event()
        threading.Thread(target=self._work, name="reachability", daemon=True).start()

    def watch(self, addresses: Mapping[str, Address]) -> None:
        """Replace the machines to connect to.

        Args:
            addresses: address and port of each machine by its name.
        """
        now = time.monotonic()
        with self._lock:
            self._addresses = dict(addresses)
            self._answered = {name: self._answered.get(name, now) for name in addresses}

    def sentences(self) -> tuple[str, ...]:
        """Return a sentence for each machine that has not answered for more than ten seconds."""
        now = time.monotonic()
        with self._lock:
            silent = {name: now - self._answered[name] for name in self._addresses}
        return tuple(
            f"{name} ({self._addresses[name][0]}) cannot be reached for {seconds:.0f} seconds: its trainings"
            " continue if it comes back, and elsewhere once Ray has given it up"
            for name, seconds in silent.items()
            if seconds > _SILENT_SECONDS
        )

    def close(self) -> None:
        """End the thread soon."""
        self._ended.set()

    def _work(self) -> None:
        while not self._ended.wait(self._seconds):
            with self._lock:
                addresses = list(self._addresses.items())
            for first in range(0, len(addresses), _AT_A_TIME):
                answering = answering_of(dict(addresses[first : first + _AT_A_TIME]))
                now = time.monotonic()
                with self._lock:
                    self._answered |= {name: now for name in answering if name in self._answered}


def answering_of(addresses: Mapping[str, Address]) -> set[str]:
    """Return the names of the machines that answer in time, even if only to refuse the connection.

    Args:
        addresses: address, as a number, and port of each machine by its name.
    """
    pending: dict[int, tuple[str, socket.socket]] = {}
    answering, poll, end = set[str](), select.poll(), time.monotonic() + _TIMEOUT_SECONDS
    try:
        for name, address in addresses.items():
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            pending[connection.fileno()] = name, connection
            connection.connect_ex(address)
            poll.register(connection, select.POLLOUT)
        while len(answering) < len(addresses) and (left := end - time.monotonic()) > 0:
            for number, _ in poll.poll(1000 * left):
                name, connection = pending[number]
                poll.unregister(number)
                if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED):
                    answering.add(name)
    finally:
        for _, connection in pending.values():
            connection.close()
    return answering
