"""Nodes and drivers that have to go, in Ray's terms: who learns of it, and who is told.

A worker learns of it by SIGTERM, or from Ray, which drains a node whose ``ray start --block`` got SIGTERM. A
driver that has to go tells all its workers.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import ray

from search_space.termination import ask_to_leave, in_main_thread
from searcher.cluster.leaving import mark_training, trains

POLL_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 60.0


def is_draining() -> bool:
    """Return whether Ray drains the node of this process; False where it cannot say."""
    try:
        worker = ray._private.worker.global_worker
        draining = worker.gcs_client.get_draining_nodes(timeout=POLL_SECONDS)
        own = ray.get_runtime_context().get_node_id()
    except Exception:  # of many kinds, while a cluster ends
        return False
    return any((node.hex() if isinstance(node, bytes) else str(node)) == own for node in draining)


def heed_departure(is_idle: Callable[[], bool], on_idle: Callable[[], None]) -> None:
    """Ask the trainings of this worker to leave when it gets SIGTERM, or when its node is drained.

    Args:
        is_idle: function that returns whether nothing is trained at the moment.
        on_idle: function that is called then, at SIGTERM.
    """

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        ask_to_leave()
        if is_idle():
            on_idle()

    mark_training()
    if in_main_thread():
        # In place of Ray's, which ends the process at once.
        signal.signal(signal.SIGTERM, note)
        # Nodes that outlive SIGTERM have it blocked, and their children inherit that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    threading.Thread(target=_heed_draining, name="departure", daemon=True).start()


def _heed_draining() -> None:
    while not is_draining():
        time.sleep(POLL_SECONDS)
    ask_to_leave()


def end_with_the_node() -> None:
    """Wait for the end of this node, and end this process: where Ray drains the node, at once.

    A process that stayed would keep the node from ending, and one that trained would lose what it does.
    """
    end = time.monotonic() + _LONGEST_WAIT_SECONDS
    while time.monotonic() < end and not is_draining():
        time.sleep(0.2)
    os._exit(1)


def tell_workers() -> None:
    """Send SIGTERM to this driver's workers on all nodes."""
    workers: dict[str, list[int]] = {}
    context = ray.get_runtime_context()
    job = context.get_job_id()
    for actor in ray._private.state.actors().values():
        if (actor["State"], actor["JobID"]) == ("ALIVE", job):
            workers.setdefault(actor["Address"]["NodeID"], []).append(int(actor["Pid"]))
    here = context.get_node_id()
    _terminate(workers.pop(here, []))
    for node, pids in workers.items():
        _terminate_at(node, pids)


def _terminate_at(node: str, pids: list[int]) -> None:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(_terminate)
    place = NodeAffinitySchedulingStrategy(node, soft=False)
    # Nobody waits for it: a node that is gone has no worker to tell.
    task.options(num_cpus=0, max_retries=0, scheduling_strategy=place).remote(pids)


def _terminate(pids: list[int]) -> None:
    for pid in filter(trains, pids):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
