"""An export beside PyTorch: the same frames through both, logits, times and accuracy compared."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from results.export.program import fitted_frames, frames_of_streams, two_clips
from results.inference.isolated_run import IsolatedRun, isolated_run
from results.inference.runners import ClipRunner, ExportRunner, Runner
from results.runtimes.runtime import Program, Runtime
from results.runtimes.sidecar import Check, Sidecar
from search_space.cost.stopwatch import Latency
from search_space.network.clip_module import ClipModule
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet
from search_space.network.step_module import StepModule

LabelledClip = tuple[NDArray[np.uint8], int]
"""Real frames (T, H, W, 3), uint8 RGB, and the number of their label."""
VIDEOS = "videos"
"""Key of a sidecar's ``accuracy`` under which the number of evaluation videos stands."""
_WARMUP = 4
_TIMED_STEPS, _TIMED_CLIPS = 50, 1
_TURNS = 20


def expected_logits(
    model: MoViNet | Ensemble,
    frames: NDArray[np.float32],
    module: StepModule | ClipModule,
    streams: int = 1,
) -> NDArray[np.float32]:
    """Return PyTorch's logits (calls, rows, classes): after each of the chained frames, or of two clips.

    Args:
        model: the network in its deploy form.
        frames: preprocessed frames (frames, 3, size, size).
        module: step or clip form that was exported.
        streams: number of videos that a step takes a frame each of; a row of the logits is one's.
    """
    if isinstance(module, ClipModule):
        clips = [clip.swapaxes(0, 1)[None].copy() for clip in two_clips(frames, module.frames)]
        return np.stack([model(torch.from_numpy(clip)).numpy() for clip in clips])
    state, logits = model.initial_state(streams), []
    for given in frames_of_streams(frames, streams):
        rows, state = model.step(torch.from_numpy(given)[:, :, None], state)
        logits.append(rows.numpy())
    return np.stack(logits)


def compare(
    expected: NDArray[np.float32], path: Path, frames: NDArray[np.float32], sidecar: Sidecar
) -> Check:
    """Feed the frames to an export in a process of its own, and compare its logits with PyTorch's.

    Steps are chained: several failures of exporters show from the second frame only.

    Args:
        expected: logits of PyTorch (calls, rows, classes).
        path: exported file, its sidecar beside it.
        frames: preprocessed frames (frames, 3, size, size).
        sidecar: sidecar of the file, whose check has the tolerance.

    Raises:
        ExportError: the export cannot be run.
    """
    if sidecar.form == "clip":
        fed = sidecar.frames * len(expected)
        clips = np.concatenate(two_clips(frames, sidecar.frames))
        result = isolated_run(path, clips, calls=len(expected), form="clip")
    else:
        fed = len(expected)
        result = isolated_run(path, frames, calls=len(frames))
    latency = _latency(result, sidecar)
    return replace(
        sidecar.check,
        frames=fed,
        # A NaN stays in the maximum, so that the check fails.
        max_difference=float(np.abs(result.logits - expected).max()),
        largest_logit=float(np.abs(expected).max()),
        latency_ms=latency.median,
        latency_p95_ms=latency.p95,
        agreement=float((result.logits.argmax(-1) == expected.argmax(-1)).mean()),
    )


def _latency(result: IsolatedRun, sidecar: Sidecar) -> Latency:
    """Return the time of the calls after those that warm up."""
    times = result.milliseconds.tolist()
    return Latency.of(times[min(_WARMUP, len(times) - 1) :], sidecar.runtime)


def time_export(path: Path, sidecar: Sidecar) -> Latency:
    """Time an export on noise, in a process of its own.

    Args:
        path: exported file.
        sidecar: sidecar of the file.

    Raises:
        ExportError: the export cannot be run.
    """
    size, step = sidecar.preprocessing.size, sidecar.form == "step"
    noise = np.random.default_rng(0).random((8 if step else sidecar.frames, 3, size, size), dtype=np.float32)
    calls = _WARMUP + (_TIMED_STEPS if step else _TIMED_CLIPS)
    return _latency(isolated_run(path, noise, calls=calls, form=sidecar.form), sidecar)


def share_of_float32_time(runtime: Runtime, program: Program, path: Path) -> float:
    """Return the time of a call of an export as a share of the same program's in float32.

    Both run in this process in one thread, in turns: medians of the processor's time.

    Args:
        runtime: runtime of the export.
        program: program that was exported, with its examples.
        path: exported file.

    Raises:
        ExportError: the program cannot be exported in float32, or one of the two cannot be run.
    """
    feed = program.feed(0, channels_last=runtime.channels_last)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / f"float32{runtime.suffix}"
        runtime.convert(replace(program, precision="float32"), plain)
        calls = [runtime.load(each, program.inputs, program.outputs, 1) for each in (path, plain)]
        times = np.zeros((_WARMUP + _TURNS, len(calls)))
        for turn in times:
            for index, call in enumerate(calls):
                began = time.process_time_ns()
                call(feed)
                turn[index] = time.process_time_ns() - began
    ours, theirs = np.median(times[_WARMUP:], 0)
    return float(ours / theirs)


def measure_accuracy(
    model: MoViNet | Ensemble, path: Path, sidecar: Sidecar, clips: Sequence[LabelledClip]
) -> dict[str, float]:
    """Return the top-1 accuracy of the export and of PyTorch on the same clips; nothing without clips.

    Args:
        model: the network in its deploy form.
        path: exported file.
        sidecar: sidecar of the file.
        clips: clips with their labels.

    Returns:
        ``export_top1`` and ``pytorch_top1`` as fractions, and ``videos``, the number of clips.
    """
    if not clips:
        return {}
    runner: Runner[Any] | ClipRunner
    runner = ExportRunner(path, sidecar) if sidecar.form == "step" else ClipRunner(path, sidecar)
    right, expected = 0, 0
    for clip, label in clips:
        length = len(clip) if sidecar.form == "step" else sidecar.frames
        frames = fitted_frames(clip, sidecar.preprocessing, length)
        right += int(_clip_logits(runner, frames).argmax() == label)
        expected += int(model(torch.from_numpy(frames.swapaxes(0, 1)[None].copy())).argmax() == label)
    return {
        "export_top1": right / len(clips),
        "pytorch_top1": expected / len(clips),
        VIDEOS: float(len(clips)),
    }


def _clip_logits(runner: Runner[Any] | ClipRunner, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits (classes,) over all frames; a step of several videos gets the same one everywhere."""
    if isinstance(runner, ClipRunner):
        return runner.run(frames)
    state, every = runner.initial_state(), np.ones(runner.streams, np.bool_)
    for frame in frames:
        logits, state = runner.run_all(np.stack([frame] * runner.streams), state, every)
    first: NDArray[np.float32] = logits[0]
    return first
