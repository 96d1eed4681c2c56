"""A streaming step behind one interface, in PyTorch or ONNX Runtime; its state stays with the caller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from results.sidecar import NEXT, Sidecar, sha256
from search_space.errors import ExportError
from search_space.network import Ensemble, MoViNet, fold

StepState = Mapping[str, Any]


class Runner(Protocol):
    """Computes a step; one runner serves any number of streams, each with its own state."""

    @property
    def runtime(self) -> str:
        """What computes it: ``pytorch`` or ``onnxruntime``."""

    def initial_state(self) -> StepState:
        """The state before the first frame of a video."""

    def run(self, frame: NDArray[np.float32], state: StepState) -> tuple[NDArray[np.float32], StepState]:
        """A (1, 3, size, size) frame and a state -> logits (classes,) so far, and the next state."""


def deploy(model: MoViNet | Ensemble) -> MoViNet | Ensemble:
    """The deploy form of a network or of an ensemble: batch norm folded, evaluation only."""
    if isinstance(model, Ensemble):
        return Ensemble([fold(member) for member in parts(model)])
    return fold(model)


def parts(model: MoViNet | Ensemble) -> tuple[MoViNet, ...]:
    """The networks of an ensemble, or the one network."""
    return tuple(model.networks) if isinstance(model, Ensemble) else (model,)


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


class OnnxRunner:
    """Runs an exported step in ONNX Runtime.

    Args:
        path: the ``.onnx`` file, its sidecar beside it with the suffix ``.json``.
        sidecar: the sidecar if it has been read already.
        threads: threads within an operator.

    Raises:
        ExportError: if the file or its sidecar is missing or damaged, or the two do not belong together.
    """

    runtime = "onnxruntime"

    def __init__(self, path: Path, sidecar: Sidecar | None = None, *, threads: int = 1) -> None:
        self.sidecar = sidecar or Sidecar.read(path.with_suffix(".json"))
        if not path.is_file():
            raise ExportError(f"{path} does not exist", hint="export the member again")
        if sha256(path) != self.sidecar.sha256:
            raise ExportError(
                f"{path} is not what {path.with_suffix('.json').name} describes: its SHA-256 differs",
                hint="it is damaged or of another export; export the member again",
            )
        self._session = session(path, threads)
        self._outputs = [self.sidecar.logits.name, *(NEXT + state.name for state in self.sidecar.states)]

    def initial_state(self) -> StepState:
        """Zeros, by name."""
        return {s.name: np.zeros(s.shape, dtype=np.dtype(s.dtype)) for s in self.sidecar.states}

    def run(self, frame: NDArray[np.float32], state: StepState) -> tuple[NDArray[np.float32], StepState]:
        """A (1, 3, size, size) frame and a state -> logits (classes,) so far, and the next state."""
        logits, *following = self._session.run(self._outputs, {self.sidecar.frame.name: frame, **state})
        names = (tensor.name for tensor in self.sidecar.states)
        return logits[0], dict(zip(names, following, strict=True))


def session(path: Path, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        ExportError: if the runtime cannot load the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The runtime raises a dozen unrelated classes of its own C extension; all of them mean that it cannot
        # load.
        raise ExportError(
            f"ONNX Runtime cannot load {path}: {error}", hint="export the member again"
        ) from error
