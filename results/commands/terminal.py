"""A run as a terminal shows it: bars and a live panel while networks train, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress_bar import ProgressBar
from rich.text import Text

from results import units
from results.text.fitting_table import FittingTable
from results.text.run_tables import provisional_table
from search_space.escapes import escaped
from search_space.progress import ProgressCallback
from searcher.plan.events import Event, Measured, PhaseProgress

_QUIET_SECONDS = 10.0


class Terminal:
    """A display of the progress of a run in a terminal; a :class:`~results.watcher.Watcher`.

    Args:
        console: console to print to; by default standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._title = ""
        self._live: Live | None = None
        self._last_line = 0.0

    def say(self, message: RenderableType) -> None:
        """Show a sentence or a table that stays."""
        if isinstance(message, str):
            message = "\n".join(map(escaped, message.split("\n")))
        self.console.print(
            message, markup=False, highlight=False, soft_wrap=isinstance(message, str | FittingTable)
        )

    @contextmanager
    def bar(self, title: str) -> Iterator[ProgressCallback]:
        """Open a progress bar that appears with the first report, so that work already done shows none."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        bars = Bars(*columns, console=self.console)
        tasks: list[TaskID] = []

        def report(done: int, total: int) -> None:
            if not tasks:
                bars.start()
                tasks.append(bars.add_task(title, total=total))
            bars.update(tasks[0], completed=done, total=total)

        try:
            yield report
        finally:
            if tasks:
                bars.stop()

    @contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """Show the trainings of a part of the run while they run."""
        self._title = title
        self._last_line = 0.0
        began = time.monotonic()
        with Live(console=self.console, refresh_per_second=2, transient=True) as live:
            self._live = live if self.console.is_terminal else None
            try:
                yield
            finally:
                self._live = None
        self.say(f"{title}: {units.duration(time.monotonic() - began)}")

    def __call__(self, event: Event) -> None:
        """Show an event of the searcher."""
        if isinstance(event, Measured) and event.measurement.status == "failed":
            self.say(f"failed: {event.measurement.architecture}: {event.measurement.reason}")
        if not isinstance(event, PhaseProgress):
            return
        if self._live is not None:
            self._live.update(_panel(self._title, event))
        elif time.monotonic() - self._last_line > _QUIET_SECONDS:
            self._last_line = time.monotonic()
            self.say(_line(self._title, event))


def _line(title: str, at: PhaseProgress) -> str:
    counts = f"{at.done} of {at.planned} done, {at.running} running, {at.failed} failed"
    if at.stopped:
        counts += f", {at.stopped} stopped early or waiting"
    front = f"; frontier {len(at.frontier)}, hypervolume {at.hypervolume:.3f}" if at.frontier else ""
    left = "" if at.seconds_left is None else f"; about {units.duration(at.seconds_left)} left"
    return f"{title}: {counts}{front}{left}"


def _panel(title: str, at: PhaseProgress) -> Group:
    ended = at.done + at.failed
    parts: list[RenderableType] = [Text(_line(title, at)), ProgressBar(max(at.planned, 1), ended, width=60)]
    if at.frontier:
        parts.append(provisional_table(at.frontier, at.objectives))
    return Group(*parts)
