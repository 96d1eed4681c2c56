"""CPU time of one frame of a stream on one thread: plain layers, this package eager, and ONNX Runtime.

    OMP_NUM_THREADS=1 python benchmarks/network_speed.py --network A0-stream --size 172
    OMP_NUM_THREADS=1 python benchmarks/network_speed.py --network A2-stream --size 224

``plain`` steps with the same weights as streaming networks are usually written in PyTorch: batch norm not
folded, buffers concatenated along the time of (batch, channels, frames, height, width), 2-D layers over
rearranged copies in the default memory order. ``eager`` is the folded network in inference mode.
``onnxruntime`` is the deploy form, exported, with full-window poolings as GlobalAveragePool. Variants take
turns, so that a busy machine slows them alike; each is first compared with the eager network over 6 chained
frames. Medians and minima are printed. ``--alone`` times each variant by itself, its weights in the caches,
as in a service that runs one network.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor

from search_space.network import MoViNet, StepModule, build, fold
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import same_padding
from search_space.network.layers import ConvNorm, TemporalConvNorm
from search_space.published import published

Run = Callable[[Tensor], Tensor]


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


class OnnxStep:
    """The deploy form in ONNX Runtime, one thread, its states carried along."""

    def __init__(self, model: MoViNet, size: int, folder: Path) -> None:
        self.module = StepModule(model)
        states = self.module.initial_states(1, size)
        path = folder / "step.onnx"
        program = torch.onnx.export(
            self.module,
            (torch.rand(1, 3, size, size), *self.module.counters(1), *states),
            input_names=self.module.input_names,
            output_names=self.module.output_names,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(path, external_data=False)
        globalise_pooling(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = self.module.state_names
        self.states = {name: state.numpy() for name, state in zip(self.names, states, strict=True)}
        self.count = 0

    def __call__(self, frame: Tensor) -> Tensor:
        """Logits after one more frame (1, 3, 1, height, width)."""
        self.count += 1
        counters = [counter.numpy() for counter in self.module.counters(self.count)]
        feed = dict(zip(self.module.input_names, [frame[:, :, 0].numpy(), *counters], strict=False))
        logits, *new = self.session.run(self.module.output_names, feed | self.states)
        self.states = dict(zip(self.names, new, strict=True))
        return torch.from_numpy(np.asarray(logits))


def globalise_pooling(path: Path) -> None:
    """Turn average poolings over the whole image into GlobalAveragePool, which runs much faster."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    values = [*model.graph.value_info, *model.graph.input]
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim][2:] for v in values}
    for node in model.graph.node:
        kernel = [list(a.ints) for a in node.attribute if a.name == "kernel_shape"]
        if node.op_type == "AveragePool" and kernel and kernel[0] == sizes.get(node.input[0]):
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
    onnx.save(model, path)


def check(runs: dict[str, Run], reference: Run, size: int) -> None:
    """Compare every variant with the reference over chained frames."""
    for turn in range(6):
        frame = torch.rand(1, 3, 1, size, size, generator=torch.Generator().manual_seed(turn))
        expected = reference(frame)
        for name, run in runs.items():
            error = float((run(frame) - expected).abs().max() / expected.abs().max())
            if error > 1e-4:
                raise SystemExit(f"{name} differs from the network by {error:.1e} at frame {turn + 1}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="A0-stream")
    parser.add_argument("--size", type=int, default=172)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--alone", action="store_true", help="one variant after the other, not in turns")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = arguments.size
    model = build(published(arguments.network), 600, seed=0).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("scale"):
                parameter.fill_(0.5)
    folded = fold(model)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Run] = {"plain": PlainStep(model), "eager": EagerStep(folded, size)}
        with torch.inference_mode(False), torch.no_grad():
            runs["onnxruntime"] = OnnxStep(folded, size, Path(folder))
        check(runs, EagerStep(folded, size), size)
        frame = torch.rand(1, 3, 1, size, size)
        times: dict[str, list[float]] = {name: [] for name in runs}
        names = list(runs)
        turns = [names] * arguments.repeats
        if arguments.alone:
            turns = [[name] * arguments.repeats for name in names]
        for name in [name for turn in turns for name in turn]:
            start = time.process_time_ns()
            runs[name](frame)
            times[name].append((time.process_time_ns() - start) / 1e6)
    print(f"{arguments.network}, frames of {size} px, CPU time a frame")
    print(f"{'variant':16}{'median ms':>10}{'min ms':>10}{'speed':>8}")
    for name, values in times.items():
        ratio = statistics.median(times["plain"]) / statistics.median(values)
        print(f"{name:16}{statistics.median(values):10.2f}{min(values):10.2f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
