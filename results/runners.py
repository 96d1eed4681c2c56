"""A streaming step behind one interface, in PyTorch or a runtime; its state stays with the caller."""

from __future__ import annotations

import importlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from results.sidecar import Sidecar, sha256
from search_space.errors import ExportError
from search_space.network import Ensemble, MoViNet, fold

StepState = Mapping[str, Any]
_FRAMES = "frames"


class Runner(Protocol):
    """Computes a step; one runner serves any number of streams, each with its own state."""

    @property
    def runtime(self) -> str:
        """What computes it: ``pytorch``, ``onnxruntime`` or ``litert``."""

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


class ExportRunner(ABC):
    """Runs an exported step; ``open`` takes the class that fits a file.

    Args:
        path: the exported file, its sidecar beside it with the suffix ``.json``.
        sidecar: the sidecar if it has been read already.
        threads: threads within an operator.

    Raises:
        ExportError: if the file, its sidecar or the runtime is missing or damaged, or they do not belong
            together.
    """

    runtime: str

    def __init__(self, path: Path, sidecar: Sidecar | None = None, *, threads: int = 1) -> None:
        self.sidecar = sidecar or Sidecar.read(path.with_suffix(".json"))
        if not path.is_file():
            raise ExportError(f"{path} does not exist", hint="export the member again")
        if self.sidecar.runtime != self.runtime:
            raise ExportError(
                f"{path} is for {self.sidecar.runtime}, not for {self.runtime}",
                hint="open it with ExportRunner.open",
            )
        if sha256(path) != self.sidecar.sha256:
            raise ExportError(
                f"{path} is not what {path.with_suffix('.json').name} describes: its SHA-256 differs",
                hint="it is damaged or of another export; export the member again",
            )
        self._load(path, threads)

    @staticmethod
    def open(path: Path, sidecar: Sidecar | None = None, *, threads: int = 1) -> ExportRunner:
        """The runner of an exported file, by its suffix."""
        runners = {".onnx": OnnxRunner, ".tflite": LiteRtRunner}
        if path.suffix not in runners:
            raise ExportError(f"{path} is no exported step", hint=f"known suffixes: {', '.join(runners)}")
        return runners[path.suffix](path, sidecar, threads=threads)

    def initial_state(self) -> StepState:
        """Zeros, by name, and how many frames have been."""
        zeros = {s.name: np.zeros(s.shape, dtype=np.dtype(s.dtype)) for s in self.sidecar.states}
        return {_FRAMES: np.zeros((), dtype=np.int64), **zeros}

    def run(self, frame: NDArray[np.float32], state: StepState) -> tuple[NDArray[np.float32], StepState]:
        """A (1, 3, size, size) frame and a state -> logits (classes,) so far, and the next state."""
        count = int(state[_FRAMES]) + 1
        counters = {c.name: np.full(c.shape, c.at(count), dtype=c.dtype) for c in self.sidecar.counters}
        before = {tensor.name: state[tensor.name] for tensor in self.sidecar.states}
        outputs = self._compute({self.sidecar.frame.name: frame, **counters, **before})
        values = {**before, **outputs}
        after = {tensor.name: values[tensor.next] for tensor in self.sidecar.states}
        return outputs[self.sidecar.logits.name][0], {_FRAMES: np.asarray(count), **after}

    @abstractmethod
    def _load(self, path: Path, threads: int) -> None:
        """Loads the file into the runtime."""

    @abstractmethod
    def _compute(self, feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Inputs by name, the frame (1, 3, size, size), to outputs by name."""


class OnnxRunner(ExportRunner):
    """Runs an exported step in ONNX Runtime; see :class:`ExportRunner`."""

    runtime = "onnxruntime"

    def _load(self, path: Path, threads: int) -> None:
        self._session = session(path, threads)
        self._outputs = [tensor.name for tensor in self.sidecar.outputs]

    def _compute(self, feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(feed)), strict=True))


class LiteRtRunner(ExportRunner):
    """Runs an exported step in LiteRT with XNNPACK; see :class:`ExportRunner`."""

    runtime = "litert"

    def _load(self, path: Path, threads: int) -> None:
        try:
            interpreter = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise ExportError(
                f"{path} needs LiteRT, which is not installed", hint="pip install ai-edge-litert"
            ) from error
        try:
            loaded = interpreter.Interpreter(model_path=str(path), num_threads=threads)
            self._signature = loaded.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"LiteRT cannot load {path}: {error}", hint="export the member again"
            ) from error
        self._inputs = dict(zip((t.name for t in self.sidecar.inputs), _numbered("args"), strict=False))
        self._outputs = dict(zip((t.name for t in self.sidecar.outputs), _numbered("output"), strict=False))

    def _compute(self, feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        named = {self._inputs[name]: value for name, value in feed.items()}
        frame = self._inputs[self.sidecar.frame.name]
        named[frame] = np.ascontiguousarray(named[frame].transpose(0, 2, 3, 1))
        found = self._signature(**named)
        return {name: found[theirs] for name, theirs in self._outputs.items()}


def _numbered(word: str) -> Iterator[str]:
    """LiteRT's names of inputs and outputs: by their order."""
    return (f"{word}_{index}" for index in itertools.count())


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
