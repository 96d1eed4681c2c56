"""Classify a video frame by frame, in constant memory, for as long as it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.inference.open_step import open_step
from results.inference.runners import Runner
from results.runtimes.preprocessing import Preprocessing
from search_space.errors import ExportError


class StreamingClassifier:
    """Classifies a video picture by picture: after each one it knows what the video shows so far.

        classifier = StreamingClassifier.open("runs/quickstart/family/A2")
        for frame in frames:                       # (height, width, 3), uint8, RGB
            probabilities = classifier.push(frame)
        print(classifier.top(3))

    Args:
        runner: runner of the step; many streams may share it.
        preprocessing: preprocessing from a picture to the network's input.
        labels: label of each class.
    """

    def __init__(self, runner: Runner[Any], preprocessing: Preprocessing, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.preprocessing = preprocessing
        self.frames = 0
        self._runner = runner
        self._state = runner.initial_state()
        self._probabilities = nothing_seen(labels)

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 1) -> StreamingClassifier:
        """Open the folder of a member (PyTorch), or an exported step of any runtime with its sidecar.

        Args:
            path: folder or exported file.
            threads: number of threads of the runtime.

        Raises:
            NetworkError: there is no such thing, or the weights are damaged or do not fit.
            ExportError: the export is damaged or of another version.
        """
        step = open_step(Path(path), threads=threads)
        if step.runner.streams != 1:
            raise ExportError(
                f"{path} takes frames of {step.runner.streams} videos at once",
                hint="open it with ManyStreams, or export the member without --streams",
            )
        return cls(step.runner, step.preprocessing, step.labels)

    def push(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Feed the next frame, (H, W, 3) uint8 RGB of any size; return the probabilities (classes,) so far.

        Raises:
            DataError: the frame is not a picture; the stream is as it was before.
            ExportError: the network gives logits that are not finite.
        """
        logits, state = self._runner.run(self.preprocessing.apply(frame), self._state)
        if not np.isfinite(logits).all():
            raise ExportError(
                f"the logits after frame {self.frames + 1} are not finite",
                hint="train or export the member again",
            )
        self._state = state
        self.frames += 1
        self._probabilities = softmax(logits)
        return self._probabilities

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the ``count`` most probable labels with their probabilities, the most probable first."""
        return most_probable(self.labels, self._probabilities, count)

    def reset(self) -> None:
        """Forget the video so far; the next frame is the first of another one."""
        self._state = self._runner.initial_state()
        self.frames = 0
        self._probabilities = nothing_seen(self.labels)

    def another(self) -> StreamingClassifier:
        """Return a further stream, at its start, that shares this one's network."""
        return StreamingClassifier(self._runner, self.preprocessing, self.labels)


def most_probable(
    labels: tuple[str, ...], probabilities: NDArray[np.float32], count: int
) -> list[tuple[str, float]]:
    """Return the ``count`` most probable labels with their probabilities, the most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(labels[index], float(probabilities[index])) for index in order]


def nothing_seen(labels: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the probabilities (classes,) before the first frame: all alike."""
    return np.full(len(labels), 1.0 / len(labels), dtype=np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits (classes,)."""
    powers = np.exp(logits - logits.max())
    probabilities: NDArray[np.float32] = powers / powers.sum()
    return probabilities
