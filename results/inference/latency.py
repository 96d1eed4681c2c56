"""How long one frame takes: median and 95th percentile, on the machine that this runs on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from results.inference.runners import Runner


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one frame in ``runtime``: median and 95th percentile over ``frames`` frames."""

    median: float
    p95: float
    frames: int
    runtime: str
    threads: int = 1


def measure(runner: Runner, size: int, *, frames: int = 50, warmup: int = 10) -> Latency:
    """Times the step over chained frames of ``size`` x ``size`` noise, in one thread.

    Args:
        runner: the step; a runner of ONNX Runtime must have been made with one thread.
        size: height and width of its frames.
        frames: timed frames, at least one.
        warmup: frames before them that are not timed.
    """
    noise = np.random.default_rng(0).random((8, 1, 3, size, size), dtype=np.float32)
    state = runner.initial_state()
    times = []
    with one_thread():
        for index in range(warmup + frames):
            start = time.perf_counter()
            _, state = runner.run(noise[index % len(noise)], state)
            times.append(1000 * (time.perf_counter() - start))
    return of_times(times[warmup:], runner.runtime)


def of_times(milliseconds: list[float], runtime: str) -> Latency:
    """Sums up single times."""
    median, p95 = np.percentile(milliseconds, (50, 95))
    return Latency(float(median), float(p95), len(milliseconds), runtime)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch in one thread for the while; two beside a busy process are slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
