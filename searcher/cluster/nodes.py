"""The machines of a cluster: the trainings that fit on them, and the resources that they lack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a cluster.

    Args:
        name: name of its host.
        cpus: number of its CPUs, in use or not.
        gpus: number of its GPUs, in use or not.
    """

    name: str
    cpus: float
    gpus: float


def alive(nodes: Sequence[Mapping[str, Any]]) -> tuple[Node, ...]:
    """Return the machines that are alive among those of ``ray.nodes()``."""
    return tuple(
        Node(
            str(node.get("NodeManagerHostname") or node.get("NodeManagerAddress", "?")),
            float(node.get("Resources", {}).get("CPU", 0)),
            float(node.get("Resources", {}).get("GPU", 0)),
        )
        for node in nodes
        if node.get("Alive", node.get("alive", False))
    )


def addresses(nodes: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, int]]:
    """Return address and port of Ray on each machine of ``ray.nodes()`` that is alive, by its name."""
    return {
        str(node.get("NodeManagerHostname")): (str(node["NodeManagerAddress"]), int(node["NodeManagerPort"]))
        for node in nodes
        if node.get("Alive") and node.get("NodeManagerPort")
    }


def fitting(nodes: Sequence[Node], cpus: float, gpus: float) -> int:
    """Return the number of trainings that fit at a time, each on one machine.

    Args:
        nodes: machines of the cluster.
        cpus: CPUs of each training.
        gpus: GPUs of each training; a fraction shares one.
    """
    return sum(_fitting_on(node, cpus, gpus) for node in nodes)


def _fitting_on(node: Node, cpus: float, gpus: float) -> int:
    by_cpus = math.inf if cpus <= 0 else node.cpus // cpus
    if gpus <= 0:
        return int(by_cpus)
    # Fractions share one GPU and never two: of a GPU with 2 x 0.4 in use, the rest stays free.
    by_gpus = node.gpus // 1 * (1 / gpus // 1) if gpus < 1 else node.gpus // gpus
    return int(min(by_cpus, by_gpus))


def missing(nodes: Sequence[Node], cpus: float, gpus: float) -> str:
    """Return the reason why nothing starts, such as ``needs 1 GPU, cluster has 0``."""
    for needed, unit, available in (
        (gpus, "GPU", [node.gpus for node in nodes]),
        (cpus, "CPU", [node.cpus for node in nodes]),
    ):
        if needed > sum(available):
            return f"needs {needed:g} {unit}, cluster has {sum(available):g}"
        if needed > max(available, default=0):
            return f"needs {needed:g} {unit} on one node, none has more than {max(available, default=0):g}"
    if not fitting(nodes, cpus, gpus):
        return f"needs {cpus:g} CPU and {gpus:g} GPU on one node, no node has both"
    return "the cluster has enough, but others use it, or its workers do not start"
