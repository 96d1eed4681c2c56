"""Small networks with lively weights, their clips and their streams."""

from __future__ import annotations

import torch
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import (
    ClipShape,
    Kernel,
    Layer,
    Options,
    Stage,
)
from search_space.network.model import MoViNet, build
from search_space.network.stream_state import State

KERNELS = [Kernel(1, 3), Kernel(1, 5), Kernel(1, 7), Kernel(5, 1), Kernel(7, 1), Kernel(3, 3), Kernel(5, 3)]


FRAMES = 9


def small(kernels: list[Kernel], options: Options, *, squeeze: bool = True) -> Architecture:
    """Two stages: a layer of each kernel, the first of them strided, and a layer that changes the width."""
    layers = tuple(Layer(kernel, 16, squeeze) for kernel in kernels)
    stages = (Stage(8, 2, layers), Stage(16, 1, (Layer(Kernel(3, 3), 24, squeeze),)))
    return Architecture(8, stages, 16, 24, ClipShape(8, 24, 8), options)


def lively(model: MoViNet, seed: int = 0) -> MoViNet:
    """Give every parameter and statistic a value of its own, so that nothing hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif name.endswith("norm.weight"):
                tensor.copy_(0.7 + 0.6 * torch.rand(tensor.shape, generator=generator))
            elif name.endswith(("bias", "running_mean")):
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
            elif name.endswith("scale"):
                tensor.copy_(torch.tensor(0.8))
    return model.double().eval()


def network(kernels: list[Kernel], options: Options, *, squeeze: bool = True) -> MoViNet:
    return lively(build(small(kernels, options, squeeze=squeeze), 7, seed=1))


def video(batch: int = 1, frames: int = FRAMES, size: tuple[int, int] = (24, 24)) -> Tensor:
    return torch.rand(
        batch, 3, frames, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )


def stream(model: MoViNet, clip: Tensor, chunk: int) -> tuple[Tensor, State]:
    state = model.initial_state(clip.shape[0], (clip.shape[3], clip.shape[4]))
    logits = clip.new_empty(0)
    for part in torch.split(clip, chunk, 2):
        logits, state = model.step(part, state)
    return logits, state


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
