"""The step of a network in PyTorch, behind the interface of exported ones."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from search_space.cost.stopwatch import PYTORCH, torch_threads
from search_space.network.ensemble import Ensemble
from search_space.network.folding import deploy
from search_space.network.model import MoViNet
from search_space.network.stream_state import State, reset_streams


class TorchRunner:
    """The step of a network in PyTorch, folded.

    Args:
        model: network or ensemble whose members are causal.
        threads: number of threads that PyTorch has inside a step; by default those that it has outside.
        streams: number of videos of which a call takes a frame each.
    """

    runtime = PYTORCH

    def __init__(self, model: MoViNet | Ensemble, threads: int | None = None, streams: int = 1) -> None:
        self._model = deploy(model).eval()
        self._threads = threads
        self.streams = streams

    def initial_state(self) -> State:
        """Return zeros by name."""
        return self._model.initial_state(self.streams)

    def run_all(
        self, frames: NDArray[np.float32], state: State, fed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], State]:
        """Feed frames of several videos; see :meth:`~results.inference.runners.Runner.run_all`."""
        limit = nullcontext() if self._threads is None else torch_threads(self._threads)
        with limit, torch.inference_mode():
            logits, after = self._model.step(torch.from_numpy(frames).unsqueeze(2), state)
            if not fed.all():
                rows = torch.from_numpy(fed)
                after = {
                    name: torch.where(rows.view(-1, *[1] * (tensor.ndim - 1)), tensor, state[name])
                    for name, tensor in after.items()
                }
        return logits.numpy(), after

    def cleared(self, state: State, stream: int) -> State:
        """Return the state with one of its videos at its start; see ``Runner.cleared``."""
        with torch.inference_mode():
            return reset_streams(state, [stream])

    def run(self, frame: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed a frame; see :meth:`~results.inference.runners.Runner.run`."""
        logits, after = self.run_all(frame, state, np.ones(1, np.bool_))
        return logits[0], after
