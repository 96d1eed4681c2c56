"""Proxy training against a plain loop: CPU milliseconds a clip by part, on one thread, and how long it waits.

    OMP_NUM_THREADS=1 python -m benchmarks.training_speed [NETWORK] [--frames 16] [--size 64] [--batch 16]

``plain`` is the loop that one writes first: every clip is decoded on demand, made floating and
augmented frame by frame, and goes through the same network in plain 3-D layers (Conv3d and BatchNorm3d over
(batch, channels, frames, height, width) in PyTorch's default memory order, swish and gates spelled
out, as the PyTorch port of MoViNet does it), with torch's RMSprop for each tensor. ``ours`` reads prepared
clips and is what a training does, with the official optimizer. Each has a process of its own, as memory is
handed out differently in a training than in a plain program (``retain_freed_memory``; ``--retain`` lets the
plain loop have it too); they take turns, so that a busy machine slows them alike. The last lines are of a
whole epoch of the real training, in wall time: how much of it the loop waited for its clips.

NETWORK is a published network, base or stream, or the text of one. Both forms of the network are checked to
compute the same before anything is timed.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.network_training import in_plain_order, plain_forward
from proxy_train.clips.augmentation import Augmentation
from proxy_train.data import moving_digits
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.training.optimizers import clip_gradients, make_optimizer
from proxy_train.training.training import Training
from proxy_train.video.video import Video
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.files import DEFAULT_CACHE
from search_space.network.allocator import retain_freed_memory
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import same_padding
from search_space.network.layers import ConvNorm, TemporalConvNorm
from search_space.network.model import MoViNet, build

PARTS = ("decode", "augment", "forward", "backward", "optimizer")


def plain_stream_layer(x: Tensor, layer: ConvNorm | TemporalConvNorm) -> Tensor:
    """A 2-D or a causal temporal convolution over (batch, channels, frames, height, width), rearranged for
    it and back."""
    batch, channels, frames, height, width = x.shape
    groups = channels if layer.weight.shape[1] == 1 and layer.weight.shape[0] == channels else 1
    if isinstance(layer, TemporalConvNorm):
        rows = F.pad(x.reshape(batch, channels, frames, -1), (0, 0, layer.kernel.time - 1, 0))
        x = F.conv2d(rows, layer.weight, None, 1, 0, 1, groups).reshape(x.shape)
    else:
        top, bottom = same_padding(height, layer.weight.shape[2], layer.stride)
        left, right = same_padding(width, layer.weight.shape[3], layer.stride)
        images = x.transpose(1, 2).reshape(batch * frames, channels, height, width)
        images = F.pad(images, (left, right, top, bottom))
        images = F.conv2d(images, layer.weight, None, layer.stride, 0, 1, groups)
        x = images.reshape(batch, frames, *images.shape[1:]).transpose(1, 2)
    norm = layer.norm
    assert norm is not None
    x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, True, 0.01, norm.eps)
    return x if layer.activation is None else F.hardswish(x)


def plain_stream_block(x: Tensor, block: Bottleneck) -> Tensor:
    """A bottleneck of a stream network."""
    y = plain_stream_layer(x, block.expand)
    for layer in (block.spatial, block.temporal):
        y = y if layer is None else plain_stream_layer(y, layer)
    assert block.squeeze is not None and block.project.scale is not None
    space = y.mean((3, 4)).transpose(1, 2)
    so_far = space.cumsum(1) / torch.arange(1, space.shape[1] + 1, dtype=x.dtype)[None, :, None]
    gate = block.squeeze.reduce(torch.cat([so_far, space], -1))
    gate = block.squeeze.expand(F.hardswish(gate))
    gate = F.relu6(gate + 3) * 0.16667
    y = plain_stream_layer(y * gate.transpose(1, 2)[..., None, None], block.project)
    if block.skip is not None:
        if block.skip.stride > 1:
            before = [same_padding(size, 3, 2)[0] for size in x.shape[3:]]
            x = F.avg_pool3d(x, (1, 3, 3), (1, 2, 2), (0, *before), ceil_mode=True, count_include_pad=False)
        x = plain_stream_layer(x, block.skip.project)
    return x + block.project.scale * y


def plain_stream_forward(model: MoViNet, clip: Tensor) -> Tensor:
    """The whole stream network in plain layers."""
    x = plain_stream_layer(clip, model.stem)
    for block in model.blocks.values():
        assert isinstance(block, Bottleneck)
        x = plain_stream_block(x, block)
    x = plain_stream_layer(x, model.head.project).mean((2, 3, 4))
    hidden = model.head.hidden(x)
    logits: Tensor = model.head.classifier(hidden * torch.sigmoid(hidden))
    return logits


def plain(model: MoViNet, clip: Tensor) -> Tensor:
    """The network in plain layers."""
    return (plain_stream_forward if model.causal else plain_forward)(model, clip)


def check_the_same(architecture: Architecture) -> None:
    """Plain layers and ours compute one function, or the comparison says nothing."""
    model = build(architecture, 16, seed=0).double().train()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("scale"):
                weight.fill_(0.5)
    clip = torch.rand(2, 3, 4, 64, 64, dtype=torch.float64)
    difference = float((model(clip) - plain(model, clip)).abs().max().detach())
    if difference > 1e-6:
        raise SystemExit(f"plain layers compute something else: logits differ by {difference:.1e}")


class Stopwatch:
    """CPU seconds of this process by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the block's CPU time to ``name``."""
        began = process_time()
        yield
        self.seconds[name] += process_time() - began


class Loop:
    """One update after the other, each part timed."""

    def __init__(self, architecture: Architecture, data: PreparedData, recipe: Recipe) -> None:
        self.clip = architecture.input
        self.data, self.recipe = data, recipe
        self.model = build(architecture, len(data.classes), seed=0).train()
        self.watch = Stopwatch()
        self.rng = np.random.default_rng(0)

    def learn(self, forward: Callable[[Tensor], Tensor], clips: Tensor, labels: Tensor) -> None:
        """Forward and backward."""
        with self.watch.part("forward"):
            loss = F.cross_entropy(forward(clips), labels, label_smoothing=0.1)
        with self.watch.part("backward"):
            self.model.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]


class Ours(Loop):
    """Prepared clips, folded layers, one update of all tensors at once."""

    def __init__(self, architecture: Architecture, data: PreparedData, recipe: Recipe) -> None:
        super().__init__(architecture, data, recipe)
        self.optimizer = make_optimizer(self.model, recipe)
        self.augmentation = Augmentation.of(recipe, data)

    def step(self, indices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """One update."""
        split = self.data.split("train")
        with self.watch.part("augment"):
            ranges = self.augmentation.frame_ranges(split, indices, self.rng)
            clips = self.augmentation.changed(split.read_all(ranges), len(indices), self.rng)
        self.learn(self.model, clips, torch.from_numpy(split.labels[indices]))
        with self.watch.part("optimizer"):
            clip_gradients(self.optimizer, 1.0)
            self.optimizer.step()


class Plain(Loop):
    """Videos, 3-D layers, torch's own optimizer tensor by tensor."""

    def __init__(
        self, architecture: Architecture, data: PreparedData, recipe: Recipe, items: tuple[VideoItem, ...]
    ) -> None:
        super().__init__(architecture, data, recipe)
        self.model = in_plain_order(self.model)
        self.items = {item.id: item for item in items}
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), 1e-3, momentum=0.9, foreach=False)

    def step(self, indices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """One update."""
        split, clip = self.data.split("train"), self.clip
        with self.watch.part("decode"):
            chosen = [self.items[split.ids[index]] for index in indices.tolist()]
            decoded = [Video(item.path).read(clip.fps, self.data.side) for item in chosen]
        with self.watch.part("augment"):
            clips = torch.stack([self._augmented(frames[: clip.frames]) for frames in decoded])
        self.learn(lambda x: plain(self.model, x), clips, torch.from_numpy(split.labels[indices]))
        with self.watch.part("optimizer"):
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()

    def _augmented(self, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
        size = self.clip.size
        top, left = self.rng.integers(0, frames.shape[1] - size + 1, 2)
        gain, offset = self.rng.uniform(0.8, 1.2), self.rng.uniform(-0.05, 0.05)
        pixels = [
            (torch.from_numpy(frame).permute(2, 0, 1).float() / 255 * gain + offset).clamp(0, 1)
            for frame in frames
        ]
        return torch.stack(pixels, 1)[:, :, top : top + size, left : left + size].contiguous()


def table(before: Stopwatch, after: Stopwatch, clips: int) -> str:
    """Milliseconds a clip by part."""
    lines = [f"{'ms a clip':24}{'plain':>10}{'ours':>10}{'times':>8}"]

    def line(name: str, parts: tuple[str, ...]) -> None:
        one, two = (sum(1000 * each.seconds[part] for part in parts) / clips for each in (before, after))
        lines.append(f"{name:24}{one:10.3f}{two:10.3f}" + (f"{one / two:8.2f}" if two else ""))

    for part in PARTS:
        line(part, (part,))
    line("all", PARTS)
    line("all but decoding", PARTS[1:])
    seconds = [sum(each.seconds[part] for part in PARTS) for each in (before, after)]
    lines.append(f"{'clips a second':24}{clips / seconds[0]:10.1f}{clips / seconds[1]:10.1f}")
    return "\n".join(lines)


def waiting(architecture: Architecture, data: PreparedData, recipe: Recipe) -> str:
    """A real epoch, of which the second is reported: allocations are over then."""
    clip = architecture.input
    training = Training(architecture, data, recipe, horizon=Fidelity(2, clip.frames, clip.size), seed=0)
    training.train_epoch()
    report = training.train_epoch()
    share = 100 * report.data_seconds / report.seconds
    count = training.steps_an_epoch * recipe.batch_size
    return f"a training's epoch: {count / report.seconds:.1f} clips a second, {share:.1f} % of it waiting"


def network(options: argparse.Namespace) -> Architecture:
    """The network for the clip that was asked for."""
    text: str = options.network
    architecture = published(text) if len(text) < 12 else Architecture.parse(text)
    return architecture.with_input(ClipShape(options.frames, options.size, options.fps))


def prepared(dataset: Dataset, clip: ClipShape, cache: Path) -> PreparedData:
    """The tiny MovingDigits-16 for a clip, a little larger than it for random boxes."""
    wide = replace(dataset, margin=0.125)
    return prepare(wide, frames=clip.frames, size=clip.size, fps=clip.fps, cache=cache)


def serve(pipe: Connection, options: argparse.Namespace, plainly: bool) -> None:
    """In a process of its own: an update for every list of clips that comes, then the seconds by part."""
    torch.set_num_threads(1)
    if not plainly or options.retain:
        retain_freed_memory()
    architecture = network(options)
    dataset = moving_digits.load("tiny", options.cache)
    data = prepared(dataset, architecture.input, options.cache)
    loop = (
        Plain(architecture, data, options.recipe, dataset.items["train"])
        if plainly
        else Ours(architecture, data, options.recipe)
    )
    while (indices := pipe.recv()) is not None:
        loop.watch = Stopwatch()
        loop.step(indices)
        pipe.send(dict(loop.watch.seconds))


def take_turns(options: argparse.Namespace, clips: int) -> list[Stopwatch]:
    """Seconds by part of the plain loop and of ours, after a step each to warm up."""
    spawning = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for plainly in (True, False):
        here, there = spawning.Pipe()
        processes.append(spawning.Process(target=serve, args=(there, options, plainly), daemon=True))
        processes[-1].start()
        pipes.append(here)
    rng, watches = np.random.default_rng(0), [Stopwatch(), Stopwatch()]
    for step in range(-1, options.steps):
        indices = np.sort(rng.choice(clips, options.batch, replace=False))
        for pipe, watch in zip(pipes, watches, strict=True):
            pipe.send(indices)
            for part, seconds in pipe.recv().items():
                watch.seconds[part] += seconds if step >= 0 else 0
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()
    return watches


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", nargs="?", default="A0-base")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--fps", type=float, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--retain", action="store_true")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE.expanduser())
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()

    architecture = network(options)
    check_the_same(architecture)
    dataset = moving_digits.load("tiny", options.cache)
    data = prepared(dataset, architecture.input, options.cache)
    options.recipe = Recipe(
        optimizer="rmsprop", learning_rate=0.01, batch_size=options.batch, clip_norm=1.0, scale_rate=1.0
    )
    before, after = take_turns(options, len(data.split("train")))
    print(f"{options.network}, clips of {architecture.input}, batches of {options.batch}, one thread")
    print(table(before, after, options.batch * options.steps))
    print(waiting(architecture, data, options.recipe))


if __name__ == "__main__":
    main()
