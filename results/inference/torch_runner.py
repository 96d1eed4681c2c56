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
from search_space.network.stream_state import State


class TorchRunner:
    """The step of a network in PyTorch, folded.

    Args:
        model: network or ensemble whose members are causal.
        threads: number of threads that PyTorch has inside a step; by default those that it has outside.
    """

    runtime = PYTORCH

    def __init__(self, model: MoViNet | Ensemble, threads: int | None = None) -> None:
        self._model = deploy(model).eval()
        self._threads = threads

    def initial_state(self) -> State:
        """Return zeros by name."""
        return self._model.initial_state(1)

    def run(self, frame: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed a frame; see :meth:`~results.inference.runners.Runner.run`."""
        limit = nullcontext() if self._threads is None else torch_threads(self._threads)
        with limit, torch.inference_mode():
            logits, following = self._model.step(torch.from_numpy(frame).unsqueeze(2), state)
        return logits[0].numpy(), following
