"""What stands at a path that is no file, told before it is opened: a pipe may keep its reader for ever."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

# A link leads nowhere if its target is absent, or below a file, or the link itself.
_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def no_file(path: Path) -> str:
    """Return what a path is in words, if it is no file that can be read from beginning to end; else nothing.

    Raises:
        OSError: it cannot be told.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        if error.errno not in _NOWHERE:
            raise
        return f"a link to {path.readlink()}, which leads nowhere" if path.is_symlink() else "no such file"
    return "" if kind == stat.S_IFREG else _KINDS.get(kind, "no file")


def obstacle(folder: Path) -> str:
    """Return why nothing can be written into a folder, in words; nothing if it can be, or can be made."""
    try:
        place = next(each for each in (folder, *folder.parents) if no_file(each) != "no such file")
        kind = no_file(place) or "a file"
    except OSError as error:
        return f"{error.filename or folder}: {error.strerror}"
    if kind != "a folder":
        return f"{place} is {kind}"
    return "" if os.access(place, os.W_OK | os.X_OK) else f"nothing may be written into {place}"


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one; raise OSError if that cannot be told."""
    return _told(entry.is_dir)


def is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file, or a link to one; raise OSError if that cannot be told."""
    return _told(entry.is_file)


def _told(asked: Callable[[], bool]) -> bool:
    """Return what is asked of an entry; False for a link that leads nowhere."""
    try:
        return asked()
    except OSError as error:
        if error.errno in _NOWHERE:
            return False
        raise
