"""Checkpoints in an object store, for clusters whose nodes share no file system.

A training works in a folder of its own machine. Its files are copied to the store while it goes on, those of
a measured epoch before it counts as done (see ``background_push``), and a worker that resumes it, on any
machine, starts with the files of the store. Stores are those of pyarrow: ``s3://``, ``gs://``, ``abfss://``,
``hdfs://``, ``file://``, with credentials from their own environment variables.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from pyarrow.fs import AwsStandardS3RetryStrategy, FileSelector, FileSystem, FileType, S3FileSystem

from search_space.errors import SettingsError

_LOG = logging.getLogger(__name__)
_CHUNK = 1 << 20
_ATTEMPTS = 3
_PAUSE_SECONDS, _RETRY_SECONDS = 30.0, 2.0
_WITHOUT_FOLDERS = frozenset({"s3", "gcs"})
"""Kinds of stores in which a file needs no folder, and making one takes three requests."""

_DELAYED = "allow_delayed_open"
"""Option of pyarrow, newer than version 19, by which a small file is one request."""


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
            files, self._base = FileSystem.from_uri(uri)
        except (ValueError, OSError) as error:
            raise SettingsError(
                f"checkpoints is {uri!r}: {error}",
                hint="write s3://bucket/folder, gs://..., or file:///folder",
            ) from error
        self._files = _impatient(files)
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

    def pull(self, name: str, folder: Path, patience: float = 0.0) -> None:
        """Replace the content of ``folder`` by the files under ``name`` in the store, if there are any.

        Args:
            name: folder in the store.
            folder: folder of this machine.
            patience: seconds for which a store that cannot be used is tried again.

        Raises:
            StoreError: the store cannot be used.
        """
        end = time.monotonic() + patience
        while True:
            try:
                self._pull(name, folder)
                return
            except StoreError as error:
                if time.monotonic() > end:
                    raise
                _LOG.warning("%s: waiting, and trying again", error)
                time.sleep(_RETRY_SECONDS)

    def _pull(self, name: str, folder: Path) -> None:
        """Try to pull a folder; see ``pull``."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        base = f"{self._base}/{name}"
        with self._named():
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

        Raises:
            StoreError: the store cannot be used.
        """
        for path in sorted(folder.rglob(pattern)):
            # Such names mark files that are being written; see search_space.files.
            if not path.is_file() or path.name.startswith("."):
                continue
            stamp = _stamp(path)
            if self._pushed.get(path) != stamp:
                with self._named():
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
        """Remove the files under ``name`` from the store.

        Raises:
            StoreError: the store cannot be used.
        """
        with self._named(), suppress(FileNotFoundError):
            self._files.delete_dir(f"{self._base}/{name}")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the store in errors of the block, but for those of a full disk here."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise self.error(error) from error

    def _write(self, path: Path, target: str) -> None:
        """Write a file that is visible only when it is whole, which object stores ensure by themselves."""
        is_local = self._files.type_name == "local"
        written = f"{target}.part" if is_local else target
        if self._files.type_name not in _WITHOUT_FOLDERS:
            self._files.create_dir(target.rpartition("/")[0], recursive=True)
        with path.open("rb") as source, self._files.open_output_stream(written) as file:
            while block := source.read(_CHUNK):
                file.write(block)
        if is_local:
            self._files.move(written, target)


class Removals:
    """Folders of a store that nobody needs, removed in a thread: nobody waits for the store meanwhile.

    While it cannot be used, they are removed later.

    Args:
        mirror: store that holds them; None if there is no store, and nothing to do.
    """

    def __init__(self, mirror: Mirror | None) -> None:
        self._mirror = mirror
        self._names: list[str] = []
        self._changed = threading.Condition()
        self._finishing = False
        self._thread: threading.Thread | None = None

    def add(self, name: str) -> None:
        """Have a folder removed."""
        if self._mirror is None:
            return
        with self._changed:
            self._names.append(name)
            self._changed.notify_all()
            if self._thread is None:
                work = partial(self._run, self._mirror)
                self._thread = threading.Thread(target=work, name="removals", daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """Remove all that is left; what cannot be removed at once stays in the store."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self, mirror: Mirror) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._names or self._finishing)
                if not self._names:
                    return
                name, finishing = self._names[0], self._finishing
            try:
                mirror.drop(name)
            except OSError as error:
                with self._changed:
                    count = len(self._names)
                    _LOG.warning("%d trainings' checkpoints cannot be removed now: %s", count, error)
                    if finishing:
                        return
                    self._changed.wait_for(lambda: self._finishing, timeout=_PAUSE_SECONDS)
                continue
            with self._changed:
                del self._names[0]


def _impatient(files: FileSystem) -> FileSystem:
    """Return a file system that gives up a store in about ten seconds, where it can be told to.

    Otherwise pyarrow tries for 100 seconds without a word, and nobody is told what a training waits for. It
    would also write a small file by three requests, where one does.
    """
    if not isinstance(files, S3FileSystem):
        return files
    _, (options,) = files.__reduce__()
    if _DELAYED in options:
        options[_DELAYED] = True
    return S3FileSystem(**options, retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS))


def _stamp(path: Path) -> tuple[int, int]:
    """Return modification time in nanoseconds and size in bytes, which tell whether a file has changed."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
