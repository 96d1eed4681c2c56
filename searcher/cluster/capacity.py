"""The capacity of an engine: the number of trainings at a time, and its tolerance of lost workers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from searcher.cluster.nodes import Node, addresses, alive, fitting
from searcher.cluster.reachability import Reachability

_REFRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class FaultTolerance:
    """The reaction of an engine to workers that are lost, hang or cannot continue.

    Args:
        retries: number of times in a row that a job whose worker was lost is resumed from its checkpoint.
        stall_seconds: seconds without a finished epoch after which a worker counts as hung and is killed;
            None for never.
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
        elastic: whether as many jobs run as fit on the cluster, regardless of ``workers``.
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
        self._refreshed = -_REFRESH_SECONDS
        self._reachability: Reachability | None = None

    def nodes(self) -> tuple[Node, ...]:
        """Return the machines that are alive, as of two seconds ago at most; Ray must have started."""
        import ray

        if time.monotonic() - self._refreshed >= _REFRESH_SECONDS:
            found = ray.nodes()
            self._nodes, self._refreshed = alive(found), time.monotonic()
            if self.address is not None:
                self._reachability = self._reachability or Reachability()
                self._reachability.watch(addresses(found))
        return self._nodes

    def unreachable(self) -> tuple[str, ...]:
        """Return a sentence for each machine that Ray counts as alive and that does not answer."""
        return () if self._reachability is None else self._reachability.sentences()

    def close(self) -> None:
        """End the watch over the machines."""
        if self._reachability is not None:
            self._reachability.close()
            self._reachability = None

    def last_nodes(self) -> tuple[Node, ...]:
        """Return the machines that were last seen, none before the first look."""
        return self._nodes

    def jobs(self) -> int:
        """Return the number of jobs that may be handed out at a time now.

        On a cluster, no more than fit, since a proposal that has to wait could have learned from more
        results; but at least one, so that Ray, and an autoscaler, see what is needed.
        """
        if self.address is None:
            return self.workers
        fit = max(1, fitting(self.nodes(), self.cpus, self.gpus))
        return fit if self.elastic else min(self.workers, fit)
