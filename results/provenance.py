"""Where a file comes from: its digest, and the versions of the programs that made it."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
