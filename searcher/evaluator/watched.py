"""The networks whose accuracies a supernet's measurements have beside the largest one's, epoch by epoch."""

from __future__ import annotations

_SUFFIX = "_watched"


def watched_metric(name: str) -> str:
    """Return the name of the figure that a record has of a watched network, such as ``smallest``."""
    return f"{name}{_SUFFIX}"


def watched_name(metric: str) -> str | None:
    """Return the watched network that a figure is of; None if it is of none."""
    return metric.removesuffix(_SUFFIX) if metric.endswith(_SUFFIX) else None
