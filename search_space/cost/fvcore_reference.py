"""The reference for the closed form: fvcore counts what the real network runs. Slow: seconds a network."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.operators import operators
from search_space.network.model import build

# How fvcore names a product, and what it is here.
_KINDS = {
    "conv": "conv",
    "linear": "linear",
    "addmm": "linear",
    "matmul": "linear",
    "batch_norm": "batch_norm",
}
# Operators of the closed form by the modules that run them.
_MODULES = {
    "expand": "expand",
    "spatial": "spatial",
    "temporal": "temporal",
    "volume": "temporal",
    "reduce": "squeeze.reduce",
    "gate": "squeeze.expand",
    "project": "project",
    "skip": "skip.project",
    "hidden": "hidden",
    "classifier": "classifier",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One count twice: ``closed`` is the closed form's, ``counted`` is fvcore's.

    ``operator`` is ``conv``, ``linear`` or ``batch_norm``; the first two are multiply-adds, the last is two
    an element, as fvcore counts it. ``layer`` is a layer's operator, such as ``block1_layer0.expand``, or
    ``total``. A product of any other name that fvcore counts has a total of its own, and disagrees.
    """

    layer: str
    operator: str
    closed: int
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether the two are equal."""
        return self.closed == self.counted


@dataclass(frozen=True, slots=True)
class Comparison:
    """The closed form beside fvcore, for one network and clip.

    Attributes:
        totals: a row for each operator.
        layers: a row for each layer's operator.
        ignored: operators that fvcore met and neither side counts, with how often.
    """

    totals: tuple[Row, ...]
    layers: tuple[Row, ...]
    ignored: dict[str, int]

    @property
    def agrees(self) -> bool:
        """Whether every count is equal."""
        return all(row.agrees for row in (*self.totals, *self.layers))


def compare_with_fvcore(
    architecture: Architecture, classes: int = 600, *, input: ClipShape | None = None
) -> Comparison:
    """Count a network both ways.

    Args:
        architecture: the network; it is built and run once, all zeros.
        classes: outputs of the classifier.
        input: the clip; by default the one that the network is made for.
    """
    clip = input or architecture.input
    analysis = _analyse(architecture, classes, clip)
    by_module: dict[str, Counter[str]] = analysis.by_module_and_operator()
    closed: dict[tuple[str, str], int] = {}
    for operator in operators(architecture, classes, input=clip):
        name = operator.layer if operator.name == "stem" else f"{operator.layer}.{operator.name}"
        closed[name, operator.kind] = operator.macs
        if operator.normalised:
            closed[name, "batch_norm"] = 2 * operator.normalised
    rows = tuple(
        Row(name, kind, count, _kinds(by_module.get(_module(name), Counter()))[kind])
        for (name, kind), count in closed.items()
    )
    counted = _kinds(analysis.by_operator())
    totals = tuple(
        Row("total", kind, sum(row.closed for row in rows if row.operator == kind), counted[kind])
        for kind in dict.fromkeys(("conv", "linear", "batch_norm", *counted))
    )
    return Comparison(totals, rows, dict(analysis.unsupported_ops()))


def _analyse(architecture: Architecture, classes: int, clip: ClipShape) -> Any:
    # Counts do not depend on the weights, and drawing them takes as long as the counting.
    with torch.device("meta"):
        network = build(architecture, classes).eval()
    network.to_empty(device="cpu")
    frames = torch.zeros(1, 3, clip.frames, clip.size, clip.size)
    with torch.no_grad(), warnings.catch_warnings():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.zero_()
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(network, frames)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        analysis.total()
    return analysis


def _kinds(counts: Counter[str]) -> Counter[str]:
    """Return fvcore's counts by our kinds; any other product keeps its name, and so cannot hide."""
    kinds: Counter[str] = Counter()
    for operator, count in counts.items():
        kinds[_KINDS.get(operator, operator)] += int(count)
    return kinds


def _module(name: str) -> str:
    layer, _, operator = name.partition(".")
    if layer.startswith("block"):
        return f"blocks.{layer}.{_MODULES[operator]}"
    return f"{layer}.{_MODULES[operator]}" if operator else layer
