"""What every part is given, and the few things that all of them do on a device."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.network.model import MoViNet, build

Facts = dict[str, Any]
"""What a part found, in JSON types."""


class Unavailable(Exception):  # noqa: N818 - it names what is the case
    """A part that cannot run here; the message says why."""


@dataclass(frozen=True)
class Given:
    """The device, how long a part may take, and what the parts before found.

    Args:
        device: device of torch.
        quick: whether everything is small, to try the part itself.
        seconds: seconds that the part may take.
        before: facts of the parts before, by name.
    """

    device: str
    quick: bool
    seconds: float
    before: Mapping[str, Facts] = field(default_factory=dict)

    def architecture(self, name: str) -> Architecture:
        """Return a published network, with its own frames and size, or with small ones."""
        architecture = published(name)
        return architecture.with_input(ClipShape(4, 32, 5)) if self.quick else architecture

    def wait(self) -> None:
        """Wait until the device has done all that it was asked for."""
        if self.on_cuda:
            torch.cuda.synchronize()

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return torch.device(self.device).type == "cuda"

    def peak(self) -> float | None:
        """Return the gigabytes that tensors took at most since the last call; None on a CPU."""
        if not self.on_cuda:
            return None
        most = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.reset_peak_memory_stats()
        return round(most, 3)

    def free(self) -> None:
        """Give back the memory that is kept for later."""
        if self.on_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def lively(architecture: Architecture, classes: int = 600) -> MoViNet:
    """Return a network on the CPU whose branches all count, as those of a trained one do."""
    model = build(architecture, classes, seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("scale"):
                weight.fill_(0.5)
    return model


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Leave TF32 out, which has 10 bits of mantissa for float32's 23."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def rounds(
    given: Given, steps: Mapping[str, Callable[[], object]], seconds: float, *, inner: int = 4
) -> dict[str, list[float]]:
    """Return seconds of one call of each step, a list a step: the steps take turns until the time is over.

    Args:
        given: device.
        steps: functions to time, warm already.
        seconds: time of all rounds; at least three are made.
        inner: calls of a step in each round.
    """
    found: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(found.values()))) < 3:
        for name, step in steps.items():
            given.wait()
            began = time.perf_counter()
            for _ in range(inner):
                step()
            given.wait()
            found[name].append((time.perf_counter() - began) / inner)
    return found


def spread(values: list[float]) -> Facts:
    """Return the median, the least, the most and their number."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
        "rounds": len(values),
    }
