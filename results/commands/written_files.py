"""What a command must not write, refused beforehand: the impossible, what it reads, what is not its own.

One rule holds for every path that a user names: what the same command wrote before is written anew, and any
other file that is not empty stays: the command is refused. Files say themselves who wrote them, so that the
same command can be typed again after anything that ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from search_space.errors import SettingsError
from search_space.file_kind import no_file, obstacle

_HINT = "give another path"
_HINT_OWN = "give another path, or remove it"
_FREE = ("", "no such file", "a named pipe")


def require_file(written: Path, *, option: str, own: Callable[[Path], bool]) -> None:
    """Refuse a path at which no file can be written, and a file that another program wrote.

    Folders above it that do not exist are no fault: they are made.

    Args:
        written: file that will be written.
        option: how the user named it, such as ``--output``.
        own: function that tells whether a file that exists was written by the same command.

    Raises:
        SettingsError: it cannot be written, or is not to be overwritten.
    """
    try:
        kind = no_file(written)
    except OSError as error:
        raise SettingsError(f"{option} {written}: {error.strerror}", hint=_HINT) from error
    if kind not in _FREE and not kind.startswith("a link") and not written.is_char_device():
        raise SettingsError(f"{option} {written} is {kind}", hint="give the path of a file")
    _require_place(written.parent, f"{option} {written}")
    if not kind and _is_foreign(written, own):
        raise SettingsError(
            f"{option} {written} would overwrite what this command did not write", hint=_HINT_OWN
        )


def require_folder(written: Path, *, option: str) -> None:
    """Refuse a path below which nothing can be written; a folder that does not exist is made.

    Args:
        written: folder that files will be written into.
        option: how the user named it, such as ``--output``.

    Raises:
        SettingsError: it cannot be written.
    """
    _require_place(written, f"{option} {written}")


def require_files(folder: Path, names: Iterable[str], *, own: Callable[[Path], bool], option: str) -> None:
    """Refuse a folder in which files cannot be written, or that holds one of them of another program.

    Args:
        folder: folder that files will be written into.
        names: names of the files.
        own: function that tells whether a file that exists was written by the same command.
        option: how the user named the folder, such as ``--output``.

    Raises:
        SettingsError: they cannot be written, or are not to be overwritten.
    """
    require_folder(folder, option=option)
    held = [name for name in names if (folder / name).exists() and _is_foreign(folder / name, own)]
    if held:
        raise SettingsError(
            f"{option} {folder} holds {', '.join(held)}, which this command did not write",
            hint="give another folder, or remove them",
        )


def _is_foreign(path: Path, own: Callable[[Path], bool]) -> bool:
    """Return whether something exists that is not to be overwritten; an empty file holds nothing to lose."""
    try:
        return not path.is_file() or (path.stat().st_size > 0 and not own(path))
    except OSError:
        return True  # what cannot be read is not known


def _require_place(folder: Path, what: str) -> None:
    why = obstacle(folder)
    if why:
        raise SettingsError(f"{what} cannot be written: {why}", hint=_HINT)


def require_unread(written: Path, read: Iterable[Path], *, option: str) -> None:
    """Refuse to write what is read: it would be gone. Links to a file, by whatever name, are that file.

    Args:
        written: file or folder that will be written; it need not exist.
        read: files that are read, and folders of which the files are.
        option: how the user named what will be written, such as ``--output``.

    Raises:
        SettingsError: it is among what is read.
    """
    try:
        own = written.stat()
    except OSError:
        return  # what does not exist is not read
    for path in read:
        for file in [path, *path.iterdir()] if path.is_dir() else [path]:
            with suppress(OSError):
                if (other := file.stat()).st_dev == own.st_dev and other.st_ino == own.st_ino:
                    raise SettingsError(
                        f"{option} {written} would overwrite {file}, which is read", hint=_HINT
                    )
