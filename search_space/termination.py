"""Requests to end: SIGTERM is taken as Ctrl-C is, and what libraries do to either is put back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_received = False
_leaving = False


class LeftEarly(Exception):  # noqa: N818 - no error: what was asked for happened
    """The end of a training whose process was asked to leave: its checkpoint is written."""


def ask_to_leave() -> None:
    """Ask the trainings of this process to write what they have after the update under way, and to end."""
    global _leaving  # noqa: PLW0603 - the whole process leaves
    _leaving = True


def is_leaving() -> bool:
    """Return whether this process was asked to leave."""
    return _leaving


def interrupt_on_termination() -> None:
    """Make SIGTERM do what Ctrl-C does, from now on; do nothing outside of the main thread.

    Batch systems and containers send it. Everything that ends in order after Ctrl-C, Ray's own loop too, then
    does so after SIGTERM.
    """
    if in_main_thread():
        signal.signal(signal.SIGTERM, _interrupt)


def in_main_thread() -> bool:
    """Return whether this is the thread that signals reach, and that may say what they do."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def restored_handlers() -> Iterator[None]:
    """Restore the program's own reactions to Ctrl-C and SIGTERM at the end of the block.

    Ray sets its own when it starts and when it trains, and leaves them there. Where the program has none to
    SIGTERM, it becomes that to Ctrl-C: workers end in order.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if in_main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
            if before[signal.SIGTERM] is signal.SIG_DFL:
                interrupt_on_termination()


@contextmanager
def on_termination(react: Callable[[], None]) -> Iterator[None]:
    """Call a function at SIGTERM while the block runs, in place of interrupting it.

    Outside of the main thread, which signals reach, do nothing.
    """
    if not in_main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        global _received  # noqa: PLW0603 - a signal belongs to the process
        del number, frame
        _received = True
        react()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
