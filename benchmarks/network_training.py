"""CPU time of one training step (forward and backward) on one thread, against plain 3-D layers.

    OMP_NUM_THREADS=1 python benchmarks/network_training.py --network A0-base --batch 2

``plain`` runs the same weights as most 3-D networks are written: Conv3d, BatchNorm3d and swish as
x * sigmoid(x) over (batch, channels, frames, height, width) in PyTorch's default memory order. ``folded`` is
this package's formulation with PyTorch's own gradients, ``folded, own gradients`` is what the package does.
``to_plain`` is the network that ``build(..., plain=True)`` makes.
Variants take turns, so that a busy machine slows them alike; medians and minima are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.architecture.published import published
from search_space.network import depthwise as depthwise_module
from search_space.network.allocator import retain_freed_memory
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import same_padding
from search_space.network.layers import ConvNorm, TemporalConvNorm
from search_space.network.model import MoViNet, build, to_plain

Step = Callable[[], object]


def plain_layer(x: Tensor, layer: ConvNorm | TemporalConvNorm) -> Tensor:
    """A convolution, batch norm and activation over (batch, channels, frames, height, width)."""
    weight = layer.weight if layer.weight.ndim == 5 else layer.weight.unsqueeze(2)
    time_padding = weight.shape[2] // 2
    height = same_padding(x.shape[3], weight.shape[3], layer.stride)
    width = same_padding(x.shape[4], weight.shape[4], layer.stride)
    x = F.pad(x, (*width, *height, time_padding, time_padding))
    groups = weight.shape[0] if weight.shape[1] == 1 and weight.shape[0] == x.shape[1] else 1
    x = F.conv3d(x, weight, None, (1, layer.stride, layer.stride), 0, 1, groups)
    norm = layer.norm
    assert norm is not None
    x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, True, 0.01, norm.eps)
    return x if layer.activation is None else x * torch.sigmoid(x)


def plain_block(x: Tensor, block: Bottleneck) -> Tensor:
    """A bottleneck of a base network."""
    y = plain_layer(x, block.expand)
    for layer in (block.spatial, block.temporal):
        y = y if layer is None else plain_layer(y, layer)
    assert block.squeeze is not None and block.project.scale is not None
    gate = y.mean((2, 3, 4))
    gate = block.squeeze.reduce(gate)
    gate = torch.sigmoid(block.squeeze.expand(gate * torch.sigmoid(gate)))
    y = plain_layer(y * gate[:, :, None, None, None], block.project)
    if block.skip is not None:
        if block.skip.stride > 1:
            before = [same_padding(size, 3, 2)[0] for size in x.shape[3:]]
            x = F.avg_pool3d(x, (1, 3, 3), (1, 2, 2), (0, *before), ceil_mode=True, count_include_pad=False)
        x = plain_layer(x, block.skip.project)
    return x + block.project.scale * y


def in_plain_order(model: MoViNet) -> MoViNet:
    """A copy with every kernel in PyTorch's default memory order: convolutions would otherwise bring their
    images to this package's order, which is much faster."""
    copied = copy.deepcopy(model)
    for weight in copied.parameters():
        weight.data = weight.data.clone(memory_format=torch.contiguous_format)
    return copied


def plain_forward(model: MoViNet, clip: Tensor) -> Tensor:
    """The whole base network in plain 3-D layers."""
    x = plain_layer(clip, model.stem)
    for block in model.blocks.values():
        assert isinstance(block, Bottleneck)
        x = plain_block(x, block)
    x = plain_layer(x, model.head.project).mean((2, 3, 4))
    hidden = model.head.hidden(x)
    logits: Tensor = model.head.classifier(hidden * torch.sigmoid(hidden))
    return logits


@contextlib.contextmanager
def native_gradients() -> Iterator[None]:
    """Leave the depthwise gradients to PyTorch."""
    with mock.patch.object(depthwise_module, "records_gradient", return_value=False):
        yield


def measure(steps: dict[str, Step], repeats: int) -> dict[str, tuple[float, float]]:
    """Median and minimum CPU milliseconds of each step, in turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.process_time_ns()
            step()
            if turn:
                times[name].append((time.process_time_ns() - start) / 1e6)
    return {name: (statistics.median(values), min(values)) for name, values in times.items()}


def gradients(
    model: nn.Module, forward: Callable[[Tensor], Tensor], clip: Tensor, target: Tensor
) -> list[Tensor]:
    """The gradients of all parameters after one step."""
    model.zero_grad()
    torch.autograd.backward(F.cross_entropy(forward(clip), target))
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="A0-base")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--retain", action="store_true", help="keep freed memory in the process")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.retain and not retain_freed_memory():
        raise SystemExit("--retain: the C library is not glibc")
    model = build(published(arguments.network), 600, seed=0).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("scale"):
                parameter.fill_(0.5)
    clip = torch.rand(arguments.batch, 3, arguments.frames, arguments.size, arguments.size)
    target = torch.zeros(arguments.batch, dtype=torch.long)

    def native() -> None:
        with native_gradients():
            gradients(model, model, clip, target)

    steps: dict[str, Step] = {}
    if not model.causal:
        plain = in_plain_order(model)
        ours = torch.cat([g.flatten() for g in gradients(model.double(), model, clip.double(), target)])
        other = gradients(plain.double(), lambda x: plain_forward(plain, x), clip.double(), target)
        difference = ours - torch.cat([g.flatten() for g in other])
        print(f"largest gradient difference to plain, float64: {float(difference.abs().max()):.1e}")
        model.float()
        plain.float()
        steps["plain"] = lambda: gradients(plain, lambda x: plain_forward(plain, x), clip, target)
    steps["folded"] = native
    steps["folded, own gradients"] = lambda: gradients(model, model, clip, target)
    modules = to_plain(model)
    steps["to_plain"] = lambda: gradients(modules, modules, clip, target)
    times = measure(steps, arguments.repeats)
    first = next(iter(times.values()))
    print(f"{arguments.network}, {arguments.batch} clips, {arguments.frames} frames of {arguments.size} px")
    print(f"{'variant':24}{'median ms':>10}{'min ms':>10}{'speed':>8}")
    for name, (median, least) in times.items():
        print(f"{name:24}{median:10.1f}{least:10.1f}{first[0] / median:8.2f}")


if __name__ == "__main__":
    main()
