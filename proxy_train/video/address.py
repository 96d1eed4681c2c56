"""Addresses of videos that come over a network or a pipe, and how they are named without their secrets."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from search_space.errors import DataError

STANDARD_INPUT = "-"
_PIPE = "pipe:0"
_SECONDS = 10.0
# What arrives must not make FFmpeg open anything else, such as a playlist that names files of this machine.
# RTSP through TCP passes firewalls and loses nothing. A buffer that overflows loses packets, not the stream.
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "rtsp": {"rtsp_flags": "prefer_tcp"},
    "rtsps": {"rtsp_flags": "prefer_tcp"},
    "http": {},
    "https": {},
    "udp": {"protocol_whitelist": "udp", "overrun_nonfatal": "1"},
    "tcp": {"protocol_whitelist": "tcp"},
    "pipe": {"protocol_whitelist": "pipe"},
}
_SCHEMES = tuple(scheme for scheme in _OPTIONS if scheme != "pipe")
_HAS_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a video that FFmpeg opens.

    Args:
        url: address with all that it holds; never shown or written.
        name: the same without user, password and query, for people and files.
        options: options of the protocol.
        opening: most seconds that opening may take; None if it waits until a sender calls.
        reading: most seconds between two packets; None if it waits for as long as the pipe is open.
    """

    url: str
    name: str
    options: Mapping[str, str]
    opening: float | None = _SECONDS
    reading: float | None = _SECONDS

    @classmethod
    def parse(cls, source: str) -> Address | None:
        """Read an address, or ``-`` for standard input; None if it is neither.

        Raises:
            DataError: addresses of this kind are not read, or nothing is piped into standard input.
        """
        if source == STANDARD_INPUT:
            if sys.stdin is None or sys.stdin.isatty():
                raise DataError(
                    "- is standard input, and nothing is piped into it",
                    hint="pipe a video into this command, such as: cat video.ts | movinas stream MODEL -",
                )
            return cls(_PIPE, "standard input", _OPTIONS["pipe"], None, None)
        match = _HAS_SCHEME.match(source)
        if match is None:
            return None
        scheme, name = match[1].lower(), without_secrets(source)
        if scheme not in _SCHEMES:
            raise DataError(
                f"{name}: addresses that begin with {scheme}:// are not read",
                hint=f"give the path of a file, or an address of {', '.join(_SCHEMES)}",
            )
        waits = "listen" in source.partition("?")[2]
        return cls(source, name, _OPTIONS[scheme], None if waits else _SECONDS)


def without_secrets(address: str) -> str:
    """Return an address without user, password and query, any of which may be secret."""
    scheme, _, rest = address.partition("://")
    host = re.split("[/?#]", rest)[0]
    path = rest[len(host) :]
    if "@" in path:
        # A password with a slash or a question mark in it is not told from a path: nothing is shown.
        return f"{scheme}://..."
    return f"{scheme}://{host.rpartition('@')[2]}{re.split('[?#]', path)[0]}"
