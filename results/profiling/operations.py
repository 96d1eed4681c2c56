"""Single operations of networks as a runtime computes them in a stream's step, for latency tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from results.runtimes.registry import runtime_named
from results.runtimes.runtime import Program
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape, Kernel, Layer, Options, Stage
from search_space.cost.latency_table import Operation
from search_space.cost.stopwatch import PYTORCH, Call
from search_space.network import convolution
from search_space.network.bottleneck import Bottleneck
from search_space.network.folding import fold
from search_space.network.frame_step import BlockStep, FrameStep
from search_space.network.layers import activate
from search_space.network.model import MoViNet, build
from search_space.network.step_module import StepModule, image_mean
from search_space.network.stream_state import Memory


def operation_call(operation: Operation, options: Options, runtime: str, threads: int, scratch: Path) -> Call:
    """Return a call that computes the operation once in a runtime, on inputs that stay.

    Args:
        operation: operation to compute.
        options: options of the networks that it is a part of.
        runtime: ``pytorch``, or a name of ``runtimes.registry.RUNTIMES``.
        threads: number of threads of an export's runtime; PyTorch has those that it has around the call.
        scratch: folder for an export's file.
    """
    network = _network(operation, options)
    if runtime == PYTORCH:
        return _in_pytorch(network, operation)
    return _exported(network, operation, runtime, threads, scratch)


def _network(operation: Operation, options: Options) -> MoViNet:
    """Return the smallest folded network whose first block, stem or head has the operation."""
    kind, shape = operation
    stem, wide, width, stride, classes, head, hidden = 8, 8, 8, 1, 1, 8, 8
    kernel, squeeze, size = Kernel(1, 3), False, 2 * shape[-1]
    match kind:
        case "stem":
            stem, size = shape
        case "expand":
            stem, wide, _ = shape
        case "spatial":
            wide, space, stride, _ = shape
            kernel = Kernel(1, space)
        case "temporal":
            wide, time, _ = shape
            kernel = Kernel(time, 1)
        case "squeeze":
            wide, squeeze = shape[0], True
        case "project":
            wide, width, _ = shape
        case "skip":
            stem, width, stride, _ = shape
        case _:
            width, head, hidden, classes, _ = shape
    stage = Stage(width, stride, (Layer(kernel, wide, squeeze=squeeze),))
    architecture = Architecture(stem, (stage,), head, hidden, ClipShape(1, size, 1.0), options)
    return fold(build(architecture, classes, seed=0)).eval()


def _in_pytorch(network: MoViNet, operation: Operation) -> Call:
    """Return a call that computes the operation as the one-frame step of a folded network does."""
    step, (kind, shape) = network.frame_step(), operation
    assert step is not None, "a folded network of separate convolutions has one"
    block, size, count = step.blocks[0], shape[-1], shape[-1] ** 2
    if kind == "stem":
        frame = torch.rand(1, 3, size, size).to(memory_format=torch.channels_last)
        return lambda: activate(step.stem(frame), step.stem.activation)
    rows = torch.rand(count, shape[0])
    image = rows.view(1, size, size, -1).permute(0, 3, 1, 2)
    if kind == "head":
        return lambda: _head(step, rows)
    return _block_calls(block, rows, image, network)[kind]


def _head(step: FrameStep, rows: Tensor) -> Tensor:
    space = activate(step.project(rows), step.project.activation).mean(0, keepdim=True)
    return step.classifier(activate(step.hidden(space), "swish"))


def _block_calls(block: BlockStep, rows: Tensor, image: Tensor, network: MoViNet) -> dict[str, Call]:
    batch = rows[None]
    state = network.initial_state(1)
    means = dict.fromkeys(state, torch.ones(1, 1))

    def temporal() -> Tensor:
        assert block.temporal is not None
        return block.temporal(batch, Memory(state))

    def squeeze() -> Tensor:
        assert block.squeeze is not None
        return batch.mul_(block.squeeze(batch, Memory(state), means).unsqueeze(1))

    def skip() -> Tensor:
        assert block.skip is not None
        if block.spatial.stride == 1:
            return block.skip(rows)
        pooled = convolution.average_pool_same(image, block.spatial.stride)
        return block.skip(pooled.permute(0, 2, 3, 1).reshape(-1, rows.shape[1]))

    return {
        "expand": lambda: activate(block.expand(rows), block.expand.activation),
        "spatial": lambda: activate(block.spatial(image), block.spatial.activation),
        "temporal": temporal,
        "squeeze": squeeze,
        "project": lambda: block.project(rows).add_(1.0),
        "skip": skip,
    }


class _Part(nn.Module):
    """An operation of the step as it is exported; states and a shortcut are further inputs."""

    step: Any
    block: Any

    def __init__(self, network: MoViNet, kind: str, *, joined: bool) -> None:
        super().__init__()
        step: Any = StepModule(network, joined=joined).networks[0]
        self.kind = kind
        self.step, self.block = step, next(iter(step.blocks.values()))

    def forward(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        new: list[Tensor] = []
        step, block, stride = self.step, self.block, self.block.stride
        calls: dict[str, Callable[[], Tensor]] = {
            "stem": lambda: step.stem(x),
            "expand": lambda: block.expand(x),
            "spatial": lambda: block.spatial(x),
            "temporal": lambda: block.temporal(x, list(rest), []),
            "squeeze": lambda: block.squeeze(x, rest[0], None, list(rest[1:]), new),
            "project": lambda: rest[0] + block.project(x),
            "skip": lambda: block.skip(convolution.average_pool_same(x, stride) if stride > 1 else x),
            "head": lambda: step.classifier(F.silu(step.hidden(image_mean(step.project(x)).flatten(1)))),
        }
        return (calls[self.kind](), *new)


def _exported(network: MoViNet, operation: Operation, runtime: str, threads: int, scratch: Path) -> Call:
    """Return a call that computes the operation as an exported step does."""
    target, (kind, shape) = runtime_named(runtime), operation
    channels, size = 3 if kind == "stem" else shape[0], shape[-1]
    example: list[Tensor] = [torch.rand(1, channels, size, size)]
    block = next(iter(network.blocks.values()))
    assert isinstance(block, Bottleneck)
    if kind == "temporal":
        example += [torch.rand(1, channels, size, size) for _ in range(shape[1] - 1)]
    elif kind == "squeeze":
        example += [torch.ones(1, 1, 1, 1), torch.rand(1, channels, 1, 1)]
    elif kind == "project":
        example.append(torch.rand(1, shape[1], size, size))
    part = _Part(network, kind, joined=target.joined).eval()
    with torch.no_grad():
        results = part(*example)
    inputs = [f"given{index}" for index in range(len(example))]
    outputs = [f"result{index}" for index in range(len(results))]
    program = Program(
        part, inputs, outputs, [tuple(example)], _images(example), [] if kind == "head" else _images(results)
    )
    path = scratch / f"{operation.text.replace(' ', '-')}{target.suffix}"
    target.require_installed()
    target.convert(program, path)
    compute = target.load(path, inputs, outputs, threads)
    feed = program.feed(0, channels_last=target.channels_last)
    return lambda: compute(feed)


def _images(tensors: Sequence[Tensor]) -> list[int]:
    return [index for index, tensor in enumerate(tensors) if tensor.ndim == 4]
