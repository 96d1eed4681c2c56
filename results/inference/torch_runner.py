"""The step of a network in PyTorch, behind the interface of exported ones."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from results.inference.runners import StepState
from search_space.network.ensemble import Ensemble
from search_space.network.folding import deploy
from search_space.network.model import MoViNet


class TorchRunner:
    """Runs the step of a network in PyTorch, folded."""

    runtime = "pytorch"

    def __init__(self, model: MoViNet | Ensemble) -> None:
        self._model = deploy(model).eval()

    def initial_state(self) -> StepState:
        """Zeros, by name."""
        return self._model.initial_state(1)

    def run(self, frame: NDArray[np.float32], state: StepState) -> tuple[NDArray[np.float32], StepState]:
        """A (1, 3, size, size) frame and a state -> logits (classes,) so far, and the next state."""
        with torch.inference_mode():
            logits, following = self._model.step(torch.from_numpy(frame).unsqueeze(2), dict(state))
        return logits[0].numpy(), following
