"""The machines of a cluster: how many trainings fit on them, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a cluster, with all its CPUs and GPUs, in use or not."""

    name: str
    cpus: float
    gpus: float


def alive(nodes: Sequence[Mapping[str, Any]]) -> tuple[Node, ...]:
    """Return the living machines among what ``ray.nodes()`` returns."""
    return tuple(
        Node(
            str(each.get("NodeManagerHostname") or each.get("NodeManagerAddress", "?")),
            float(each.get("Resources", {}).get("CPU", 0)),
            float(each.get("Resources", {}).get("GPU", 0)),
        )
        for each in nodes
        if each.get("Alive", each.get("alive", False))
    )


def fitting(nodes: Sequence[Node], cpus: float, gpus: float) -> int:
    """Return how many trainings of ``cpus`` CPUs and ``gpus`` GPUs fit at a time, each on one machine."""
    return sum(_fitting_on(node, cpus, gpus) for node in nodes)


def _fitting_on(node: Node, cpus: float, gpus: float) -> int:
    by_cpus = math.inf if cpus <= 0 else node.cpus // cpus
    if gpus <= 0:
        return int(by_cpus)
    # Fractions share one GPU and never two: a GPU that has room for 2 x 0.4 keeps the rest.
    by_gpus = node.gpus // 1 * (1 / gpus // 1) if gpus < 1 else node.gpus // gpus
    return int(min(by_cpus, by_gpus))


def missing(nodes: Sequence[Node], cpus: float, gpus: float) -> str:
    """Return why nothing starts, such as ``needs 1 GPU, cluster has 0``."""
    for wanted, unit, have in (
        (gpus, "GPU", [node.gpus for node in nodes]),
        (cpus, "CPU", [node.cpus for node in nodes]),
    ):
        if wanted > sum(have):
            return f"needs {wanted:g} {unit}, cluster has {sum(have):g}"
        if wanted > max(have, default=0):
            return f"needs {wanted:g} {unit} on one node, none has more than {max(have, default=0):g}"
    if not fitting(nodes, cpus, gpus):
        return f"needs {cpus:g} CPU and {gpus:g} GPU on one node, no node has both"
    return "the cluster has enough, but others use it, or its workers do not start"
