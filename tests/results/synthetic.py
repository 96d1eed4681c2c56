"""Invented measurements and small real networks for the tests of this room."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement, Purpose, Status
from results.analysis.candidates import MeasuredNetwork
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.registry import RUNTIMES
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import STREAM, ClipShape, Kernel, Layer, Options, Stage
from search_space.errors import ExportError
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet, build

EXTRAS = {
    "litert": "litert_torch",
    "executorch": "executorch",
    "openvino": "openvino",
    "opencv": "cv2",
    "ncnn": "ncnn",
}
CLASSES = 5
LABELS = tuple(f"label {index}" for index in range(CLASSES))
SIZE = 24


def fidelity(epochs: int, frames: int = 16, size: int = 48, share: float = 1.0) -> Fidelity:
    """A fidelity of the invented run."""
    return Fidelity(epochs, frames, size, share)


def measurement(
    digest: str,
    at: Fidelity,
    metrics: Mapping[str, float] | None = None,
    seed: int = 0,
    *,
    purpose: Purpose = "search",
    status: Status = "complete",
    reason: str = "",
) -> Measurement:
    """A measurement of an invented architecture that is the digest's own."""
    return Measurement(digest, _text(digest), at, seed, purpose, status, metrics or {}, 3.0, reason)


def _text(digest: str) -> str:
    number = zlib.crc32(digest.encode())
    middle = f"w{8 * (1 + number % 5)}s2-{('33', '15', '53')[number % 3]}e{16 + number % 977}"
    return f"stream_16x48x8_s8_w8s2-15e24-a_{middle}-{'a' * (1 + number % 4)}_w56s2-53e184-33e112-ab_h96x256"


def measured(
    digest: str,
    top1: float,
    macs: float,
    *,
    epochs: int = 8,
    seed: int = 0,
    purpose: Purpose = "search",
    status: Status = "complete",
) -> Measurement:
    """One measurement with all of its metrics."""
    metrics = {
        "top1": top1,
        "top5": min(1.0, top1 + 0.2),
        "loss": 1 - top1,
        "macs": macs,
        "parameters": macs / 50,
        "state_bytes": macs / 1000,
        "activation_bytes": macs / 100,
    }
    return measurement(digest, fidelity(epochs), metrics, seed, purpose=purpose, status=status)


def whole_run(seed: int = 0, candidates: int = 48) -> list[Measurement]:
    """A search over three rungs, the best of each going on, and a confirmation with three seeds."""
    rng = np.random.default_rng(seed)
    rows: list[Measurement] = []
    truths: dict[str, tuple[float, float]] = {}
    for index in range(candidates):
        macs = float(10 ** rng.uniform(5.7, 7.3))
        truths[str(index)] = (0.2 + 0.4 * (math.log10(macs) - 5.7) + rng.normal(0, 0.06), macs)
    for epochs, share in ((2, 1.0), (4, 0.5), (8, 0.25)):
        best = sorted(truths, key=lambda d: -truths[d][0] + 0.3 * math.log10(truths[d][1]))
        for digest in best[: int(share * candidates)]:
            accuracy, macs = truths[digest]
            rows.append(measured(digest, _clip(accuracy * epochs / 10), macs, epochs=epochs))
    for digest in best[: int(0.25 * candidates)]:
        for repeat in range(3):
            accuracy = _clip(truths[digest][0] + rng.normal(0, 0.015))
            rows.append(
                measured(digest, accuracy, truths[digest][1], epochs=16, seed=repeat, purpose="confirmation")
            )
    rows.append(measurement("bad", fidelity(2), status="failed", reason="loss is NaN in epoch 1 <b>&</b>"))
    return rows


def _clip(value: float) -> float:
    return float(min(0.99, max(0.02, value)))


def member(
    digest: str, macs: int, accuracy: float, spread: float = 0.01, size: int = SIZE
) -> MeasuredNetwork:
    """A confirmed member, for clips of ``size`` pixels."""
    return MeasuredNetwork(
        architecture(size=size).text, digest, macs, accuracy, spread, 3, "e16", macs // 50, macs // 1000
    )


def architecture(expansion: int = 16, *, options: Options = STREAM, size: int = SIZE) -> Architecture:
    """A network of three bottlenecks, one of them with a temporal kernel, one strided."""
    stages = (
        Stage(8, 2, (Layer(Kernel(1, 3), 16),)),
        Stage(16, 2, (Layer(Kernel(3, 3), expansion), Layer(Kernel(5, 3), expansion))),
    )
    return Architecture(8, stages, 32, 48, ClipShape(8, size, 8.0), options)


def network(seed: int = 0, *, expansion: int = 16, options: Options = STREAM, size: int = SIZE) -> MoViNet:
    """A network with random weights and statistics, no branch of which is switched off by a zero scale."""
    model = lively(build(architecture(expansion, options=options, size=size), CLASSES, seed=seed), seed)
    with torch.no_grad():
        # The classifier starts so small that differences would drown in its bias.
        model.head.classifier.weight.mul_(30)
    return model


def lively(model: MoViNet, seed: int, scale: float | None = None) -> MoViNet:
    """Make all statistics, biases and branches count, each branch by ``scale`` or by 0.5 to 1.5."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif name.endswith(("running_mean", "bias")):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
            elif name.endswith("scale") and scale is not None:
                tensor.fill_(scale)
            elif name.endswith("scale"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model.eval()


def require_extra(runtime: str) -> None:
    """Skip the test if the runtime is not installed, and not one that every installation has."""
    if runtime not in RUNTIMES:
        return
    try:
        RUNTIMES[runtime].require_installed()
    except ExportError as missing:
        pytest.skip(str(missing))


def clip(frames: int = 16, height: int = 30, width: int = 40, seed: int = 0) -> NDArray[np.uint8]:
    """A bright square that moves over noise, (frames, height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    video = rng.integers(0, 80, (frames, height, width, 3), dtype=np.uint8)
    for index in range(frames):
        left = (3 * index) % max(1, width - 8)
        video[index, 10:18, left : left + 8] = 230
    return video


def clip_logits(model: MoViNet | Ensemble, video: NDArray[np.uint8]) -> NDArray[np.float32]:
    fit = Preprocessing(SIZE, 8.0)
    frames = np.stack([fit.apply(frame)[0] for frame in video], axis=1)[None]
    with torch.no_grad():
        logits: NDArray[np.float32] = model(torch.from_numpy(frames))[0].numpy()
    return logits
