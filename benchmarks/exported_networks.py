"""Networks whose exports runtimes are compared on: published ones, random ones of presets, an ensemble."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
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
    shapes = defaultdict[ClipShape, list[Architecture]](list)
    for preset, count in (("quickstart", 8), ("t0-stream", 6), ("a0-stream", 6)):
        space, rng = SearchSpace.preset(preset), np.random.default_rng(0)
        for index in range(count):
            drawn = space.sample(rng)
            shapes[drawn.input].append(drawn)
            yield f"{preset}-{index}", lively(drawn, seed=index)
        if preset == "quickstart":
            alike = max(shapes.values(), key=len)
    yield "ensemble", Ensemble([lively(_with_positions(each), seed=9) for each in alike])


def _with_positions(architecture: Architecture) -> Architecture:
    """Return a network that encodes positions: none of the presets that are drawn from does."""
    return architecture.with_options(replace(architecture.options, position_encoding=True))


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
    """Export the networks into folders of their names; those that are there stay."""
    for name, model in networks():
        if (folder / name / "step.onnx.json").is_file():
            continue
        video = np.random.default_rng(0).integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8)
        labels = [str(index) for index in range(model.classes)]
        print(export_network(model, folder / name, video, name=name, labels=labels).text(), flush=True)
