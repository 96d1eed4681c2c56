"""The one family of errors that a user can cause, each with what was wrong and what to do about it."""

from __future__ import annotations


class MovinasError(ValueError):
    """Something that the user gave cannot be used.

    Args:
        message: names the key, file or tensor, and the value that was found.
        hint: what to do about it, one sentence.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments need this to survive the way from a worker process to the driver.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[MovinasError], message: str, hint: str) -> MovinasError:
    return cls(message, hint=hint)


class ArchitectureError(MovinasError):
    """An architecture, or its text or JSON form, cannot be built."""


class SpaceError(MovinasError):
    """A search space, or a budget asked of it, cannot be used."""


class NetworkError(MovinasError):
    """A tensor, a state or a weights file does not fit the network."""


class DataError(MovinasError):
    """A data set or a video cannot be read."""


class SettingsError(MovinasError):
    """A setting is unknown, of the wrong type, or impossible."""


class RecordError(MovinasError):
    """A run's record is missing, damaged, or belongs to other settings."""


class ExportError(MovinasError):
    """A network could not be exported, or the export does not compute what the network computes."""


class Stopped(KeyboardInterrupt):
    """Somebody asked a run to stop; what was measured is recorded, and the same command goes on."""
