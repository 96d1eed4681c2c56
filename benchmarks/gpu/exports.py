"""Exports on ONNX Runtime's CUDA provider: the same outputs as on the CPU, and the time of a call."""

from __future__ import annotations

import importlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.exported_networks import lively
from benchmarks.gpu.given import Facts, Given, Unavailable
from results.export.export import ExportTarget, export_network

PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
LIMIT = 1e-3
"""Largest difference of outputs, as a share of the largest one of the CPU."""


def feed_of(session: Any) -> dict[str, NDArray[Any]]:
    """Return random inputs of a session: pixels and states from 0 to 1, counters of 3 frames."""
    rng = np.random.default_rng(0)
    feed = {}
    for each in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in each.shape]
        whole = "int" in each.type
        kind = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}.get(each.type, np.float32)
        feed[each.name] = np.full(shape, 3, kind) if whole else rng.random(shape).astype(kind)
    return feed


def milliseconds(session: Any, feed: dict[str, NDArray[Any]], calls: int) -> float:
    """Return the median time of a call, copies to and from the device with it."""
    spent = []
    for _ in range(calls):
        began = time.perf_counter()
        session.run(None, feed)
        spent.append(1000 * (time.perf_counter() - began))
    return statistics.median(spent[calls // 4 :])


def run(given: Given) -> Facts:
    """Return the difference of both providers and their times, form by form; raise without the provider."""
    runtime = importlib.import_module("onnxruntime")
    provider = PROVIDERS["cuda" if given.on_cuda else "cpu"]
    if provider not in runtime.get_available_providers():
        raise Unavailable(f"onnxruntime has no {provider}: pip install onnxruntime-gpu in its place")
    found: Facts = {"provider": provider}
    wrong = []
    name = "A0-stream"
    video = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    model = lively(given.architecture(name), seed=0)
    labels = [str(place) for place in range(model.classes)]
    with tempfile.TemporaryDirectory() as scratch:
        for form in ("step",) if given.quick else ("step", "clip"):
            folder = Path(scratch) / form
            target = ExportTarget("onnx", form="step" if form == "step" else "clip")
            export_network(model, folder, video, name=name, labels=labels, target=target)
            path = next(folder.glob("*.onnx"))
            sessions = [
                runtime.InferenceSession(str(path), providers=[each])
                for each in dict.fromkeys((provider, "CPUExecutionProvider"))
            ]
            feed = feed_of(sessions[0])
            outputs = [session.run(None, feed) for session in (sessions[0], sessions[-1])]
            difference = max(
                float(np.abs(one - two).max() / max(1e-6, np.abs(two).max()))
                for one, two in zip(*outputs, strict=True)
            )
            calls = 4 if given.quick else 60
            found[form] = {
                "difference": difference,
                "used": sessions[0].get_providers()[0],
                "ms": [round(milliseconds(session, feed, calls), 3) for session in sessions],
            }
            if not difference <= LIMIT:
                wrong.append(f"{form}: outputs differ by {difference:.1e}")
            if found[form]["used"] != provider:
                wrong.append(f"{form}: ONNX Runtime used {found[form]['used']}")
    return found | {"wrong": wrong}
