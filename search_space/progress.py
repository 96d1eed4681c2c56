"""The callback that long work reports its progress to."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[int, int], None]
"""Called as ``progress(done, total)`` in the process that asked for the work, now and then and at the end."""


def ignore_progress(_done: int, _total: int) -> None:
    """Ignore progress."""
