"""The weights that all networks of a space share: a network has the first channels and layers of them.

A network of the space is no masked part of a large one: it is the stand-alone network, whose weights are
copied from the shared ones and whose gradients are added to theirs. It computes what it will compute alone,
at its own cost and in its own memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Kernel, Options
from search_space.genes.stage_genes import LayerChoices, StageChoices
from search_space.network.bottleneck import Bottleneck, Projection, Skip
from search_space.network.heads import Head, as_head
from search_space.network.layers import ConvNorm, SqueezeExcite, depthwise, undrawn
from search_space.network.model import STEM_STRIDE, MoViNet, build
from search_space.network.pool_head import PoolHead
from search_space.space.space import SearchSpace

KernelSharing = Literal["own", "cropped"]
KEPT = 32
"""Weights in layers that are kept built, as a multiple of the shared ones: building them takes time."""
MOST_KEPT = 2**26
"""Largest number of weights in layers that are kept built: 256 MiB."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor of a network lies in a shared one.

    Attributes:
        name: name of the shared tensor.
        shape: shape of the network's tensor with the axes of the shared one: several descriptors side by
            side are an axis of their own.
        starts: where it begins along each axis.
    """

    name: str
    shape: tuple[int, ...]
    starts: tuple[int, ...]

    def view(self, shared: Tensor) -> Tensor:
        """Return the part of a shared tensor, or of its gradient, in the axes of the shared one."""
        for axis, (start, length) in enumerate(zip(self.starts, self.shape, strict=True)):
            if length != shared.shape[axis]:
                shared = shared.narrow(axis, start, length)
        return shared


@dataclass(frozen=True)
class _Part:
    """A layer, or a whole network, and the place of each of its weights."""

    module: nn.Module
    weights: list[tuple[nn.Parameter, Place]]

    @property
    def size(self) -> int:
        return sum(weight.numel() for weight, _ in self.weights)


class Supernet(nn.Module):
    """The shared weights of a search space.

    Every layer position has the tensors of its largest choices. A network takes the first channels of each,
    and the first layers of each stage; the two descriptors of a ``2plus3d`` squeeze-excitation have first
    channels each. Statistics of batch norm are a network's own, and not shared: they have to be estimated
    for it.

    Args:
        space: the search space.
        classes: number of classes, (verbs, nouns), or a ``Head``.
        kernels: ``own``: each kernel of a position has depthwise weights and norms of its own, as in TuNAS;
            ``cropped``: small kernels are the middle of the largest, along time their last frames if the
            networks are causal.
        seed: seed of the weights; None draws from torch's global generator.

    Attributes:
        parameter_count: number of shared weights.
    """

    def __init__(
        self,
        space: SearchSpace,
        classes: int | Sequence[int] | Head,
        *,
        kernels: KernelSharing = "own",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.space, self.head_type, self.kernels = space, as_head(classes), kernels
        choices, options = space.choices, space.choices.options
        self._parts: OrderedDict[tuple[Hashable, ...], _Part] = OrderedDict()
        self._kept = 0
        self._of_network: WeakKeyDictionary[MoViNet, list[_Part]] = WeakKeyDictionary()
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.stem = ConvNorm(3, max(choices.stems), 3, stride=STEM_STRIDE, activation=options.activation)
            self.blocks = nn.ModuleDict()
            inputs: tuple[int, ...] = choices.stems
            for index, stage in enumerate(choices.stages):
                for position in range(stage.depths[-1]):
                    block = _SharedBottleneck(inputs, stage, position, options, kernels)
                    self.blocks[f"block{index}_layer{position}"] = block
                    inputs = stage.widths
            widest = replace(space.largest(), head=max(choices.heads), hidden=max(choices.hiddens))
            self.head = PoolHead(max(inputs), widest, self.head_type.outputs, 0.0)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
        self._shared = dict(self.named_parameters())
        self.parameter_count = sum(weight.numel() for weight in self._shared.values())

    def forward(self, clip: Tensor, architecture: Architecture) -> Tensor:
        """Classify whole clips by a network of the space, whose weights are views of the shared ones.

        Gradients reach the shared weights. Batch norm normalises by the batch, whatever the mode.

        Args:
            clip: (batch, 3, frames, height, width), 0..1, in the weights' floating type.
            architecture: the network.

        Returns:
            Logits (batch, classes).

        Raises:
            SpaceError: the architecture is not in the space.
            NetworkError: wrong rank, channels, size or type of the clip.
        """
        network = self.network(architecture).train()
        names = [name for name, _ in network.named_parameters()]
        weights = {
            name: place.view(self._shared[place.name]).reshape(weight.shape)
            for name, (weight, place) in zip(names, self._placed(network), strict=True)
        }
        logits: Tensor = functional_call(network, weights, (clip,))
        return logits

    def extract(self, architecture: Architecture) -> MoViNet:
        """Return a stand-alone network with copies of the shared weights, its statistics still unknown.

        Raises:
            SpaceError: the architecture is not in the space.
        """
        self.space.encode(architecture)
        weight = self.stem.weight
        with undrawn():
            network = build(architecture, self.head_type).to(weight.device, weight.dtype)
        self.load_into(network)
        return network

    def network(self, architecture: Architecture) -> MoViNet:
        """Return a network of the space to compute with, of layers that other networks use as well.

        ``load_into`` has to come before every use: the layers have the weights that they had last.

        Raises:
            SpaceError: the architecture is not in the space.
        """
        self.space.encode(architecture)
        options, width = architecture.options, architecture.stem
        parts = [self._part(("stem", width), lambda: _stem(architecture))]
        blocks: dict[str, Bottleneck] = {}
        for index, stage in enumerate(architecture.stages):
            for position, layer in enumerate(stage.layers):
                name = f"block{index}_layer{position}"
                stride = stage.stride if position == 0 else 1
                part = self._part(
                    (name, width, stage.width, layer, options),
                    partial(Bottleneck, width, stage.width, layer, stride, options, drop=0.0, name=name),
                    layer.kernel,
                )
                assert isinstance(part.module, Bottleneck)
                blocks[name] = part.module
                parts.append(part)
                width = stage.width
        ends = (architecture.head, architecture.hidden)
        head = self._part(
            ("head", width, *ends), lambda: PoolHead(width, architecture, self.head_type.outputs, 0.0)
        )
        parts.append(head)
        stem = parts[0].module
        assert isinstance(stem, ConvNorm)
        assert isinstance(head.module, PoolHead)
        network = MoViNet.of_parts(architecture, self.head_type, stem, blocks, head.module)
        self._of_network[network] = parts
        return network

    @torch.no_grad()
    def load_into(self, network: MoViNet) -> None:
        """Copy the shared weights into a network of the space."""
        for weight, place in self._placed(network):
            weight.copy_(place.view(self._shared[place.name]).reshape(weight.shape))

    @torch.no_grad()
    def store(self, network: MoViNet) -> None:
        """Copy the weights of a network of the space into the shared ones: the opposite of ``load_into``."""
        for weight, place in self._placed(network):
            place.view(self._shared[place.name]).copy_(weight.view(place.shape))

    @torch.no_grad()
    def add_gradients(self, network: MoViNet) -> None:
        """Add a network's gradients to those of the shared weights, and drop them there."""
        for weight, place in self._placed(network):
            if weight.grad is None:
                continue
            shared = self._shared[place.name]
            if shared.grad is None:
                shared.grad = torch.zeros_like(shared)
            place.view(shared.grad).add_(weight.grad.view(place.shape))
            weight.grad = None

    def _placed(self, network: MoViNet) -> Iterator[tuple[nn.Parameter, Place]]:
        """Yield every weight of a network with its place."""
        for part in self._of_network.get(network) or [self._of_whole(network)]:
            yield from part.weights

    def _of_whole(self, network: MoViNet) -> _Part:
        kernels = {
            f"block{index}_layer{position}": layer.kernel
            for index, stage in enumerate(network.architecture.stages)
            for position, layer in enumerate(stage.layers)
        }
        return _Part(network, [(w, self._place(name, w, kernels)) for name, w in network.named_parameters()])

    def _part(
        self, key: tuple[Hashable, ...], build_part: Callable[[], nn.Module], kernel: Kernel | None = None
    ) -> _Part:
        """Return a layer of some networks, built when it is first asked for."""
        if key in self._parts:
            self._parts.move_to_end(key)
            return self._parts[key]
        weight, name = self.stem.weight, str(key[0])
        # Where it is used: weights that are made elsewhere and then copied make a GPU wait for them.
        with undrawn(), torch.device("meta"):
            module = build_part().to(weight.dtype)
        module.to_empty(device=weight.device)
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.reset_running_stats()
        kernels = {} if kernel is None else {name: kernel}
        prefix = name if kernel is None else f"blocks.{name}"
        named = [(f"{prefix}.{own}", value) for own, value in module.named_parameters()]
        part = _Part(module, [(value, self._place(full, value, kernels)) for full, value in named])
        self._parts[key] = part
        self._kept += part.size
        while self._kept > min(KEPT * self.parameter_count, MOST_KEPT) and len(self._parts) > 1:
            self._kept -= self._parts.popitem(last=False)[1].size
        return part

    def _place(self, name: str, weight: Tensor, kernels: dict[str, Kernel]) -> Place:
        shape, starts = tuple(weight.shape), [0] * weight.ndim
        parts = name.split(".")
        if parts[0] != "blocks":
            return Place(name, shape, tuple(starts))
        if parts[2] in ("spatial", "temporal"):
            kernel = kernels[parts[1]]
            own = str(kernel) if self.kernels == "own" else _shared_name(kernel, self.space.choices.options)
            shared = ".".join([*parts[:2], "depthwise", own, *parts[2:]])
            if parts[3] == "weight":
                starts = self._crop(parts[2], shape, tuple(self._shared[shared].shape))
            return Place(shared, shape, tuple(starts))
        options = self.space.choices.options
        if parts[2:] == ["squeeze", "reduce", "weight"] and options.squeeze == "2plus3d":
            return Place(name, (shape[0], 2, shape[1] // 2), (0, 0, 0))
        return Place(name, shape, tuple(starts))

    def _crop(self, layer: str, shape: tuple[int, ...], shared: tuple[int, ...]) -> list[int]:
        """Return where a depthwise kernel lies in the largest one."""
        starts = [(whole - part) // 2 for part, whole in zip(shape, shared, strict=True)]
        starts[0] = 0
        if layer == "temporal" and self.space.choices.options.causal:
            starts[2] = shared[2] - shape[2]
        return starts


def _stem(architecture: Architecture) -> ConvNorm:
    activation = architecture.options.activation
    return ConvNorm(3, architecture.stem, 3, stride=STEM_STRIDE, activation=activation)


class _SharedBottleneck(nn.Module):
    """The shared weights of a layer position; the names are those of ``Bottleneck``, but of ``depthwise``."""

    def __init__(
        self,
        inputs: Sequence[int],
        stage: StageChoices,
        position: int,
        options: Options,
        kernels: KernelSharing,
    ) -> None:
        super().__init__()
        choices: LayerChoices = stage.rest if position else stage.first
        stride = 1 if position else stage.stride
        channels, outputs = max(choices.expansions), max(stage.widths)
        self.expand = ConvNorm(max(inputs), channels, activation=options.activation)
        self.depthwise = nn.ModuleDict()
        for name, kernel in _largest_kernels(choices, options, kernels).items():
            layers = depthwise(channels, kernel, stride, options, "")
            self.depthwise[name] = nn.ModuleDict(
                {
                    part: layer
                    for part, layer in zip(("spatial", "temporal"), layers, strict=True)
                    if layer is not None
                }
            )
        squeezes = any(choices.squeezes) and options.squeeze != "none"
        self.squeeze = SqueezeExcite(channels, options, "") if squeezes else None
        if self.squeeze is not None and options.squeeze == "2plus3d":
            weight = self.squeeze.reduce.weight
            self.squeeze.reduce.weight = nn.Parameter(weight.detach().view(len(weight), 2, channels))
        self.project = Projection(channels, outputs)
        changes = position == 0 and (stride > 1 or set(inputs) != set(stage.widths) or len(stage.widths) > 1)
        self.skip = Skip(max(inputs), outputs, stride) if changes else None


def _largest_kernels(choices: LayerChoices, options: Options, kernels: KernelSharing) -> dict[str, Kernel]:
    """Return the kernels that a position has depthwise layers for, by the name of the layers."""
    if kernels == "own":
        return {str(kernel): kernel for kernel in choices.kernels}
    groups: dict[str, list[Kernel]] = {}
    for kernel in choices.kernels:
        groups.setdefault(_shared_name(kernel, options), []).append(kernel)
    return {
        name: Kernel(max(kernel.time for kernel in group), max(kernel.space for kernel in group))
        for name, group in groups.items()
    }


def _shared_name(kernel: Kernel, options: Options) -> str:
    """Return the name of the layers whose middle a kernel is: 2-D kernels are no part of whole 3-D ones."""
    return "flat" if options.convolution == "3d" and kernel.time == 1 else "whole"
