"""Export of the streaming step to ONNX: written only if ONNX Runtime computes what PyTorch computes."""

from __future__ import annotations

import gc
import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from results import sidecar
from results.latency import measure, of_times, one_thread
from results.preprocessing import Preprocessing
from results.runners import OnnxRunner, deploy, parts
from search_space.errors import ExportError
from search_space.network import Ensemble, MoViNet

FILE = "step.onnx"
TOLERANCE = 1e-4
FRAMES = 16
OPSET = 20
_WARMUP = 4


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


class _Step(nn.Module):
    """The step with a flat signature: (frame (1, 3, H, W), state, ...) -> (logits, next state, ...)."""

    def __init__(self, model: MoViNet | Ensemble, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        logits, following = self.model.step(frame.unsqueeze(2), dict(zip(self.names, states, strict=True)))
        return (logits, *(following[name] for name in self.names))


def export_step(
    model: MoViNet | Ensemble,
    folder: Path,
    clip: NDArray[np.uint8],
    *,
    name: str,
    labels: Sequence[str],
    preprocessing: Preprocessing | None = None,
    tolerance: float = TOLERANCE,
) -> ExportResult:
    """Writes ``step.onnx`` and ``step.json`` into ``folder``, and compares them with PyTorch frame by frame.

    The export takes one frame ``(1, 3, size, size)`` in [0, 1] and the states by name, and gives ``logits``
    and each state as ``next_<name>``. Its file is there only while its comparison holds.

    Args:
        model: a causal network or an ensemble of such; its deploy form is made here.
        folder: where to write; made if need be.
        clip: real frames (T, H, W, 3), uint8 RGB; fed in a loop if fewer than 16.
        name: the member's name, for the sidecar.
        labels: one for each class.
        preprocessing: from pictures to the input; by default as the architecture's input says.
        tolerance: largest allowed difference, as a share of the largest logit.

    Raises:
        ExportError: if the exporter or the runtime fails, or the comparison does not hold.
        NetworkError: if the network is not causal.
    """
    started = time.monotonic()
    path = folder / FILE
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
            start = deployed.initial_state(1)
            _convert(deployed, frames[0], start, path)
            about = sidecar.Sidecar(
                name=name,
                file=path.name,
                sha256=sidecar.sha256(path),
                architectures=tuple(part.architecture.text for part in networks),
                digest="+".join(part.architecture.digest for part in networks),
                frame=sidecar.Tensor("frame", tuple(frames[0].shape)),
                logits=sidecar.Tensor("logits", (1, len(labels))),
                states=tuple(_describe(key, value) for key, value in start.items()),
                preprocessing=fit,
                labels=tuple(labels),
                check=sidecar.Check(0, 0.0, 0.0, tolerance, 0.0, 0.0),
                versions=sidecar.versions("torch", "onnx", "onnxscript", "onnxruntime"),
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


def _describe(name: str, state: Tensor) -> sidecar.Tensor:
    return sidecar.Tensor(name, tuple(state.shape), str(state.dtype).removeprefix("torch."))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)


def _convert(
    model: MoViNet | Ensemble, frame: NDArray[np.float32], start: Mapping[str, Tensor], path: Path
) -> None:
    names = list(start)
    arguments = (torch.from_numpy(frame), *start.values())
    try:
        # With gradients on (the deploy form's weights need none) the layers do not work in place: the
        # recorded graph is a third smaller, and converting it takes half the time.
        with _quiet(), _without_collection(), torch.enable_grad():
            program = torch.export.export(_Step(model, names), arguments, strict=False)
            converted = torch.onnx.export(
                program,
                (),
                dynamo=True,
                optimize=True,
                verbose=False,
                opset_version=OPSET,
                input_names=["frame", *names],
                output_names=["logits", *(sidecar.NEXT + name for name in names)],
            )
            if converted is None:
                raise ExportError(
                    "the exporter returned nothing", hint="check the installed versions of torch and onnx"
                )
            converted.save(str(path), external_data=False)
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        # What torch's exporter raises for a network that it cannot convert; its message is pages long.
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(
            f"the exporter cannot convert the network: {first}",
            hint="check the installed versions of torch and onnx",
        ) from error


@contextmanager
def _without_collection() -> Iterator[None]:
    """The exporter makes millions of objects that stay; searching them for garbage takes a fifth of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks on optional packages and its own deprecations are of no use to a user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    loggers += [
        logging.getLogger(name)
        for name in logging.root.manager.loggerDict
        if name.startswith(("torch.onnx.", "torch.export.", "onnxscript.", "onnx_ir."))
    ]
    levels = [(logger, logger.level) for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)


def _compare(
    model: MoViNet | Ensemble,
    path: Path,
    about: sidecar.Sidecar,
    frames: Sequence[NDArray[np.float32]],
    tolerance: float,
) -> sidecar.Check:
    """Feeds the chained frames to both; several failures of exporters show from the second frame only."""
    runner = OnnxRunner(path, about)
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
    runner = OnnxRunner(result.path)
    timed = measure(runner, runner.sidecar.preprocessing.size)
    check = replace(result.check, latency_ms=timed.median, latency_p95_ms=timed.p95)
    replace(runner.sidecar, check=check).write(result.path.with_suffix(".json"))
    return replace(result, check=check)
