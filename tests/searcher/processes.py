"""What tests with real processes share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def lines(path: Path) -> list[str]:
    """Of a file that may not be there yet."""
    return path.read_text().splitlines() if path.exists() else []


def until(condition: Callable[[], bool], seconds: float = 400) -> None:
    """Waits; what is not there yet counts as false."""
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
            error = None
        except (ValueError, AttributeError) as found:
            error = found
        assert time.monotonic() < end, f"waited in vain: {error}"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
