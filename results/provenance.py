"""The versions of the programs that made a file."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of the interpreter, of this project and of ``packages`` by name."""
    known = {"python": platform.python_version()}
    for package in ("movinas", *packages):
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            # Run from a checkout that is not installed: there is no version to record.
            continue
    return known
