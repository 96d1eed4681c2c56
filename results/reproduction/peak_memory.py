"""The most memory that a network's call takes, measured in a process of its own."""

from __future__ import annotations

import ctypes
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from results.reproduction.x3d import X3DXL
from search_space.architecture.published import published
from search_space.network.model import MoViNet, build
from search_space.network.stream_state import State
from search_space.spawning import spawn_context

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
X3D = "X3D-XL"


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Memory of one call of a network, batch 1, float32.

    Args:
        network: name of the network, ``X3D-XL`` or a published one.
        frames: number of frames of the call.
        size: pixels of their side.
        stream: whether the call is a step, with the state that the one before left.
        weights: bytes of parameters and running statistics.
        call: bytes above the weights at the call's peak: input, state, activations and workspace.
    """

    network: str
    frames: int
    size: int
    stream: bool
    weights: int
    call: int

    @property
    def total(self) -> int:
        """Bytes of the weights and of the call's peak."""
        return self.weights + self.call


def measure_peak(network: str, size: int, frames: int, device: str = "cpu") -> PeakMemory:
    """Measure a call in a process of its own: the largest resident memory, or on a GPU what was allocated.

    Args:
        network: ``X3D-XL``, or a published name; one ending in ``-stream`` is measured by a second step.
        size: pixels of a frame's side.
        frames: number of frames of the call.
        device: device as torch names it.
    """
    with ProcessPoolExecutor(1, mp_context=spawn_context()) as pool:
        return pool.submit(_measure, network, size, frames, device).result()


def _measure(name: str, size: int, frames: int, device: str) -> PeakMemory:
    torch.set_num_threads(1)
    stream = name.endswith("-stream")
    network = (X3DXL() if name == X3D else build(published(name), 600)).eval().to(device)
    weights = sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))
    # Random numbers: pages of zeros that nobody has written take no memory.
    clip = torch.rand(1, 3, frames, size, size).to(device)
    with torch.inference_mode():
        # The first call loads what all calls share, and leaves the state that a stream has later on.
        start = (
            network.initial_state(1, size, device=device) if isinstance(network, MoViNet) and stream else {}
        )
        state = _call(network, clip, start)
        held = sum(tensor.numel() * tensor.element_size() for tensor in (clip, *state.values()))
        before = _reset(device)
        _call(network, clip, state)
        call = _peak(device) - before + held
    return PeakMemory(name, frames, size, stream, weights, call)


def _call(network: MoViNet | X3DXL, clip: Tensor, state: State) -> State:
    """Call a network once, as a step where there is a state; return the state after it."""
    if state and isinstance(network, MoViNet):
        return network.step(clip, state)[1]
    network(clip)
    return {}


def _reset(device: str) -> int:
    """Give back what is free, and forget the peak so far; return the bytes that are held now."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text("5", encoding="utf-8")
    return _resident("VmRSS")


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated(device) if device != "cpu" else _resident("VmHWM")


def _resident(key: str) -> int:
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {key}")
