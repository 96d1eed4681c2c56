"""Networks whose exports runtimes are compared on: published ones, random ones of presets, an ensemble."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from results.export.export import export_network
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet, build
from search_space.space.space import SearchSpace

CLASSES = 100


def networks() -> Iterator[tuple[str, MoViNet | Ensemble]]:
    """Yield published networks, random ones of three presets, and an ensemble of those, with their names."""
    for name in ("T0", "A0", "A1", "A2", "A3", "A4", "A5"):
        yield name, lively(published(f"{name}-stream"), seed=0)
    rng, drawn = np.random.default_rng(0), list[tuple[str, MoViNet]]()
    for preset, count in (("quickstart", 10), ("t0-stream", 5), ("a3-stream", 5)):
        for index in range(count):
            drawn.append((f"{preset}-{index}", lively(SearchSpace.preset(preset).sample(rng), seed=index)))
    yield from drawn
    members = defaultdict[ClipShape, list[MoViNet]](list)
    for name, model in drawn:
        if name.startswith("quickstart"):
            members[model.architecture.input].append(model)
    yield "ensemble", Ensemble(max(members.values(), key=len))


def lively(architecture: Architecture, seed: int) -> MoViNet:
    """Return a network with random weights whose branches and statistics all count."""
    model = build(architecture, CLASSES, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif name.endswith(("running_mean", "bias")):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
            elif name.endswith("scale"):
                tensor.fill_(0.2)
        # It starts so small that differences would drown in its bias.
        model.head.classifier.weight.mul_(30)
    return model.eval()


def make(folder: Path, frames: int) -> None:
    """Export the networks into folders of their names."""
    for name, model in networks():
        video = np.random.default_rng(0).integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8)
        labels = [str(index) for index in range(model.classes)]
        print(export_network(model, folder / name, video, name=name, labels=labels).text(), flush=True)
