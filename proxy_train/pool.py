"""Work in processes of its own, with progress, that never outlives the process that asked for it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from search_space.errors import DataError

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)`` in the asking process, now and then and at the end."""


def silent(_done: int, _total: int) -> None:
    """The progress callback that shows nothing."""


def each(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    """Results of ``function`` for every task as they finish, in no order; one worker works in this process.

    Raises:
        DataError: a worker process was killed.
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from map(function, tasks)
        return
    # A fork of a process that already runs threads (torch, Ray) can deadlock; a spawned one cannot.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_follow_parent
    ) as pool:
        try:
            for future in as_completed([pool.submit(function, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError("a worker process was killed", hint="free memory or use fewer workers") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _follow_parent() -> None:
    """Ends this worker when its parent dies, however it dies: the pool's own pipes do not notice a kill."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
