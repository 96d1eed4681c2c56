"""CPU time of one frame of a stream on one thread: plain layers, this package eager, and exported.

    OMP_NUM_THREADS=1 python -m benchmarks.network_speed --exports runs/benchmark

``plain`` steps with the same weights as streaming networks are usually written in PyTorch: batch norm not
folded, buffers concatenated along the time of (batch, channels, frames, height, width), 2-D layers over
rearranged copies in the default memory order. ``eager`` is the folded network in inference mode.
``onnx``, ``onnxruntime`` and, where its extra is installed, ``litert`` are the exports that
``results.export.export`` writes, with the states handed over at every frame. ``--official`` times
.tflite files of the official implementation beside them. Variants take turns in random order, so that a
busy machine slows them alike; each is first compared with the eager network over 6 chained frames.
Medians and minima are printed. ``--alone`` times each variant by itself, its weights in the caches, as
in a service that runs one network.
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from results.export.export import ExportTarget, export_network
from results.inference.runners import ExportRunner
from search_space.architecture.published import published
from search_space.errors import ExportError
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import same_padding
from search_space.network.folding import fold
from search_space.network.layers import ConvNorm, TemporalConvNorm
from search_space.network.model import MoViNet, build

Run = Callable[[Tensor], Tensor]
RUNTIMES = ("onnx", "onnxruntime", "litert")


class PlainStep:
    """A stream network of 2plus1d convolutions the usual way, with buffers kept in this object."""

    def __init__(self, model: MoViNet) -> None:
        self.model = model
        self.buffers: dict[str, Tensor] = {}
        self.count = 0

    def __call__(self, frame: Tensor) -> Tensor:
        """Logits after one more frame (1, 3, 1, height, width)."""
        self.count += 1
        x = self._layer(frame, self.model.stem)
        for name, block in self.model.blocks.items():
            assert isinstance(block, Bottleneck)
            x = self._block(x, block, name)
        x = self._mean(self._layer(x, self.model.head.project).mean((3, 4), keepdim=True), "head")
        hidden = self.model.head.hidden(x.flatten(1))
        logits: Tensor = self.model.head.classifier(hidden * torch.sigmoid(hidden))
        return logits

    def _layer(self, x: Tensor, layer: ConvNorm | TemporalConvNorm) -> Tensor:
        batch, channels, frames, height, width = x.shape
        if isinstance(layer, TemporalConvNorm):
            y = F.conv2d(x.reshape(batch, channels, frames, height * width), layer.weight, groups=channels)
            return self._finish(y, layer).reshape(batch, channels, -1, height, width)
        kernel = layer.weight.shape[-1]
        padding = (*same_padding(width, kernel, layer.stride), *same_padding(height, kernel, layer.stride))
        images = F.pad(x, padding).transpose(1, 2).flatten(0, 1)
        y = self._finish(F.conv2d(images, layer.weight, None, layer.stride, 0, 1, layer.groups), layer)
        return y.view(batch, frames, *y.shape[1:]).transpose(1, 2)

    def _finish(self, y: Tensor, layer: ConvNorm | TemporalConvNorm) -> Tensor:
        assert layer.norm is not None
        y = layer.norm(y)
        return y if layer.activation is None else F.hardswish(y)

    def _block(self, x: Tensor, block: Bottleneck, name: str) -> Tensor:
        assert block.spatial is not None and block.squeeze is not None and block.project.scale is not None
        y = self._layer(self._layer(x, block.expand), block.spatial)
        if block.temporal is not None:
            past = self.buffers.get(name)
            if past is None:
                past = y.new_zeros(*y.shape[:2], block.temporal.kernel.time - 1, *y.shape[3:])
            y = torch.cat([past, y], 2)
            self.buffers[name] = y[:, :, 1:].clone()
            y = self._layer(y, block.temporal)
        space = y.mean((3, 4), keepdim=True)
        gate = torch.cat([self._mean(space, f"{name} pool"), space], 1).flatten(1)
        gate = F.relu6(block.squeeze.expand(F.hardswish(block.squeeze.reduce(gate))) + 3.0) * 0.16667
        y = self._layer(y * gate[:, :, None, None, None], block.project)
        if block.skip is not None:
            if block.skip.stride > 1:
                before = [same_padding(size, 3, 2)[0] for size in x.shape[3:]]
                x = F.avg_pool3d(
                    x, (1, 3, 3), (1, 2, 2), (0, *before), ceil_mode=True, count_include_pad=False
                )
            x = self._layer(x, block.skip.project)
        return x + block.project.scale * y

    def _mean(self, space: Tensor, name: str) -> Tensor:
        total = space.cumsum(2) + self.buffers.get(name, torch.zeros(()))
        self.buffers[name] = total[:, :, -1:].clone()
        return total / self.count


class EagerStep:
    """The folded network, its state carried along."""

    def __init__(self, model: MoViNet, size: int) -> None:
        self.model = model
        self.state = model.initial_state(1, size)

    def __call__(self, frame: Tensor) -> Tensor:
        """Logits after one more frame (1, 3, 1, height, width)."""
        logits, self.state = self.model.step(frame, self.state)
        return logits


class ExportedStep:
    """An exported step in its runtime, one thread, its state carried along."""

    def __init__(self, path: Path) -> None:
        self.runner = ExportRunner(path)
        self.state = self.runner.initial_state()

    def __call__(self, frame: Tensor) -> Tensor:
        """Logits after one more frame (1, 3, 1, height, width)."""
        logits, self.state = self.runner.run(frame[:, :, 0].numpy(), self.state)
        return torch.from_numpy(np.asarray(logits))[None]


class OfficialStep:
    """A streaming .tflite file of the official implementation, timed only: its weights are its own."""

    def __init__(self, path: Path) -> None:
        interpreter: Any = importlib.import_module("ai_edge_litert.interpreter")
        self.run = interpreter.Interpreter(model_path=str(path), num_threads=1).get_signature_runner()
        self.state = {
            name: np.zeros(about["shape"], about["dtype"])
            for name, about in self.run.get_input_details().items()
            if name != "image"
        }

    def __call__(self, frame: Tensor) -> Tensor:
        """Logits after one more frame (1, 3, 1, height, width)."""
        image = np.ascontiguousarray(frame.permute(0, 2, 3, 4, 1).numpy())
        outputs = self.run(image=image, **self.state)
        self.state = {name: outputs[name] for name in self.state}
        return torch.from_numpy(outputs["logits"])


def exported(model: MoViNet, name: str, runtime: str, folder: Path) -> Path | None:
    """The export of a network, made if it is not there yet; None where the runtime is not installed."""
    place = folder / name
    path = place / ExportTarget(runtime).file_name
    if path.is_file():
        return path
    size = model.architecture.input.size
    noise = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    labels = [str(index) for index in range(model.classes)]
    try:
        return export_network(
            model, place, noise, name=name, labels=labels, target=ExportTarget(runtime)
        ).path
    except ExportError as error:
        print(f"{name}, {runtime}: {error}")
        return None


def check(runs: dict[str, Run], reference: Run, size: int) -> None:
    """Compare every variant with the reference over chained frames."""
    for turn in range(6):
        frame = torch.rand(1, 3, 1, size, size, generator=torch.Generator().manual_seed(turn))
        expected = reference(frame)
        for name, run in runs.items():
            error = float((run(frame) - expected).abs().max() / expected.abs().max())
            if error > 1e-4:
                raise SystemExit(f"{name} differs from the network by {error:.1e} at frame {turn + 1}")


def measure(runs: dict[str, Run], frame: Tensor, repeats: int, *, alone: bool) -> dict[str, list[float]]:
    """CPU milliseconds of every variant, in turns of random order."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = random.Random(0)
    names = list(runs)
    turns = [[name] * repeats for name in names] if alone else [names] * repeats
    for turn in turns:
        for name in order.sample(turn, len(turn)):
            start = time.process_time_ns()
            runs[name](frame)
            times[name].append((time.process_time_ns() - start) / 1e6)
    return times


def lively(name: str) -> MoViNet:
    """A published network whose branches all count."""
    model = build(published(name), 600, seed=0).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("scale"):
                parameter.fill_(0.5)
    return model


def compare(name: str, folder: Path, official: Path | None, repeats: int, *, alone: bool) -> None:
    """Time all variants of one network and print the table."""
    model = lively(name)
    folded, size = fold(model), model.architecture.input.size
    runs: dict[str, Run] = {"plain": PlainStep(model), "eager": EagerStep(folded, size)}
    for runtime in RUNTIMES:
        path = exported(model, name, runtime, folder)
        if path is not None:
            runs[runtime] = ExportedStep(path)
    with torch.inference_mode():
        check(runs, EagerStep(folded, size), size)
        if official is not None:
            runs["official .tflite"] = OfficialStep(official)
        times = measure(runs, torch.rand(1, 3, 1, size, size), repeats, alone=alone)
    print(f"\n{name}, frames of {size} px, CPU time a frame, one thread")
    print(f"{'variant':18}{'median ms':>10}{'min ms':>10}{'speed':>8}")
    for variant, values in times.items():
        ratio = statistics.median(times["plain"]) / statistics.median(values)
        print(f"{variant:18}{statistics.median(values):10.2f}{min(values):10.2f}{ratio:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=["A0-stream", "A2-stream"])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--alone", action="store_true", help="one variant after the other, not in turns")
    parser.add_argument("--exports", type=Path, help="keep exports here; making one takes minutes")
    parser.add_argument(
        "--official", nargs="+", type=Path, default=[], help=".tflite files, one for each network"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.exports or Path(scratch)
        official = [*arguments.official, *[None] * len(arguments.networks)]
        for name, file in zip(arguments.networks, official, strict=False):
            compare(name, folder, file, arguments.repeats, alone=arguments.alone)


if __name__ == "__main__":
    main()
