"""What an engine has and bears: how many trainings fit at a time, and what is done about lost workers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from searcher.cluster.nodes import Node, alive, fitting

_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class FaultTolerance:
    """What an engine does about workers that are lost, hang or cannot go on.

    Args:
        retries: how often in a row a job is retried whose worker was lost, from its own checkpoint.
        stall_seconds: seconds without a finished epoch after which a worker counts as hung and is killed;
            None is never.
        retry_seconds: seconds for which a training retries on a full disk, or without a video that is lost.
    """

    retries: int = 3
    stall_seconds: float | None = None
    retry_seconds: float = 600.0


class Capacity:
    """The workers of an engine.

    Args:
        workers: number of jobs that run at a time, at most.
        cpus: CPUs of each job; it computes with as many threads.
        gpus: GPUs of each job; a fraction shares one.
        address: address of a cluster, ``auto`` or HOST:PORT; by default Ray starts on this machine.
        elastic: on a cluster, whether as many jobs run as fit there, whatever ``workers`` says.
    """

    def __init__(
        self,
        workers: int,
        cpus: int = 1,
        gpus: float = 0,
        *,
        address: str | None = None,
        elastic: bool = False,
    ) -> None:
        self.workers, self.cpus, self.gpus, self.address = workers, cpus, gpus, address
        self.elastic = elastic and address is not None
        self._nodes: tuple[Node, ...] = ()
        self._looked = -_LOOK_SECONDS

    def nodes(self) -> tuple[Node, ...]:
        """Return the living machines, as they were at most two seconds ago; Ray must have started."""
        import ray

        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._nodes, self._looked = alive(ray.nodes()), time.monotonic()
        return self._nodes

    def last_nodes(self) -> tuple[Node, ...]:
        """Return the machines that were last seen, none before the first look."""
        return self._nodes

    def jobs(self) -> int:
        """Return how many jobs may be handed out at a time now.

        On a cluster, no more than fit, since a proposal that has to wait is made with less knowledge; but at
        least one, so that Ray, and an autoscaler, sees what is wanted.
        """
        if self.address is None:
            return self.workers
        room = max(1, fitting(self.nodes(), self.cpus, self.gpus))
        return room if self.elastic else min(self.workers, room)
