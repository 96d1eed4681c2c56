"""A network as a runtime takes it: the module to convert, example inputs, and what its file's inputs are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from results.runtimes import sidecar
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.runtime import Program
from search_space.errors import ExportError
from search_space.network.clip_module import ClipModule
from search_space.network.step_module import StepModule

Example = tuple[torch.Tensor, ...]
_COUNTERS: tuple[tuple[str, Literal["1 / n", "n - 1"]], ...] = (
    ("reciprocal", "1 / n"),
    ("position", "n - 1"),
)


def fitted_frames(clip: NDArray[np.uint8], preprocessing: Preprocessing, count: int) -> NDArray[np.float32]:
    """Return ``count`` preprocessed frames (count, 3, size, size) of a clip, repeated if it is short.

    Raises:
        ExportError: the clip has no frames, or another shape than (frames, height, width, 3).
    """
    if clip.ndim != 4 or len(clip) == 0:
        raise ExportError(
            f"the clip to compare on has the shape {clip.shape}",
            hint="give frames of shape (T, height, width, 3)",
        )
    fitted = [preprocessing.apply(frame) for frame in clip[:count]]
    return np.concatenate([fitted[index % len(fitted)] for index in range(count)])


def two_clips(frames: NDArray[np.float32], length: int) -> list[NDArray[np.float32]]:
    """Return two different clips of these frames: the first ``length``, and the last ones backwards."""
    return [np.ascontiguousarray(frames[:length]), np.ascontiguousarray(frames[::-1][:length])]


def frames_of_streams(frames: NDArray[np.float32], streams: int) -> NDArray[np.float32]:
    """Return frames (frames, streams, 3, size, size) of several videos: each begins one frame later.

    Args:
        frames: frames (frames, 3, size, size) of one video; after the last comes the first again.
        streams: number of videos.
    """
    return np.stack([np.roll(frames, -stream, 0) for stream in range(streams)], 1)


def make_program(module: StepModule | ClipModule, frames: NDArray[np.float32], streams: int = 1) -> Program:
    """Return the module with its inputs on these frames: chained steps of so many videos, or two clips."""
    if isinstance(module, ClipModule):
        clips = [(torch.from_numpy(clip),) for clip in two_clips(frames, module.frames)]
        return Program(module, module.input_names, module.output_names, clips, (0,))
    states, examples = module.initial_states(streams), []
    for number, given in enumerate(frames_of_streams(frames, streams), start=1):
        example = (torch.from_numpy(given), *module.counters(number, streams), *states)
        examples.append(example)
        _, *new = module(*example)
        states = module.advance(states, new)
    first_state = 1 + len(module.counters(1))
    return Program(
        module,
        module.input_names,
        module.output_names,
        examples,
        (0, *range(first_state, len(examples[0]))),
        range(1, len(module.output_names)),
    )


def calibration_examples(
    module: StepModule | ClipModule,
    program: Program,
    clips: Iterable[NDArray[np.uint8]],
    preprocessing: Preprocessing,
) -> Sequence[Example]:
    """Return the inputs on all clips of a calibration; the program's own if there are none."""
    examples: list[Example] = []
    for clip in clips:
        count = len(clip) if isinstance(module, StepModule) else module.frames
        streams = program.examples[0][0].shape[0] if isinstance(module, StepModule) else 1
        own = make_program(module, fitted_frames(clip, preprocessing, count), streams).examples
        examples += own if isinstance(module, StepModule) else own[:1]
    return examples or program.examples


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs and outputs of an export, as its sidecar has them.

    Args:
        pixels: input that takes the frame or the clip.
        counters: inputs that the caller computes from the number of the frame.
        logits: output before the softmax.
        states: inputs that are handed on from frame to frame.
    """

    pixels: sidecar.Tensor
    counters: tuple[sidecar.Counter, ...]
    logits: sidecar.Tensor
    states: tuple[sidecar.State, ...]


def interface_of(
    module: StepModule | ClipModule, program: Program, classes: int, *, channels_last: bool
) -> Interface:
    """Return the inputs and outputs of a program's file.

    Args:
        module: module of the program.
        program: program whose first example gives the shapes.
        classes: number of logits.
        channels_last: whether the runtime's files have the channels of images last.
    """

    def shape(tensor: torch.Tensor) -> tuple[int, ...]:
        batch, channels, *rest = tensor.shape
        return (batch, *rest, channels) if channels_last else tuple(tensor.shape)

    pixels, *others = program.examples[0]
    counters, states = list[sidecar.Counter](), list[sidecar.State]()
    if isinstance(module, StepModule):
        count = len(module.counters(1))
        for (name, value), tensor in zip(_COUNTERS, others[:count], strict=False):
            counters.append(sidecar.Counter(name, tuple(tensor.shape), value=value))
        for (name, after), tensor in zip(module.following.items(), others[count:], strict=True):
            states.append(sidecar.State(name, shape(tensor), next=after))
    return Interface(
        sidecar.Tensor(program.inputs[0], shape(pixels)),
        tuple(counters),
        sidecar.Tensor("logits", (pixels.shape[0] if isinstance(module, StepModule) else 1, classes)),
        tuple(states),
    )
