"""Exported networks behind one interface for all runtimes; the state of a stream stays with the caller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from results.runtimes.registry import SUFFIXES, companions_of, runtime_named
from results.runtimes.sidecar import Form, Sidecar, sidecar_of
from search_space.errors import ExportError
from search_space.files import sha256

State = TypeVar("State")
ArrayState = Mapping[str, NDArray[Any]]
"""State of an export's stream: the arrays that it hands on, by name, and the number of frames so far."""
_FRAMES = "frames"


class Runner(Protocol[State]):
    """Runs a step; one runner serves any number of states, each of ``streams`` videos side by side."""

    @property
    def runtime(self) -> str:
        """Name of what computes it: ``pytorch``, or one of ``runtimes.registry.RUNTIMES``."""

    @property
    def streams(self) -> int:
        """Number of videos of which a call takes a frame each."""

    def initial_state(self) -> State:
        """Return the state before the first frames of the videos."""

    def run_all(
        self, frames: NDArray[np.float32], state: State, fed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], State]:
        """Feed frames of several videos, each at its own place in its video.

        Args:
            frames: pixels (streams, 3, size, size) in [0, 1].
            state: state after the frames before; it is not changed.
            fed: which of the videos the frames are of (streams,); the others stay where they are.

        Returns:
            The logits (streams, classes) over all frames of each video so far, and the next state. The
            logits of a video that was not fed mean nothing.
        """

    def cleared(self, state: State, stream: int) -> State:
        """Return the state with one of its videos, from 0, before its first frame again."""

    def run(self, frame: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed a frame, where a call takes one.

        Args:
            frame: pixels (1, 3, size, size) in [0, 1].
            state: state after the frame before.

        Returns:
            The logits (classes,) over all frames so far, and the next state.
        """


class _Export:
    """An exported file in its runtime.

    Args:
        path: exported file, its sidecar beside it.
        sidecar: sidecar of the file, if it has been read already.
        threads: number of threads within an operator.

    Raises:
        ExportError: the file, its sidecar or the runtime is missing or damaged, or they do not belong
            together.
    """

    form: Form

    def __init__(self, path: Path, sidecar: Sidecar | None = None, *, threads: int = 1) -> None:
        if path.suffix not in SUFFIXES:
            raise ExportError(
                f"{path} is not an exported network", hint=f"known suffixes: {', '.join(sorted(SUFFIXES))}"
            )
        if not path.is_file():
            raise ExportError(f"{path} does not exist", hint="export the member again")
        self.sidecar = sidecar or Sidecar.read(sidecar_of(path))
        runtime = runtime_named(self.sidecar.runtime)
        if path.suffix != runtime.suffix:
            raise ExportError(
                f"{path} is for {runtime.name}, whose files end in {runtime.suffix}",
                hint="give the file its own name again",
            )
        if self.sidecar.form != self.form:
            raise ExportError(
                f"{path} is the {self.sidecar.form} form, and this needs the {self.form} form",
                hint=f"export it with --form {self.form}",
            )
        _require_same_files(path, self.sidecar)
        self.runtime = runtime.name
        self._compute = runtime.load(
            path,
            [tensor.name for tensor in self.sidecar.inputs],
            [tensor.name for tensor in self.sidecar.outputs],
            threads,
        )


def _require_same_files(path: Path, sidecar: Sidecar) -> None:
    """Refuse an exported file, or one that it needs beside it, that is not what its sidecar describes."""
    needed = {file.name for file in companions_of(path, sidecar.runtime)}
    if needed != set(sidecar.companions):
        raise ExportError(
            f"{path} needs {', '.join(needed) or 'nothing'} beside it, and {sidecar_of(path).name} describes "
            f"{', '.join(sidecar.companions) or 'nothing'}",
            hint="give the files their own names again, or export the member again",
        )
    for name, digest in {path.name: sidecar.sha256, **sidecar.companions}.items():
        file = path.with_name(name)
        if not file.is_file():
            raise ExportError(f"{file} does not exist, and {path} needs it", hint="export the member again")
        if sha256(file) != digest:
            raise ExportError(
                f"{file} is not what {sidecar_of(path).name} describes: its SHA-256 differs",
                hint="it is damaged or of another export; export the member again",
            )


class ExportRunner(_Export):
    """Runs an exported step; see :class:`_Export` for its arguments and errors."""

    form = "step"

    @property
    def streams(self) -> int:
        """Number of videos of which a call takes a frame each."""
        return self.sidecar.streams

    def initial_state(self) -> ArrayState:
        """Return zeros by name, and that no frame has been fed."""
        zeros = {state.name: np.zeros(state.shape, np.dtype(state.dtype)) for state in self.sidecar.states}
        return {_FRAMES: np.zeros(self.streams, dtype=np.int64), **zeros}

    def run_all(
        self, frames: NDArray[np.float32], state: ArrayState, fed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], ArrayState]:
        """Feed frames of several videos; see :meth:`Runner.run_all`."""
        count = state[_FRAMES] + 1
        counters = {
            counter.name: counter.at(count).astype(counter.dtype).reshape(counter.shape)
            for counter in self.sidecar.counters
        }
        before = {tensor.name: state[tensor.name] for tensor in self.sidecar.states}
        outputs = self._compute({self.sidecar.pixels.name: frames, **counters, **before})
        values = {**before, **outputs}
        after = {_FRAMES: count} | {tensor.name: values[tensor.next] for tensor in self.sidecar.states}
        if not fed.all():
            after = {name: _rows(fed, value, state[name]) for name, value in after.items()}
        return outputs[self.sidecar.logits.name], after

    def cleared(self, state: ArrayState, stream: int) -> ArrayState:
        """Return the state with one of its videos at its start; see :meth:`Runner.cleared`."""
        kept = np.arange(self.streams) != stream
        return {name: _rows(kept, value, np.zeros_like(value)) for name, value in state.items()}

    def run(self, frame: NDArray[np.float32], state: ArrayState) -> tuple[NDArray[np.float32], ArrayState]:
        """Feed a frame; see :meth:`Runner.run`."""
        logits, after = self.run_all(frame, state, np.ones(1, np.bool_))
        return logits[0], after


def _rows(chosen: NDArray[np.bool_], these: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Return an array of the chosen rows of one array, and the other rows of another."""
    return np.where(chosen.reshape(-1, *[1] * (these.ndim - 1)), these, others)


class ClipRunner(_Export):
    """Runs an exported clip form; see :class:`_Export` for its arguments and errors."""

    form = "clip"

    def run(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (classes,) of a clip (frames, 3, size, size)."""
        outputs = self._compute({self.sidecar.pixels.name: clip})
        logits: NDArray[np.float32] = outputs[self.sidecar.logits.name][0]
        return logits
