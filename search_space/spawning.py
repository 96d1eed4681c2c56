"""Worker processes that start from nothing, and do not run the calling program a second time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

_LOCK = threading.Lock()


class _Spawned(SpawnProcess):
    """A spawned process that does not import the main module."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - the name is multiprocessing's
        with _without_main():
            return SpawnProcess._Popen(process_obj)


class _Context(SpawnContext):
    Process = _Spawned


def spawn_context() -> SpawnContext:
    """Return a context of ``multiprocessing`` whose processes need nothing of the calling program.

    A fork of a process that already runs threads (torch, Ray) can deadlock; a spawned process cannot. It
    would import the program's main file, though: a script that trains without ``if __name__ == "__main__":``
    would train again in each worker, and wait for itself. Functions and arguments must therefore come from
    modules, which ours do.
    """
    return _Context()


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main module from the description that a new process gets of its parent."""
    with _LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
