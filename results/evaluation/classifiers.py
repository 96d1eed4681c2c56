"""Networks that classify clips: in PyTorch on any device, or an export in its runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from results.inference.runners import ClipRunner, ExportRunner
from search_space.cost.closed_form import compute_cost
from search_space.cost.stopwatch import torch_threads
from search_space.network.ensemble import Ensemble, networks_of
from search_space.network.folding import deploy
from search_space.network.model import MoViNet

_CPU_BYTES, _GPU_BYTES = 96 * 2**20, 6 * 2**30
_MOST_CLIPS = 64


class TorchClassifier:
    """A network in PyTorch in its deploy form: batch norm folded.

    Args:
        model: network, or ensemble whose networks take the same clips.
        frames: number of frames of a clip.
        size: pixels of a clip's side.
        stream: whether clips are fed frame by frame, through the step form.
        device: device as torch names it.
        threads: number of threads on a CPU.
    """

    def __init__(
        self, model: MoViNet | Ensemble, frames: int, size: int, *, stream: bool, device: str, threads: int
    ) -> None:
        self._model = deploy(model).eval().to(device)
        self._stream, self._device, self._threads = stream, device, threads
        self.batch = largest_batch(model, frames, size, stream=stream, device=device)

    def logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (clips, outputs) of clips, uint8 (clips, frames, size, size, 3)."""
        with torch_threads(self._threads), torch.inference_mode():
            # Bytes are moved to the device, a quarter of what floats would be.
            pixels = torch.from_numpy(clips).to(self._device)
            logits = self._stepped(pixels) if self._stream else self._model(_as_input(pixels))
            values: NDArray[np.float32] = logits.float().cpu().numpy()
        return values

    def _stepped(self, pixels: Tensor) -> Tensor:
        state = self._model.initial_state(len(pixels), pixels.shape[2])
        logits = pixels
        for frame in torch.split(pixels, 1, dim=1):
            logits, state = self._model.step(_as_input(frame), state)
        return logits


def _as_input(pixels: Tensor) -> Tensor:
    """Map uint8 (clips, frames, size, size, 3) to floats (clips, 3, frames, size, size)."""
    return pixels.to(torch.float32).div_(255).permute(0, 4, 1, 2, 3)


def largest_batch(model: MoViNet | Ensemble, frames: int, size: int, *, stream: bool, device: str) -> int:
    """Return the number of clips whose activations a device holds well."""
    networks = [network.architecture for network in networks_of(model)]
    shaped = [a.with_input(replace(a.input, frames=frames, size=size)) for a in networks]
    costs = [compute_cost(a, model.classes) for a in shaped]
    needed = max(cost.step_bytes if stream else cost.activation_bytes for cost in costs)
    available = _CPU_BYTES if device == "cpu" else _GPU_BYTES
    return max(1, min(_MOST_CLIPS, available // max(1, needed)))


class ExportClassifier:
    """An export in its runtime: its clip form, or its step fed frame by frame.

    Args:
        runner: runner of the export.
    """

    def __init__(self, runner: ClipRunner | ExportRunner) -> None:
        self._runner = runner
        self.batch = runner.streams if isinstance(runner, ExportRunner) else 1

    def logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (clips, outputs) of clips, uint8 (clips, frames, size, size, 3)."""
        runner = self._runner
        if isinstance(runner, ExportRunner):
            return _stepped(runner, clips)
        return np.stack([runner.run(_as_array(clip)) for clip in clips])


def _stepped(runner: ExportRunner, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Feed as many clips as a call takes, side by side; the rest of a call stays at its start."""
    state, count = runner.initial_state(), len(clips)
    fed = np.arange(runner.streams) < count
    frames = np.zeros((runner.streams, 3, *clips.shape[2:4]), np.float32)
    logits: Sequence[NDArray[np.float32]] | NDArray[np.float32] = []
    for number in range(clips.shape[1]):
        frames[:count] = _as_array(clips[:, number])
        logits, state = runner.run_all(frames, state, fed)
    return np.asarray(logits[:count], np.float32)


def _as_array(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map uint8 pictures (pictures, size, size, 3) to floats (pictures, 3, size, size) in 0..1."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
