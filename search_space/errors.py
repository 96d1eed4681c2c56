"""The one family of errors that a user can cause, each with what was wrong and what to do about it."""

from __future__ import annotations


class MovinasError(ValueError):
    """The base of all errors that a user can cause: something given cannot be used.

    Args:
        message: the fault, with the key, file or tensor and the value that was found.
        hint: the remedy, one sentence.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments need this to survive pickling from a worker process to the driver.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[MovinasError], message: str, hint: str) -> MovinasError:
    return cls(message, hint=hint)


class ArchitectureError(MovinasError):
    """An architecture, or a text or JSON form, that cannot be built."""


class SpaceError(MovinasError):
    """A search space, or a budget asked of it, that cannot be used."""


class NetworkError(MovinasError):
    """A tensor, a state or a weights file that does not fit the network."""


class DataError(MovinasError):
    """A data set or a video that cannot be read."""


class SettingsError(MovinasError):
    """A setting that is unknown, of the wrong type, or impossible."""


class RecordError(MovinasError):
    """A run's record that is missing, damaged, or of other settings."""


class ExportError(MovinasError):
    """A failed export, or one that does not compute what the network computes."""


class Stopped(KeyboardInterrupt):
    """A request to stop a run; what was measured is recorded, and the same command resumes it."""
