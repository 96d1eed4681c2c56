"""Checkpoints in an object store, for clusters whose nodes share no file system.

A training works in a folder of its own machine; what it saved is copied to the store before an epoch counts
as done, and whoever goes on with it, on whatever machine, begins with what the store has. Stores are those of
pyarrow: ``s3://``, ``gs://``, ``abfss://``, ``hdfs://``, ``file://``; who may write there they take from
their own environment variables.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pyarrow.fs import FileSelector, FileSystem, FileType

from search_space.errors import SettingsError

_CHUNK = 1 << 20


class Mirror:
    """The copies of trainings' folders below an address.

    Args:
        uri: of a folder in a store, such as ``s3://bucket/movinas/actions``.

    Raises:
        SettingsError: it is no address of a store.
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
        """Writes a file there, and takes it away.

        Raises:
            SettingsError: it cannot be written.
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
        """Makes ``folder`` what the store has under ``name``, empty if that is nothing."""
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

    def push(self, folder: Path, name: str) -> None:
        """Copies what has changed in ``folder`` since it was last pushed or pulled here."""
        for path in sorted(folder.rglob("*")):
            # Files that are being written have such names; see search_space.files.
            if not path.is_file() or path.name.startswith("."):
                continue
            stamp = _stamp(path)
            if self._pushed.get(path) != stamp:
                self._write(path, f"{self._base}/{name}/{path.relative_to(folder).as_posix()}")
                self._pushed[path] = stamp

    def drop(self, name: str) -> None:
        """Takes away what the store has under ``name``."""
        base = f"{self._base}/{name}"
        if self._files.get_file_info(base).type == FileType.Directory:
            self._files.delete_dir(base)

    def _write(self, path: Path, target: str) -> None:
        """A store shows a file when it is whole; a plain file system has to be helped."""
        plain = self._files.type_name == "local"
        place = f"{target}.part" if plain else target
        self._files.create_dir(target.rpartition("/")[0], recursive=True)
        with path.open("rb") as source, self._files.open_output_stream(place) as file:
            while block := source.read(_CHUNK):
                file.write(block)
        if plain:
            self._files.move(place, target)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
