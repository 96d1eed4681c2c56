"""What a run needs of a display: a place for messages, progress bars and the events of its trainings."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from rich.console import RenderableType

from search_space.progress import ProgressCallback
from searcher.plan.events import Event


class Watcher(Protocol):
    """A display of the progress of a run."""

    def __call__(self, event: Event) -> None:
        """Show an event of a training, or that time has passed."""

    def say(self, message: RenderableType) -> None:
        """Show a sentence or a table that stays."""

    def bar(self, title: str) -> AbstractContextManager[ProgressCallback]:
        """Open a progress bar for work that counts its parts."""

    def phase(self, title: str) -> AbstractContextManager[None]:
        """Open a part of the run whose trainings are shown as their events arrive."""
