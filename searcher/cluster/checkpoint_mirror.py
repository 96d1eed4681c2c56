"""Checkpoints in an object store, for clusters whose nodes share no file system.

A training works in a folder of its own machine. Its files are copied to the store while it goes on, those of
a measured epoch before it counts as done (see ``background_push``), and a worker that resumes it, on any
machine, starts with the files of the store. Stores are those of pyarrow: ``s3://``, ``gs://``, ``abfss://``,
``hdfs://``, ``file://``, with credentials from their own environment variables.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pyarrow.fs import FileSelector, FileSystem, FileType

from search_space.errors import SettingsError

_CHUNK = 1 << 20


class StoreError(OSError):
    """The error that an object store cannot be used, which may pass."""


class Mirror:
    """The copies of trainings' folders below an address.

    Args:
        uri: address of a folder in a store, such as ``s3://bucket/movinas/actions``.

    Raises:
        SettingsError: it is not the address of a store.
    """

    def __init__(self, uri: str) -> None:
        try:
            self._files, self._base = FileSystem.from_uri(uri)
        except (ValueError, OSError) as error:
            raise SettingsError(
                f"checkpoints is {uri!r}: {error}",
                hint="write s3://bucket/folder, gs://..., or file:///folder",
            ) from error
        self._uri = uri
        self._pushed: dict[Path, tuple[int, int]] = {}

    def check(self) -> None:
        """Write a file to the store, and remove it.

        Raises:
            SettingsError: the store cannot be written.
        """
        path = f"{self._base}/.movinas-check"
        try:
            self._files.create_dir(self._base, recursive=True)
            with self._files.open_output_stream(path) as file:
                file.write(b"movinas")
            self._files.delete_file(path)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise SettingsError(
                f"checkpoints is {self._uri!r}, which cannot be written: {reason}",
                hint="check the address, and the credentials in the environment",
            ) from error

    def pull(self, name: str, folder: Path) -> None:
        """Replace the content of ``folder`` by the files under ``name`` in the store, if there are any."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        base = f"{self._base}/{name}"
        for info in self._files.get_file_info(FileSelector(base, allow_not_found=True, recursive=True)):
            if info.type != FileType.File or info.path.endswith(".part"):
                continue
            target = folder / info.path.removeprefix(base).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._files.open_input_stream(info.path) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
            self._pushed[target] = _stamp(target)

    def push(self, folder: Path, name: str, pattern: str = "*") -> None:
        """Copy the files of ``folder`` that have changed since the last copy to ``name`` in the store.

        Args:
            folder: folder of this machine.
            name: folder in the store.
            pattern: pattern of the names of the files; others wait for another call.
        """
        for path in sorted(folder.rglob(pattern)):
            # Such names mark files that are being written; see search_space.files.
            if not path.is_file() or path.name.startswith("."):
                continue
            stamp = _stamp(path)
            if self._pushed.get(path) != stamp:
                self._write(path, f"{self._base}/{name}/{path.relative_to(folder).as_posix()}")
                self._pushed[path] = stamp

    def error(self, cause: Exception) -> StoreError:
        """Return the error that the store cannot be used, which names it."""
        if isinstance(cause, StoreError):
            return cause
        reason = " ".join(str(cause).split())[:300]
        error = StoreError(f"the object store {self._uri} cannot be used: {reason}")
        error.__cause__ = cause
        return error

    def drop(self, name: str) -> None:
        """Remove the files under ``name`` from the store."""
        base = f"{self._base}/{name}"
        if self._files.get_file_info(base).type == FileType.Directory:
            self._files.delete_dir(base)

    def _write(self, path: Path, target: str) -> None:
        """Write a file that is visible only when it is whole, which object stores ensure by themselves."""
        is_local = self._files.type_name == "local"
        written = f"{target}.part" if is_local else target
        self._files.create_dir(target.rpartition("/")[0], recursive=True)
        with path.open("rb") as source, self._files.open_output_stream(written) as file:
            while block := source.read(_CHUNK):
                file.write(block)
        if is_local:
            self._files.move(written, target)


def _stamp(path: Path) -> tuple[int, int]:
    """Return modification time in nanoseconds and size in bytes, which tell whether a file has changed."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
