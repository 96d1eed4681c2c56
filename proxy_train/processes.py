"""Work in separate processes, with progress, that never outlives the process that asked for it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from search_space.errors import DataError
from search_space.spawning import spawn_context

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_in_processes(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    *,
    blame: Callable[[Task], Result] | None = None,
) -> Iterator[Result]:
    """Yield the results of ``function`` for every task as they finish, in no order.

    Args:
        function: a module's function, so that a worker can import it.
        tasks: arguments of the calls.
        workers: number of processes; one worker works in this process, which then ends with what ends it.
        blame: function to use instead for tasks that were not done when a worker process was killed, as a
            damaged file can do by way of a decoder's fault; it may use ``run_in_process``.

    Raises:
        DataError: a worker process was killed, and there is no ``blame``.
    """
    if not tasks or workers <= 1 or (len(tasks) == 1 and blame is None):
        yield from map(function, tasks)
        return
    context = spawn_context()
    open_tasks = dict(enumerate(tasks))
    with ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_follow_parent
    ) as pool:
        try:
            futures = {pool.submit(function, task): number for number, task in open_tasks.items()}
            for future in as_completed(futures):
                result = future.result()
                del open_tasks[futures[future]]
                yield result
        except BrokenProcessPool as error:
            if blame is None:
                raise DataError(
                    "a worker process was killed", hint="free memory or use fewer workers"
                ) from error
        finally:
            # All done, the pool ends before the program does, whose end its thread would meet; else at once.
            pool.shutdown(wait=not open_tasks, cancel_futures=True)
    if blame is not None:
        yield from map(blame, open_tasks.values())


def run_in_process(function: Callable[[Task], Result], task: Task) -> Result | None:
    """Return the result of one task in a process of its own; None if the process was killed."""
    with ProcessPoolExecutor(1, mp_context=spawn_context(), initializer=_follow_parent) as pool:
        try:
            return pool.submit(function, task).result()
        except BrokenProcessPool:
            return None


def _follow_parent() -> None:
    """End this worker when its parent dies, in whatever way: the pool's own pipes do not notice a kill."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
