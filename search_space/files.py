"""Files that are whole or absent, whatever happens to the process or the machine."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEFAULT_CACHE = Path("~/.cache/movinas")
"""Where made and prepared data is kept, unless settings or options say otherwise."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` if the block succeeds, and is removed if it does not.

    The file has the permissions that the umask gives, even if a library that wrote it made it private. A
    device or a pipe, such as /dev/null, is no file to replace: it is yielded itself. A link stays what it is,
    and the file that it leads to is replaced.

    Args:
        path: the file to replace; its folder is made if it does not exist.
        durable: wait for the disk, so that the file survives a power cut and not only a killed process.
    """
    if path.is_char_device() or path.is_fifo():
        yield path
        return
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    # The kernel applies the umask to this one; asking for the umask itself would change it for a moment.
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = os.fstat(descriptor).st_mode
    os.close(descriptor)
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.chmod(mode & 0o777)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with replacing(path) as temporary:
        # Names of files need not be text; JSON reads what takes the place of such bytes as it was.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
