"""How commands end when somebody ends them: in order, in words, with the codes that batch systems know."""

from __future__ import annotations

import codecs
import errno
import logging
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from search_space.errors import Stopped
from search_space.escapes import escaped
from search_space.termination import interrupt_on_termination, was_terminated

_RESUMABLE = {"search", "train", "family", "prepare", "make", "proxy-validity"}
"""Commands that go on where they were."""
REFUSALS = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC),
        *(errno.EDQUOT, errno.EFBIG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
    }
)
"""Numbers of errors by which a file system refuses a path or more data."""
_INTERRUPTED, _TERMINATED = 130, 143  # 128 and the signal's number, as shells say it
_DRAWN = {"─": "-", "–": "-", "±": "+-", "²": "2", "…": "..."}
"""What tables and sentences are drawn with, in ASCII."""


def ready_streams() -> None:
    """Make what a terminal cannot show ASCII or escapes: neither the end of a command nor a broken line."""
    if logging.lastResort is not None:  # what prints warnings
        logging.lastResort.setFormatter(_OneLine())
    codecs.register_error("movinas", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="movinas")


class _OneLine(logging.Formatter):
    """A warning on one line, whatever names of files are in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - a name of the library's
        """Return the message of a record."""
        return escaped(super().formatMessage(record))


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return rules and signs as ASCII draws them, and letters, which would be lost, as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    left = error.object[error.start : error.end]
    shown = (_DRAWN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in left)
    return "".join(shown), error.end


class Commands(TyperGroup):
    """The commands, which end with code 0 after ``movinas stop``, 130 after Ctrl-C and 143 after SIGTERM."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; say what is kept if it is interrupted."""
        interrupt_on_termination()
        try:
            return super().invoke(ctx)
        except Stopped:
            # Typer would make it 130: a batch job that was asked to stop has not failed.
            _say("stopped on request; what was measured is kept, and the same command goes on from there")
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            how = "ended by SIGTERM" if was_terminated() else "interrupted"
            kept = "; what was finished is kept, and the same command goes on from there"
            _say(how + (kept if ctx.invoked_subcommand in _RESUMABLE else ""))
            raise typer.Exit(_TERMINATED if was_terminated() else _INTERRUPTED) from None


def _say(sentence: str) -> None:
    typer.echo(f"\nmovinas: {sentence}", err=True)
