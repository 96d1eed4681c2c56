"""What a command must not write: the files that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from search_space.errors import SettingsError


def require_unread(written: Path, read: Iterable[Path], *, option: str, below: Iterable[Path] = ()) -> None:
    """Refuse to write what is read: it would be gone. Links to a file, by whatever name, are that file.

    Args:
        written: file or folder that will be written; it need not exist.
        read: files that are read, and folders of which the files are.
        option: how the user named what will be written, such as ``--output``.
        below: folders of which everything is read, too much to look at one by one.

    Raises:
        SettingsError: it is among what is read.
    """
    try:
        own = written.stat()
    except OSError:
        return  # what does not exist is not read
    hint = "give another path"
    for root in below:
        if root.resolve() in written.resolve().parents:
            raise SettingsError(
                f"{option} {written} would overwrite a file of {root}, which is read", hint=hint
            )
    for path in read:
        for file in [path, *path.iterdir()] if path.is_dir() else [path]:
            with suppress(OSError):
                if (other := file.stat()).st_dev == own.st_dev and other.st_ino == own.st_ino:
                    raise SettingsError(
                        f"{option} {written} would overwrite {file}, which is read", hint=hint
                    )
