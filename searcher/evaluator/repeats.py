"""Several trainings of one candidate as one: they go on side by side, and their mean is the result."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

import numpy as np

from proxy_train.measurement import mean_metrics
from proxy_train.metric_names import TOP1
from searcher.plan.job import REPEATS, TOP1_STD, EpochResult


def together(trainings: Sequence[Generator[EpochResult]]) -> Iterator[EpochResult]:
    """Run trainings of one schedule side by side, epoch by epoch; yield their mean after each epoch.

    A training that an interruption left behind the others catches up first.

    Args:
        trainings: results of each training, by epoch.

    Yields:
        The seconds of all, and at a rung the mean of each metric that all have, with the number of trainings
        and the sample standard deviation of top-1 accuracy between them.
    """
    reached = [0] * len(trainings)
    results: dict[int, list[EpochResult]] = {}
    try:
        while True:
            behind = int(np.argmin(reached))
            result = next(trainings[behind], None)
            if result is None:
                return
            reached[behind] = result.epoch
            results.setdefault(result.epoch, []).append(result)
            for epoch in sorted(epoch for epoch in results if epoch <= min(reached)):
                yield _mean(epoch, results.pop(epoch))
    finally:
        for training in trainings:
            training.close()


def _mean(epoch: int, results: Sequence[EpochResult]) -> EpochResult:
    """Return the result of an epoch of several trainings."""
    seconds = sum(result.seconds for result in results)
    measured: list[Mapping[str, float]] = [r.metrics for r in results if r.metrics is not None]
    if not measured:
        return EpochResult(epoch, seconds)
    metrics = mean_metrics(measured)
    if len(measured) > 1:
        metrics |= {
            REPEATS: float(len(measured)),
            TOP1_STD: float(np.std([each[TOP1] for each in measured], ddof=1)),
        }
    return EpochResult(epoch, seconds, metrics)
