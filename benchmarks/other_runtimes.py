"""What other runtimes make of exported steps, as they are: largest difference from ONNX Runtime's logits.

Sixteen chained frames of noise go through each ``step.onnx`` below the folders, in ONNX Runtime, OpenVINO and
OpenCV, as far as they are installed. Printed is the largest difference as a share of the largest logit.

    pip install openvino opencv-python-headless onnxruntime
    python benchmarks/other_runtimes.py runs/quickstart/family [FOLDER ...]
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES = 16
Feed = Mapping[str, NDArray[np.float32]]
Compute = Callable[[Feed], Feed]


def onnx_runtime(path: Path, outputs: list[str]) -> Compute:
    """The reference."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(path))
    return lambda feed: dict(zip(outputs, session.run(outputs, feed), strict=True))


def openvino(path: Path, outputs: list[str]) -> Compute:
    """OpenVINO in float32: where a processor has bfloat16, it would use that, and differ by a hundredth."""
    runtime = importlib.import_module("openvino")
    core = runtime.Core()
    model = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def compute(feed: Feed) -> Feed:
        found = model(feed, share_inputs=True)  # else each is copied
        return {name: np.array(found[name]) for name in outputs}

    return compute


def opencv(path: Path, outputs: list[str]) -> Compute:
    """OpenCV's module for networks."""
    runtime = importlib.import_module("cv2")
    model = runtime.dnn.readNetFromONNX(str(path))

    def compute(feed: Feed) -> Feed:
        for name, values in feed.items():
            model.setInput(values, name)
        return {name: values.copy() for name, values in zip(outputs, model.forward(outputs), strict=True)}

    return compute


RUNTIMES: Mapping[str, Callable[[Path, list[str]], Compute]] = {"openvino": openvino, "cv2": opencv}


def logits(path: Path, make: Callable[[Path, list[str]], Compute]) -> NDArray[np.float32]:
    """The logits of the chained frames, shape (frames, classes)."""
    sidecar = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    compute = make(path, [each["name"] for each in sidecar["outputs"]])
    rng = np.random.default_rng(0)
    states: dict[str, NDArray[np.float32]] = {
        each["name"]: np.zeros(each["shape"], np.float32) for each in sidecar["states"]
    }
    seen = []
    for number in range(1, FRAMES + 1):
        feed: dict[str, Any] = {**states}
        for each in sidecar["counters"]:
            value = 1 / number if each["value"] == "1 / n" else number - 1
            feed[each["name"]] = np.full(each["shape"], value, np.float32)
        feed["frame"] = rng.random(sidecar["inputs"][0]["shape"], dtype=np.float32)
        found = compute(feed)
        known = {**states, **found}
        states = {each["name"]: known[each["next"]] for each in sidecar["states"]}
        seen.append(found["logits"].ravel())
    return np.array(seen)


def main() -> None:
    """Print a line for each export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    for path in [
        path for folder in parser.parse_args().folders for path in sorted(folder.rglob("step.onnx"))
    ]:
        expected, cells = logits(path, onnx_runtime), []
        for name, make in RUNTIMES.items():
            try:
                version = getattr(importlib.import_module(name), "__version__", "?")
            except ImportError:
                cells.append(f"{name} is not installed")
                continue
            try:
                difference = np.abs(logits(path, make) - expected).max() / np.abs(expected).max()
                cells.append(f"{name} {version.partition('-')[0]}: {difference:.1e}")
            except Exception as error:
                # Whatever a foreign runtime raises is its answer.
                cells.append(f"{name} {version.partition('-')[0]}: {str(error).splitlines()[0][:60]}")
        print(f"{path}: " + ", ".join(cells), flush=True)


if __name__ == "__main__":
    main()
