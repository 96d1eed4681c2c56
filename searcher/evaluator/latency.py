"""How long a network computes, as a worker measures it: an objective or a soft constraint of a search."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from search_space.architecture.parts import ClipShape
from search_space.network.folding import fold
from search_space.network.model import MoViNet

WARMUP, REPEATS = 5, 31


def latency(model: MoViNet, clip: ClipShape) -> dict[str, float]:
    """The median time of one frame's step of a stream network, or of one clip of a base network.

    Measured on a CPU with one thread, at batch 1, on zeros, with batch norm folded; the model is left as it
    is.

    Args:
        model: weights do not matter.
        clip: what the network is made for.

    Returns:
        ``latency_ms`` in milliseconds, and ``latency_frames``: of how many frames, 1 or the clip's.
    """
    deployed = fold(model).cpu().eval()
    causal = deployed.architecture.options.causal
    frames = 1 if causal else clip.frames
    pixels = torch.zeros(1, 3, frames, clip.size, clip.size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            spent = _median_ms(_stepping(deployed, pixels) if causal else lambda: deployed(pixels))
    finally:
        torch.set_num_threads(threads)
    return {"latency_ms": spent, "latency_frames": float(frames)}


def _stepping(model: MoViNet, frame: torch.Tensor) -> Callable[[], object]:
    """Steps chained as in a stream."""
    state = model.initial_state(1)

    def step() -> None:
        nonlocal state
        _, state = model.step(frame, state)

    return step


def _median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(WARMUP + REPEATS):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[WARMUP:])
