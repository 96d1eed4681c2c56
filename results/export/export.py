"""Export of a network for a runtime, written only if the runtime computes what PyTorch computes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from results.export.comparison import (
    VIDEOS,
    LabelledClip,
    compare,
    expected_logits,
    measure_accuracy,
    share_of_float32_time,
    time_export,
)
from results.export.program import calibration_examples, fitted_frames, interface_of, make_program
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.registry import companions_of, runtime_named
from results.runtimes.runtime import Program
from results.runtimes.sidecar import Check, Form, Precision, Sidecar, sidecar_of
from search_space.architecture.parts import ClipShape
from search_space.cost.stopwatch import torch_threads
from search_space.errors import ExportError
from search_space.files import sha256
from search_space.network.clip_module import ClipModule
from search_space.network.ensemble import Ensemble, networks_of
from search_space.network.folding import deploy
from search_space.network.model import MoViNet
from search_space.network.step_module import StepModule

TOLERANCES: Mapping[Precision, float] = {"float32": 1e-4, "float16": 1e-2, "int8": 0.5}
"""Largest difference of an export from PyTorch that is allowed, as a share of the largest logit."""
MOST_LOST = 0.005
"""Largest loss of top-1 against PyTorch that fewer bits may cost on evaluation videos, as a fraction."""
_SLOWER = 1.05
"""Share of float32's time above which an export is called slower."""
_STEPS, _CLIPS = 16, 2
"""Chained frames, or clips, that an export is compared on."""


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """Runtime, form and precision that a network is exported for.

    Args:
        runtime: name of ``runtimes.registry.RUNTIMES``; some are extras. ``onnx`` is the file that runs
            unchanged in many runtimes.
        form: ``step`` for frame by frame, ``clip`` for whole clips.
        precision: ``float32``; ``float16`` for weights in 16 bits, or ``int8`` for 8-bit weights and
            activations, where the runtime has them.
        tolerance: largest difference from PyTorch that is allowed, as a share of the largest logit; by
            default that of the precision.
        streams: number of videos of which a call of a step takes a frame each.
        most_lost: largest loss of top-1 against PyTorch that is allowed on evaluation videos, as a fraction.
    """

    runtime: str = "onnx"
    form: Form = "step"
    precision: Precision = "float32"
    tolerance: float | None = None
    streams: int = 1
    most_lost: float = MOST_LOST

    @property
    def file_name(self) -> str:
        """Name of the exported file, such as ``step.onnx``, ``step.openvino.onnx`` or ``clip.int8.pte``."""
        runtime = runtime_named(self.runtime)
        words = ["" if self.streams == 1 else f"x{self.streams}"]
        words.append(runtime.name if runtime.named_files else "")
        words.append("" if self.precision == "float32" else self.precision)
        return ".".join([self.form, *filter(None, words)]) + runtime.suffix

    def require_possible(self) -> None:
        """Refuse a runtime that is not known or not installed, and what it does not have.

        Raises:
            ExportError: it is one of them.
        """
        if self.streams < 1 or (self.streams > 1 and self.form == "clip"):
            raise ExportError(
                f"the {self.form} form of {self.streams} streams", hint="a step takes one or more, a clip one"
            )
        runtime = runtime_named(self.runtime)
        if self.precision not in runtime.precisions:
            known = ", ".join(runtime.precisions)
            raise ExportError(f"{self.runtime} has no {self.precision} export", hint=f"it has {known}")
        if self.form not in runtime.forms:
            known = ", ".join(f"--form {form}" for form in runtime.forms)
            raise ExportError(f"{self.runtime} has no export of the {self.form} form", hint=f"it has {known}")
        if self.streams > 1 and not runtime.batches:
            raise ExportError(
                f"{self.runtime} has no export of {self.streams} streams", hint="it takes one video at a time"
            )
        runtime.require_installed()

    @property
    def calibrates(self) -> bool:
        """Whether the export takes the ranges of values of calibration clips."""
        return self.precision == "int8" and runtime_named(self.runtime).calibrates

    @property
    def allowed(self) -> float:
        """Largest difference from PyTorch that is allowed, as a share of the largest logit."""
        return TOLERANCES[self.precision] if self.tolerance is None else self.tolerance


STEP = ExportTarget()
"""Target of the export that every member of a family gets: its step for many runtimes."""


def frames_compared(form: Form, clip: ClipShape) -> int:
    """Return the number of frames that an export is compared on, and calibrated without other data."""
    return _STEPS if form == "step" else _CLIPS * clip.frames


@dataclass(frozen=True, slots=True)
class ExportClips:
    """Real clips beside the one that an export is compared on.

    Args:
        calibration: clips (T, H, W, 3), uint8 RGB, whose ranges of values ``int8`` is to cover where the
            runtime takes such; without any the clip of the comparison is taken, which costs accuracy.
        evaluation: clips with their labels, on which the export's own accuracy is measured beside PyTorch's.
    """

    calibration: Iterable[NDArray[np.uint8]] = ()
    evaluation: Iterable[LabelledClip] = ()


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Result of one member's export.

    Args:
        name: name of the member.
        path: exported file; None if there is none.
        check: comparison with PyTorch; None if the export failed before it.
        bytes: size of the file, with its companions.
        seconds: duration of the export and its comparison.
        reason: why there is no file; empty if there is one.
    """

    name: str
    path: Path | None
    check: Check | None
    bytes: int
    seconds: float
    reason: str = ""

    @classmethod
    def failed(cls, name: str, reason: str, seconds: float = 0.0) -> ExportResult:
        """Return the result of an export that gave no file."""
        return cls(name, None, None, 0, seconds, reason)

    @property
    def passed(self) -> bool:
        """Whether the export exists and computes what the network computes."""
        return self.path is not None

    def text(self) -> str:
        """Return a line or two for a terminal."""
        if self.path is None or self.check is None:
            return f"{self.name}: {self.reason}"
        sidecar = Sidecar.read(sidecar_of(self.path))
        line = (
            f"{self.path}: {self.bytes / 2**20:.2f} MiB, differs from PyTorch by {self.check.relative:.1e} "
            f"of the largest logit over {self.check.frames} frames, {self.check.latency_ms:.2f} ms "
            f"a {sidecar.unit}"
        )
        if self.check.float32_share is not None:
            line += f", {_beside_float32(self.check.float32_share)}"
        if VIDEOS not in sidecar.accuracy:
            return line
        ours, theirs = (100 * sidecar.accuracy[key] for key in ("export_top1", "pytorch_top1"))
        count = sidecar.accuracy[VIDEOS]
        return f"{line}\n  top-1 {ours:.1f} % on {count:.0f} videos; in PyTorch {theirs:.1f} %"


def export_network(
    model: MoViNet | Ensemble,
    folder: Path,
    clip: NDArray[np.uint8],
    *,
    name: str,
    labels: Sequence[str],
    target: ExportTarget = STEP,
    accuracy: Mapping[str, float] | None = None,
    clips: ExportClips = ExportClips(),
    weights_sha256: str = "",
) -> ExportResult:
    """Write a network's file for a runtime and its sidecar into ``folder``, and compare it with PyTorch.

    A step takes one frame (1, 3, size, size) in [0, 1], what follows from the frame's number, and the states
    by name; it gives ``logits`` and what is new of the states, and the sidecar says for each state what it
    takes for the next frame. A clip form takes (frames, 3, size, size) and gives ``logits``. The file runs in
    its runtime, in a process of its own, over a real video; it exists only if it computes what PyTorch
    computes. The nine parameters are independent of each other.

    Args:
        model: network in its training form; for a step a causal one, or an ensemble of such.
        folder: folder to write into; created if it does not exist.
        clip: real frames (T, H, W, 3), uint8 RGB; repeated if there are fewer than needed.
        name: name of the member, for the sidecar.
        labels: label of each class.
        target: runtime, form and precision.
        accuracy: accuracies of the network on evaluation videos, as fractions by name, for the sidecar.
        clips: clips to calibrate and to evaluate the export on.
        weights_sha256: SHA-256 of the file of the network's weights, for the sidecar of a whole export.

    Raises:
        ExportError: the exporter or the runtime is missing or fails, or the comparison does not hold.
        NetworkError: the network is not causal, and a step was asked for.
    """
    started = time.monotonic()
    _check_request(name, model, labels, target)
    deployed = deploy(model).eval()
    folder.mkdir(parents=True, exist_ok=True)
    # Whatever ends this early, an earlier export stays, and a file that computes something else does not.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
        path = Path(scratch) / target.file_name
        with torch_threads(1), torch.no_grad():
            module = _module(deployed, target)
            preprocessing = Preprocessing.of(networks_of(model)[0].architecture.input)
            count = frames_compared(target.form, networks_of(model)[0].architecture.input)
            frames = fitted_frames(clip, preprocessing, count)
            program = make_program(module, frames, target.streams)
            _convert(module, program, path, target, clips.calibration, preprocessing)
            sidecar = _sidecar(name, model, module, program, path, labels=labels, target=target)
            sidecar = replace(sidecar, accuracy=dict(accuracy or {}))
            # The other process needs it.
            sidecar.write(sidecar_of(path))
            expected = expected_logits(deployed, frames, module, target.streams)
            check = compare(expected, path, frames, sidecar)
            _require_equal(name, check)
            if target.precision == "int8":
                share = share_of_float32_time(runtime_named(target.runtime), program, path)
                check = replace(check, float32_share=share)
            measured = measure_accuracy(deployed, path, sidecar, list(clips.evaluation))
            _require_accurate(name, measured, target)
        # Only a whole export says which weights it is of: one that is killed before is made again.
        accuracy = {**sidecar.accuracy, **measured}
        sidecar = replace(sidecar, check=check, accuracy=accuracy, weights_sha256=weights_sha256)
        sidecar.write(sidecar_of(path))
        files = (path, *companions_of(path, target.runtime))
        size = sum(file.stat().st_size for file in files)
        # The sidecar comes last: its digest tells beside another file that the two are not of one export.
        for file in (*files, sidecar_of(path)):
            file.replace(folder / file.name)
        path = folder / path.name
    return ExportResult(name, path, check, size, time.monotonic() - started)


def _module(deployed: MoViNet | Ensemble, target: ExportTarget) -> StepModule | ClipModule:
    """Return the target's form of a network, as its runtime likes it."""
    if target.form == "clip":
        return ClipModule(deployed)
    return StepModule(deployed, joined=runtime_named(target.runtime).joined)


def _beside_float32(share: float) -> str:
    """Return what the share of float32's time means, in words."""
    if share > _SLOWER:
        return f"{share:.1f} times as long as in float32 on this machine: float32 is the better file here"
    return f"{share:.2f} of the time in float32 on this machine"


def _check_request(name: str, model: MoViNet | Ensemble, labels: Sequence[str], target: ExportTarget) -> None:
    """Refuse what there is not, and labels that are not one for each class."""
    target.require_possible()
    if model.classes != len(labels):
        raise ExportError(
            f"{name} has {model.classes} classes and {len(labels)} labels were given",
            hint="give one for each class",
        )


def _convert(
    module: StepModule | ClipModule,
    program: Program,
    path: Path,
    target: ExportTarget,
    calibration: Iterable[NDArray[np.uint8]],
    preprocessing: Preprocessing,
) -> None:
    """Write the file of the target's runtime and precision."""
    examples = program.examples
    if target.calibrates:
        examples = calibration_examples(module, program, calibration, preprocessing)
    converted = replace(program, precision=target.precision, examples=examples)
    runtime_named(target.runtime).convert(converted, path)


def _sidecar(
    name: str,
    model: MoViNet | Ensemble,
    module: StepModule | ClipModule,
    program: Program,
    path: Path,
    *,
    labels: Sequence[str],
    target: ExportTarget,
) -> Sidecar:
    """Return the sidecar of a file that was not compared yet."""
    runtime, networks = runtime_named(target.runtime), networks_of(model)
    interface = interface_of(module, program, len(labels), channels_last=runtime.channels_last)
    return Sidecar(
        name=name,
        file=path.name,
        sha256=sha256(path),
        form=target.form,
        precision=target.precision,
        architectures=tuple(network.architecture.text for network in networks),
        digest="+".join(network.architecture.digest for network in networks),
        runtime=target.runtime,
        pixels=interface.pixels,
        counters=interface.counters,
        logits=interface.logits,
        states=interface.states,
        preprocessing=Preprocessing.of(networks[0].architecture.input),
        labels=tuple(labels),
        check=Check(0, 0.0, 0.0, target.allowed, 0.0, 0.0),
        accuracy={},
        versions=runtime.versions(),
        oldest_runtime=runtime.oldest,
        settings=runtime.settings,
        graph=runtime.graph,
        companions={file.name: sha256(file) for file in companions_of(path, target.runtime)},
    )


def _require_equal(name: str, check: Check) -> None:
    """Refuse an export that differs from the network by more than its tolerance."""
    if not check.passed:
        raise ExportError(
            f"{name}: over {check.frames} frames the export differs from the network by "
            f"{check.relative:.2g} of the largest logit, and {check.tolerance:.2g} is allowed",
            hint="it was not written; report the architecture with the network's weights",
        )


def _require_accurate(name: str, measured: Mapping[str, float], target: ExportTarget) -> None:
    """Refuse fewer bits that cost more accuracy than is allowed; nothing is known without videos."""
    if target.precision == "float32" or not measured:
        return
    lost = measured["pytorch_top1"] - measured["export_top1"]
    if lost > target.most_lost + 1e-9:
        raise ExportError(
            f"{name}: top-1 of the {target.precision} export is {100 * measured['export_top1']:.1f} % on "
            f"{measured[VIDEOS]:.0f} videos, {100 * lost:.1f} points below PyTorch's, and "
            f"{100 * target.most_lost:g} are allowed",
            hint="it was not written; --most-lost allows more",
        )


def retimed(result: ExportResult) -> ExportResult:
    """Time an export again on a machine that is quiet now, and put the latency into its sidecar.

    Exports made side by side are timed while others are still being made.
    """
    if result.path is None or result.check is None:
        return result
    sidecar = Sidecar.read(sidecar_of(result.path))
    latency = time_export(result.path, sidecar)
    check = replace(result.check, latency_ms=latency.median, latency_p95_ms=latency.p95)
    replace(sidecar, check=check).write(sidecar_of(result.path))
    return replace(result, check=check)
