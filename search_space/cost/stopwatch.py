"""How long calls take on this machine: one stopwatch for workers, families, exports and latency tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from search_space.architecture.parts import ClipShape
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet

Call = Callable[[], object]
PYTORCH = "pytorch"
WARMUP, CALLS = 10, 50
_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one call, a frame's step or a clip, on the machine that measured it.

    Args:
        median: median of the calls, in milliseconds.
        p95: their 95th percentile, in milliseconds.
        frames: number of timed calls.
        runtime: ``pytorch``, or the name of the runtime that ran an export.
        threads: number of threads of the runtime.
    """

    median: float
    p95: float
    frames: int
    runtime: str
    threads: int = 1

    @classmethod
    def of(cls, milliseconds: Sequence[float], runtime: str, threads: int = 1) -> Latency:
        """Summarise single times, in milliseconds."""
        median, p95 = np.percentile(milliseconds, (50, 95))
        return cls(float(median), float(p95), len(milliseconds), runtime, threads)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Give PyTorch ``count`` threads inside the block, and afterwards as many as it had before."""
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)


def network_latency(
    model: MoViNet | Ensemble, clip: ClipShape, *, calls: int = CALLS, warmup: int = WARMUP
) -> Latency:
    """Time a network in PyTorch on this machine's CPU: one thread, batch 1, noise as its input.

    A stream network is timed frame by frame, each step with the state that the one before left. Two threads
    beside a busy process are slower than one.

    Args:
        model: folded network in evaluation mode, or an ensemble of such; its weights do not matter.
        clip: shape of the clip that the network is made for.
        calls: number of timed calls.
        warmup: number of calls before them.

    Returns:
        The time of one frame's step if the network is causal, else of one clip.
    """
    first = model.networks[0] if isinstance(model, Ensemble) else model
    causal = first.architecture.options.causal
    shape = (_FRAMES if causal else 1, 1, 3, 1 if causal else clip.frames, clip.size, clip.size)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch_threads(1), torch.inference_mode():
        call = _stepping(model, noise) if causal else lambda: model(noise[0])
        return Latency.of(call_milliseconds(call, calls, warmup), PYTORCH)


def _stepping(model: MoViNet | Ensemble, frames: torch.Tensor) -> Call:
    """Return a call that feeds the next frame of an endless video."""
    state, number = model.initial_state(1), 0

    def step() -> None:
        nonlocal state, number
        _, state = model.step(frames[number % len(frames)], state)
        number += 1

    return step


def call_milliseconds(call: Call, calls: int, warmup: int = 0) -> list[float]:
    """Return the wall-clock time of each of ``calls`` calls in milliseconds, after ``warmup`` others."""
    times = []
    for _ in range(warmup + calls):
        began = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - began) / 1e6)
    return times[warmup:]


class SteadyStopwatch:
    """Times calls beside a piece of work that stays the same, so that a machine's busy times cancel out.

    Tables of latencies are measured over many minutes. Other processes slow this one through shared caches
    and cores even in its own processor time; the work beside each call is slowed alike.

    Args:
        threads: number of threads of what is timed; with one thread it is the processor's time that counts.
        reference: time of the piece of work when nothing disturbs it, in milliseconds; measured if it is 0.
    """

    def __init__(self, threads: int, reference: float = 0.0) -> None:
        self._clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
        self._rows, self._weight, self._bias = torch.rand(484, 64), torch.rand(64, 96), torch.rand(96)
        self.reference = reference or float(np.percentile([self._work() for _ in range(500)], 10))

    def _work(self) -> float:
        return self._spent(lambda: F.hardswish(torch.addmm(self._bias, self._rows, self._weight)))

    def _spent(self, call: Call) -> float:
        began = self._clock()
        call()
        return (self._clock() - began) / 1e6

    def milliseconds(self, call: Call, calls: int) -> float:
        """Return the median time over ``calls`` calls, in milliseconds of an undisturbed machine."""
        call()
        return self.reference * float(np.median([self._spent(call) / self._work() for _ in range(calls)]))
