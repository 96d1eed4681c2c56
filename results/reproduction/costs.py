"""The abstract's comparison of A5-stream with X3D-XL: multiply-adds and memory, measured here.

X3D-XL is published with 48.4 GFLOPs a view, 30 views a video. The network that is built here has that at 356
x 356 pixels, which is therefore taken as the size, and 35.84 at 312, with which it is trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from results.reproduction.claim import Claim
from results.reproduction.peak_memory import X3D, PeakMemory, measure_peak
from results.reproduction.verdict import Measured
from results.reproduction.x3d import FRAMES, SIZE, VIEWS, X3DXL
from results.watcher import Watcher
from search_space.architecture.published import published
from search_space.cost.closed_form import compute_cost
from search_space.cost.fvcore_reference import compare_with_fvcore

TEST_SIZE = 356
"""Pixels of X3D-XL's clips when it is tested: of this size are the 48.4 GFLOPs that are published for it."""
STREAM = "A5-stream"


@dataclass(frozen=True)
class CostMeasured:
    """The measurement of a claim about costs.

    Args:
        measured: the share that is saved.
        figures: every other figure by name: counts in units, memory in bytes, savings as fractions.
        notes: what the other figures mean for the claim.
    """

    measured: Measured
    figures: Mapping[str, float]
    notes: tuple[str, ...]


def measure_costs(claim: Claim, watcher: Watcher, device: str = "cpu") -> CostMeasured:
    """Measure what a claim about costs says."""
    return measure_macs(watcher) if claim.metric == "macs" else measure_memory(watcher, device)


def measure_macs(watcher: Watcher) -> CostMeasured:
    """Compare multiply-adds: A5-stream on its evaluation clip, X3D-XL on 30 views."""
    stream = compute_cost(published(STREAM), 600)
    watcher.say("Counting with fvcore, which runs both networks once")
    comparison = compare_with_fvcore(published(STREAM), 600)
    # As the papers do: convolutions and dense layers, without batch norm.
    fvcore = sum(row.counted for row in comparison.totals if row.operator in ("conv", "linear"))
    view, train = counted(TEST_SIZE), counted(SIZE)
    x3d_fvcore = counted_by_fvcore(TEST_SIZE)
    figures = {
        "A5-stream, closed form": float(stream.macs),
        "A5-stream, fvcore": float(fvcore),
        "X3D-XL view at 312 px, from its layers": float(train),
        "X3D-XL view at 356 px, from its layers": float(view),
        "X3D-XL view at 356 px, fvcore": float(x3d_fvcore),
        "X3D-XL video of 30 views": float(VIEWS * view),
        "X3D-XL parameters, 600 classes": float(sum(p.numel() for p in _on_meta().parameters())),
        "A5-stream parameters": float(stream.parameters),
        "saved against 30 views at 312 px": 1 - stream.macs / (VIEWS * train),
        "A5-stream times one view of X3D-XL": stream.macs / view,
    }
    saved = 1 - stream.macs / (VIEWS * view)
    notes = (
        f"against a single view of X3D-XL, A5-stream needs {stream.macs / view:.1f} times as many "
        "multiply-adds: the saving is that of one clip against thirty",
        f"A5-stream has {stream.parameters / figures['X3D-XL parameters, 600 classes']:.1f} times as many "
        "parameters",
    )
    return CostMeasured(Measured(saved, saved, saved), figures, notes)


def measure_memory(watcher: Watcher, device: str) -> CostMeasured:
    """Compare peaks of memory: a step of A5-stream, with its state, and a view of X3D-XL."""
    subjects = {
        "X3D-XL, a view at 356 px": (X3D, TEST_SIZE, FRAMES),
        "X3D-XL, a view at 312 px": (X3D, SIZE, FRAMES),
        "A5-stream, a frame": (STREAM, 320, 1),
        "A5-stream, 8 frames": (STREAM, 320, 8),
    }
    peaks: dict[str, PeakMemory] = {}
    with watcher.bar("Measuring peak memory") as progress:
        for name, subject in subjects.items():
            peaks[name] = measure_peak(*subject, device=device)
            progress(len(peaks), len(subjects))
    x3d, trained, frame, eight = peaks.values()
    cost = compute_cost(published(STREAM), 600)
    figures = {f"{name}, call": float(peak.call) for name, peak in peaks.items()}
    figures |= {f"{name}, weights": float(peak.weights) for name, peak in peaks.items()}
    figures |= {
        "A5-stream, a frame, closed form": float(cost.step_bytes),
        "saved, weights counted": 1 - frame.total / x3d.total,
        "saved against 312 px": 1 - frame.call / trained.call,
        "saved against 312 px, weights counted": 1 - frame.total / trained.total,
        "saved by 8 frames a step": 1 - eight.call / x3d.call,
        "saved by 8 frames a step, weights counted": 1 - eight.total / x3d.total,
    }
    saved = 1 - frame.call / x3d.call
    notes = (
        f"with the weights counted, {100 * figures['saved, weights counted']:.0f} % are saved and not "
        f"{100 * saved:.0f} %: A5-stream has more of them",
        f"with 8 frames a step, {100 * figures['saved by 8 frames a step']:.0f} % are saved",
        f"against X3D-XL at 312 px, which it is trained with, "
        f"{100 * figures['saved against 312 px']:.0f} % are saved",
    )
    return CostMeasured(Measured(saved, saved, saved), figures, notes)


def counted(size: int) -> int:
    """Return the multiply-adds of a view of X3D-XL, from the shapes of its layers alone."""
    network, total = _on_meta(), 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv3d | nn.Linear):
            total += output.numel() * layer.weight[0].numel()

    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, FRAMES, size, size, device="meta"))
    return total


def counted_by_fvcore(size: int) -> int:
    """Return fvcore's count of the convolutions and dense layers of a view of X3D-XL."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # It traces a real call, whose numbers do not matter.
        network = _on_meta().to_empty(device="cpu")
        analysis = FlopCountAnalysis(network, torch.zeros(1, 3, FRAMES, size, size))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        found = analysis.by_operator()
    return int(found["conv"] + found["linear"])


def _on_meta() -> X3DXL:
    """Return the network without weights: counts do not depend on them."""
    with torch.device("meta"):
        network = X3DXL()
    return network.eval()
