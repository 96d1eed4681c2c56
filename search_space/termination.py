"""A request of the system to end, SIGTERM, taken as Ctrl-C is: batch systems and containers send it."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_received = False


def interrupt_on_termination() -> None:
    """Make SIGTERM do what Ctrl-C does, from now on; do nothing outside of the main thread.

    Everything that ends in order after Ctrl-C, Ray's own loop too, then does so after SIGTERM.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)


def was_terminated() -> bool:
    """Return whether this process got SIGTERM since ``interrupt_on_termination``."""
    return _received


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _received  # noqa: PLW0603 - a signal belongs to the process
    del number
    _received = True
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        # Shells start jobs in the background with SIGINT ignored, and without Python's handler.
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
