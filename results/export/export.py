"""Export of a network for a runtime, written only if the runtime computes what PyTorch computes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from results.inference.isolated_run import Replay, replay
from results.inference.latency import of_times, one_thread
from results.inference.runners import ClipRunner, ExportRunner
from results.inference.torch_runner import deploy, parts
from results.provenance import sha256, versions
from results.runtimes import runtime_named, sidecar
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.runtime import Program
from results.runtimes.sidecar import Form, Precision, sidecar_of
from search_space.errors import ExportError
from search_space.network import ClipModule, Ensemble, MoViNet, StepModule

TOLERANCE = 1e-4
TOLERANCES: Mapping[Precision, float] = {"float32": TOLERANCE, "int8": 0.5}
"""What an export may differ from PyTorch at most, as a share of the largest logit."""
FRAMES = 16
_WARMUP = 4
_TIMED = 50
_VIDEOS = "videos"

LabelledClip = tuple[NDArray[np.uint8], int]
"""Real frames (T, H, W, 3), uint8 RGB, and the number of their label."""


def file_name(form: Form = "step", runtime: str = "onnxruntime", precision: Precision = "float32") -> str:
    """The name of an export: ``step.onnx``, ``clip.pt2``, ``step.int8.pte``."""
    return f"{form}{'' if precision == 'float32' else f'.{precision}'}{runtime_named(runtime).suffix}"


FILE = file_name()


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

    def text(self) -> str:
        """In a line or two for a terminal."""
        if self.path is None or self.check is None:
            return f"{self.name}: {self.reason}"
        about = sidecar.Sidecar.read(sidecar_of(self.path))
        told = (
            f"{self.path}: {self.bytes / 2**20:.2f} MiB, differs from PyTorch by {self.check.relative:.1e} "
            f"of the largest logit over {self.check.frames} frames, {self.check.latency_ms:.2f} ms "
            f"a {about.unit}"
        )
        if _VIDEOS not in about.accuracy:
            return told
        ours, theirs = (100 * about.accuracy[key] for key in ("export_top1", "pytorch_top1"))
        return (
            f"{told}\n  top-1 {ours:.1f} % on {about.accuracy[_VIDEOS]:.0f} videos; in PyTorch {theirs:.1f} %"
        )


def export_network(
    model: MoViNet | Ensemble,
    folder: Path,
    clip: NDArray[np.uint8],
    *,
    name: str,
    labels: Sequence[str],
    form: Form = "step",
    runtime: str = "onnxruntime",
    precision: Precision = "float32",
    preprocessing: Preprocessing | None = None,
    tolerance: float | None = None,
    accuracy: Mapping[str, float] | None = None,
    calibration: Iterable[NDArray[np.uint8]] = (),
    evaluation: Iterable[LabelledClip] = (),
) -> ExportResult:
    """Writes a network's file for a runtime and its sidecar into ``folder``, and compares it with PyTorch.

    A step takes one frame (1, 3, size, size) in [0, 1], what follows from the frame's number, and the states
    by name; it gives ``logits`` and what is new of the states, and the sidecar says for each state what it
    takes for the next frame. A clip form takes (frames, 3, size, size) and gives ``logits``. The file runs in
    its runtime, in a process of its own, over a real video; it is there only while it computes what PyTorch
    does.

    Args:
        model: its deploy form is made here; for a step a causal network or an ensemble of such.
        folder: where to write; made if need be.
        clip: real frames (T, H, W, 3), uint8 RGB; fed in a loop if fewer than needed.
        name: the member's name, for the sidecar.
        labels: one for each class.
        form: ``step`` or ``clip``.
        runtime: a name of ``results.runtimes.RUNTIMES``; LiteRT and ExecuTorch are extras.
        precision: ``int8`` for 8-bit weights and activations, where the runtime has them.
        preprocessing: from pictures to the input; by default as the architecture's input says.
        tolerance: largest allowed difference, as a share of the largest logit; by default by precision.
        accuracy: of the network on evaluation videos, as fractions by name, for the sidecar.
        calibration: clips, as ``clip``, whose ranges of values ``int8`` is to cover; by default ``clip``
            alone, which costs accuracy.
        evaluation: clips on which the export's own accuracy is measured beside PyTorch's.

    Raises:
        ExportError: if the exporter or the runtime is missing or fails, or the comparison does not hold.
        NetworkError: if a step is wanted of a network that is not causal.
    """
    started = time.monotonic()
    target = runtime_named(runtime)
    path = folder / file_name(form, runtime, precision)
    tolerance = TOLERANCES[precision] if tolerance is None else tolerance
    networks = parts(model)
    if precision not in target.precisions:
        raise ExportError(
            f"{runtime} has no {precision} export", hint=f"it has {', '.join(target.precisions)}"
        )
    if model.classes != len(labels):
        raise ExportError(
            f"{name} has {model.classes} classes and {len(labels)} labels were given",
            hint="give one for each class",
        )
    fit = preprocessing or Preprocessing.of(networks[0].architecture.input)
    deployed = deploy(model).eval()
    folder.mkdir(parents=True, exist_ok=True)
    # The old export goes first: a sidecar must never stand beside another network's file.
    _remove(path)
    with ExitStack() as undo:
        # Whatever ends this early, what does not compute the network does not stay.
        undo.callback(_remove, path)
        with one_thread(), torch.no_grad():
            module = StepModule(deployed) if form == "step" else ClipModule(deployed)
            frames = _frames(clip, fit, FRAMES if isinstance(module, StepModule) else 2 * module.frames)
            program = _program(module, frames)
            examples = (
                _examples(module, program, calibration, fit) if precision == "int8" else program.examples
            )
            target.convert(replace(program, precision=precision, examples=examples), path)
            about = sidecar.Sidecar(
                name=name,
                file=path.name,
                sha256=sha256(path),
                form=form,
                precision=precision,
                architectures=tuple(part.architecture.text for part in networks),
                digest="+".join(part.architecture.digest for part in networks),
                runtime=runtime,
                **_interface(module, program, len(labels), channels_last=target.channels_last),
                preprocessing=fit,
                labels=tuple(labels),
                check=sidecar.Check(0, 0.0, 0.0, tolerance, 0.0, 0.0),
                accuracy=dict(accuracy or {}),
                versions=versions("torch", *target.packages),
            )
            # The other process needs it; it stays only if the comparison holds.
            about.write(sidecar_of(path))
            check = _compare(_expected(deployed, frames, module), path, frames, about)
            if not check.passed:
                raise ExportError(
                    f"{name}: over {check.frames} frames the export differs from the network by "
                    f"{check.relative:.2g} of the largest logit, and {tolerance:.2g} is allowed",
                    hint="it was not written; report the architecture with the network's weights",
                )
            measured = _accuracy(deployed, path, about, list(evaluation))
        replace(about, check=check, accuracy={**about.accuracy, **measured}).write(sidecar_of(path))
        undo.pop_all()
    return ExportResult(name, path, check, path.stat().st_size, time.monotonic() - started)


def _frames(clip: NDArray[np.uint8], fit: Preprocessing, count: int) -> NDArray[np.float32]:
    """At least ``count`` frames (.., 3, size, size)."""
    if clip.ndim != 4 or len(clip) == 0:
        raise ExportError(
            f"the clip to compare on has the shape {clip.shape}",
            hint="give frames of shape (T, height, width, 3)",
        )
    fitted = [fit.apply(frame) for frame in clip[:count]]
    return np.concatenate([fitted[index % len(fitted)] for index in range(count)])


def _program(module: StepModule | ClipModule, frames: NDArray[np.float32]) -> Program:
    """The module with what it is fed on these frames."""
    if isinstance(module, ClipModule):
        clips = [(torch.from_numpy(each),) for each in _clips(frames, module.frames)]
        return Program(module, module.input_names, module.output_names, clips, (0,))
    states, examples = module.initial_states(), []
    for number, frame in enumerate(frames, start=1):
        example = (torch.from_numpy(frame[None].copy()), *module.counters(number), *states)
        examples.append(example)
        _, *new = module(*example)
        states = module.advance(states, new)
    first = 1 + len(module.counters(1))
    return Program(
        module,
        module.input_names,
        module.output_names,
        examples,
        (0, *range(first, len(examples[0]))),
        range(1, len(module.output_names)),
    )


def _examples(
    module: StepModule | ClipModule,
    program: Program,
    clips: Iterable[NDArray[np.uint8]],
    fit: Preprocessing,
) -> Sequence[tuple[Tensor, ...]]:
    """Inputs on all clips of a calibration; the program's own if there are none."""
    found: list[tuple[Tensor, ...]] = []
    for clip in clips:
        count = len(clip) if isinstance(module, StepModule) else module.frames
        examples = _program(module, _frames(clip, fit, count)).examples
        found += examples if isinstance(module, StepModule) else examples[:1]
    return found or program.examples


def _clips(frames: NDArray[np.float32], length: int) -> list[NDArray[np.float32]]:
    """Two different clips of these frames: as they come, and backwards from the last."""
    return [np.ascontiguousarray(frames[:length]), np.ascontiguousarray(frames[::-1][:length])]


def _interface(
    module: StepModule | ClipModule, program: Program, classes: int, *, channels_last: bool
) -> dict[str, Any]:
    """The parts of a sidecar that describe inputs and outputs."""

    def shape(tensor: Tensor) -> tuple[int, ...]:
        batch, channels, *rest = tensor.shape
        return (batch, *rest, channels) if channels_last else tuple(tensor.shape)

    pixels, *others = program.examples[0]
    counters, states = [], []
    if isinstance(module, StepModule):
        count = len(module.counters(1))
        for name, tensor in zip(("reciprocal", "position"), others[:count], strict=False):
            value: Any = "1 / n" if name == "reciprocal" else "n - 1"
            counters.append(sidecar.Counter(name, tuple(tensor.shape), value=value))
        for (name, after), tensor in zip(module.following.items(), others[count:], strict=True):
            states.append(sidecar.State(name, shape(tensor), next=after))
    return {
        "pixels": sidecar.Tensor(program.inputs[0], shape(pixels)),
        "counters": tuple(counters),
        "logits": sidecar.Tensor("logits", (1, classes)),
        "states": tuple(states),
    }


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    sidecar_of(path).unlink(missing_ok=True)


def _expected(
    model: MoViNet | Ensemble, frames: NDArray[np.float32], module: StepModule | ClipModule
) -> NDArray[np.float32]:
    """What PyTorch computes, (calls, classes): after each of the chained frames, or of each clip."""
    if isinstance(module, ClipModule):
        clips = [each.swapaxes(0, 1)[None].copy() for each in _clips(frames, module.frames)]
        return np.concatenate([model(torch.from_numpy(each)).numpy() for each in clips])
    state, logits = model.initial_state(1), []
    for frame in frames:
        found, state = model.step(torch.from_numpy(frame)[None, :, None], state)
        logits.append(found[0].numpy())
    return np.stack(logits)


def _compare(
    expected: NDArray[np.float32], path: Path, frames: NDArray[np.float32], about: sidecar.Sidecar
) -> sidecar.Check:
    """Feeds the frames to the export, chained: several failures of exporters show from the second only."""
    if about.form == "clip":
        length = about.frames
        found = replay(path, np.concatenate(_clips(frames, length)), calls=len(expected), form="clip")
        fed = length * len(expected)
    else:
        found, fed = replay(path, frames, calls=len(frames)), len(expected)
    # A NaN stays in the maximum, so that the check fails.
    difference = float(np.abs(found.logits - expected).max())
    agreement = float((found.logits.argmax(1) == expected.argmax(1)).mean())
    timed = _timed(found, about)
    return replace(
        about.check,
        frames=fed,
        max_difference=difference,
        largest_logit=float(np.abs(expected).max()),
        latency_ms=timed[0],
        latency_p95_ms=timed[1],
        agreement=agreement,
    )


def _timed(found: Replay, about: sidecar.Sidecar) -> tuple[float, float]:
    """Median and 95th percentile of the calls after those that warm up."""
    times = list(found.milliseconds)
    timed = of_times(times[min(_WARMUP, len(times) - 1) :], about.runtime)
    return timed.median, timed.p95


def _accuracy(
    model: MoViNet | Ensemble, path: Path, about: sidecar.Sidecar, clips: Sequence[LabelledClip]
) -> dict[str, float]:
    """Top-1 of the export and of PyTorch on the same clips, and their number; nothing without clips."""
    if not clips:
        return {}
    export: ExportRunner | ClipRunner
    export = ExportRunner(path, about) if about.form == "step" else ClipRunner(path, about)
    right, expected = 0, 0
    for pictures, label in clips:
        length = len(pictures) if about.form == "step" else about.frames
        frames = _frames(pictures, about.preprocessing, length)
        if isinstance(export, ClipRunner):
            logits = export.run(frames)
        else:
            state = export.initial_state()
            for frame in frames:
                logits, state = export.run(frame[None], state)
        right += int(logits.argmax() == label)
        expected += int(model(torch.from_numpy(frames.swapaxes(0, 1)[None].copy())).argmax() == label)
    return {
        "export_top1": right / len(clips),
        "pytorch_top1": expected / len(clips),
        _VIDEOS: float(len(clips)),
    }


def retimed(result: ExportResult) -> ExportResult:
    """Times an export again on a machine that is quiet now, and puts the latency into its sidecar.

    Exports made side by side are timed while others are still being made.
    """
    if result.path is None or result.check is None:
        return result
    about = sidecar.Sidecar.read(sidecar_of(result.path))
    size = about.preprocessing.size
    count = about.frames if about.form == "clip" else 8
    noise = np.random.default_rng(0).random((count, 3, size, size), dtype=np.float32)
    found = replay(result.path, noise, calls=_WARMUP + _TIMED if about.form == "step" else 5, form=about.form)
    median, p95 = _timed(found, about)
    check = replace(result.check, latency_ms=median, latency_p95_ms=p95)
    replace(about, check=check).write(sidecar_of(result.path))
    return replace(result, check=check)
