"""Export of the streaming step, written only if the runtime computes what PyTorch computes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from results import sidecar
from results.converters import convert_to_litert, convert_to_onnx
from results.latency import measure, of_times, one_thread
from results.preprocessing import Preprocessing
from results.runners import ExportRunner, deploy, parts
from search_space.errors import ExportError
from search_space.network import Ensemble, MoViNet, StepModule

FILE = "step.onnx"
LITERT_FILE = "step_litert.tflite"
Runtime = Literal["onnxruntime", "litert"]
TOLERANCE = 1e-4
FRAMES = 16
_WARMUP = 4
_PACKAGES = {
    "onnxruntime": ("onnx", "onnxscript", "onnxruntime"),
    "litert": ("litert-torch", "ai-edge-litert"),
}


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What became of one member's export.

    Args:
        name: the member's name.
        path: the exported file; None if there is none.
        check: the comparison with PyTorch; None if it did not come to that.
        bytes: size of the file.
        seconds: what the export and its comparison took.
        reason: why there is no file; empty if there is one.
    """

    name: str
    path: Path | None
    check: sidecar.Check | None
    bytes: int
    seconds: float
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the export is there and computes what the network computes."""
        return self.path is not None


def export_step(
    model: MoViNet | Ensemble,
    folder: Path,
    clip: NDArray[np.uint8],
    *,
    name: str,
    labels: Sequence[str],
    preprocessing: Preprocessing | None = None,
    tolerance: float = TOLERANCE,
    runtime: Runtime = "onnxruntime",
) -> ExportResult:
    """Writes ``step.onnx`` and ``step.json`` into ``folder``, and compares them with PyTorch frame by frame.

    The export takes one frame ``(1, 3, size, size)`` in [0, 1], 1 / n for the n-th frame, and the states by
    name; it gives ``logits`` and what is new of the states, and the sidecar says for each state what it takes
    for the next frame. The file is there only while its comparison holds.

    Args:
        model: a causal network or an ensemble of such; its deploy form is made here.
        folder: where to write; made if need be.
        clip: real frames (T, H, W, 3), uint8 RGB; fed in a loop if fewer than 16.
        name: the member's name, for the sidecar.
        labels: one for each class.
        preprocessing: from pictures to the input; by default as the architecture's input says.
        tolerance: largest allowed difference, as a share of the largest logit.
        runtime: ``litert`` writes ``step_litert.tflite`` and its sidecar, whose frame and states have the
            channels last; it wants the extra ``litert``.

    Raises:
        ExportError: if the exporter or the runtime is missing or fails, or the comparison does not hold.
        NetworkError: if the network is not causal.
    """
    started = time.monotonic()
    path = folder / (FILE if runtime == "onnxruntime" else LITERT_FILE)
    networks = parts(model)
    if model.classes != len(labels):
        raise ExportError(
            f"{name} has {model.classes} classes and {len(labels)} labels were given",
            hint="give one for each class",
        )
    fit = preprocessing or Preprocessing.of(networks[0].architecture.input)
    frames = _frames(clip, fit)
    deployed = deploy(model).eval()
    folder.mkdir(parents=True, exist_ok=True)
    # The old export goes first: a sidecar must never stand beside another network's file.
    _remove(path)
    try:
        with one_thread(), torch.no_grad():
            module = StepModule(deployed)
            (convert_to_onnx if runtime == "onnxruntime" else convert_to_litert)(module, path)
            about = sidecar.Sidecar(
                name=name,
                file=path.name,
                sha256=sidecar.sha256(path),
                architectures=tuple(part.architecture.text for part in networks),
                digest="+".join(part.architecture.digest for part in networks),
                runtime=runtime,
                **_interface(module, len(labels), channels_last=runtime == "litert"),
                preprocessing=fit,
                labels=tuple(labels),
                check=sidecar.Check(0, 0.0, 0.0, tolerance, 0.0, 0.0),
                versions=sidecar.versions("torch", *_PACKAGES[runtime]),
            )
            check = _compare(deployed, path, about, frames, tolerance)
        if not check.passed:
            raise ExportError(
                f"{name}: over {check.frames} frames the export differs from the network by "
                f"{check.relative:.2g} of the largest logit, and {tolerance:.2g} is allowed",
                hint="it was not written; report the architecture with the network's weights",
            )
        replace(about, check=check).write(path.with_suffix(".json"))
    except BaseException:
        _remove(path)
        raise
    return ExportResult(name, path, check, path.stat().st_size, time.monotonic() - started)


def _frames(clip: NDArray[np.uint8], fit: Preprocessing) -> list[NDArray[np.float32]]:
    if clip.ndim != 4 or len(clip) == 0:
        raise ExportError(
            f"the clip to compare on has the shape {clip.shape}",
            hint="give frames of shape (T, height, width, 3)",
        )
    return [fit.apply(clip[index % len(clip)]) for index in range(max(FRAMES, len(clip)))]


def _interface(module: StepModule, classes: int, *, channels_last: bool) -> dict[str, Any]:
    """The parts of a sidecar that describe inputs and outputs."""

    def shape(tensor: Tensor) -> tuple[int, ...]:
        batch, channels, *rest = tensor.shape
        return (batch, *rest, channels) if channels_last else tuple(tensor.shape)

    counters = dict(zip(("reciprocal", "position"), module.counters(1), strict=False))
    states = zip(module.following.items(), module.initial_states(), strict=True)
    return {
        "frame": sidecar.Tensor("frame", shape(torch.empty(1, 3, module.size, module.size))),
        "counters": tuple(
            sidecar.Counter(name, tuple(tensor.shape), value="1 / n" if name == "reciprocal" else "n - 1")
            for name, tensor in counters.items()
        ),
        "logits": sidecar.Tensor("logits", (1, classes)),
        "states": tuple(sidecar.State(name, shape(tensor), next=after) for (name, after), tensor in states),
    }


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)


def _compare(
    model: MoViNet | Ensemble,
    path: Path,
    about: sidecar.Sidecar,
    frames: Sequence[NDArray[np.float32]],
    tolerance: float,
) -> sidecar.Check:
    """Feeds the chained frames to both; several failures of exporters show from the second frame only."""
    runner = ExportRunner.open(path, about)
    expected_state = model.initial_state(1)
    state = runner.initial_state()
    difference = largest = 0.0
    times: list[float] = []
    for frame in frames:
        expected, expected_state = model.step(torch.from_numpy(frame).unsqueeze(2), expected_state)
        start = time.perf_counter()
        logits, state = runner.run(frame, state)
        times.append(1000 * (time.perf_counter() - start))
        wanted = expected[0].numpy()
        # np.maximum and not max(): a NaN has to stay, so that the check fails.
        difference = float(np.maximum(difference, np.abs(logits - wanted).max()))
        largest = float(np.maximum(largest, np.abs(wanted).max()))
    timed = of_times(times[_WARMUP:], runner.runtime)
    return sidecar.Check(len(frames), difference, largest, tolerance, timed.median, timed.p95)


def retimed(result: ExportResult) -> ExportResult:
    """Times an export again on a machine that is quiet now, and puts the latency into its sidecar.

    Exports made side by side are timed while others are still being made.
    """
    if result.path is None or result.check is None:
        return result
    runner = ExportRunner.open(result.path)
    timed = measure(runner, runner.sidecar.preprocessing.size)
    check = replace(result.check, latency_ms=timed.median, latency_p95_ms=timed.p95)
    replace(runner.sidecar, check=check).write(result.path.with_suffix(".json"))
    return replace(result, check=check)
