"""What counters of multiply-adds say of a network in its two forms, beside the closed form.

Each counter that is installed runs a clip of zeros through the normal form and through the plain one, which
``build(..., plain=True)`` makes. Printed is what it calls its figure, the figure in thousand millions, and
the share of the closed form that it is, as multiply-adds. The figures of docs/search_space.md are from an
environment of its own:

    pip install torch==2.13.0 safetensors==0.8.0 fvcore==0.1.5.post20221221 thop==0.1.1.post2209072238 \\
        ptflops==0.7.5 torchinfo==1.8.0 calflops==0.3.2 transformers==5.24.0 deepspeed==0.19.8
    OMP_NUM_THREADS=1 python -m benchmarks.counters

calflops imports transformers without asking for it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.cost.closed_form import macs
from search_space.errors import MovinasError
from search_space.network.model import build

Count = Callable[[nn.Module, Tensor], float | None]


@dataclass(frozen=True)
class Counter:
    """A way to count.

    Attributes:
        name: package, and how it is called where there are several ways.
        package: distribution that has to be installed.
        calls: word for its figure.
        each: what it counts for one multiply-add, 1 or 2.
        count: function of a network and a clip; None where the counter gives up.
    """

    name: str
    package: str
    calls: str
    each: int
    count: Count


def fvcore(model: nn.Module, clip: Tensor) -> float:
    """Count what a trace holds."""
    analysis = importlib.import_module("fvcore.nn").FlopCountAnalysis(model, clip)
    return float(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def torch_counter(gradients: bool) -> Count:
    """Return PyTorch's own counter of the operations that run."""

    def count(model: nn.Module, clip: Tensor) -> float:
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradients):
            model(clip)
        return float(counter.get_total_flops())

    return count


def thop(model: nn.Module, clip: Tensor) -> float:
    """Count by the classes of modules."""
    return float(importlib.import_module("thop").profile(model, inputs=(clip,), verbose=False)[0])


def ptflops(backend: str) -> Count:
    """Return a counter by the classes of modules and by functions (``pytorch``), or by operations."""

    def count(model: nn.Module, clip: Tensor) -> float | None:
        counted = importlib.import_module("ptflops").get_model_complexity_info(
            model, tuple(clip.shape[1:]), as_strings=False, print_per_layer_stat=False, backend=backend
        )
        return None if counted[0] is None else float(counted[0])

    return count


def torchinfo(model: nn.Module, clip: Tensor) -> float:
    """Count by the weights that modules hold."""
    summary: Any = importlib.import_module("torchinfo").summary
    return float(summary(model, input_data=clip, verbose=0).total_mult_adds)


def calflops(model: nn.Module, clip: Tensor) -> float:
    """Count the functions that are called; the multiply-adds among them."""
    calculate: Any = importlib.import_module("calflops").calculate_flops
    counted = calculate(model, input_shape=tuple(clip.shape), print_results=False, output_as_string=False)
    return float(counted[1])


def deepspeed(model: nn.Module, clip: Tensor) -> float:
    """Count the functions that are called; the multiply-adds among them."""
    profiler: Any = importlib.import_module("deepspeed.profiling.flops_profiler")
    counted = profiler.get_model_profile(
        model, input_shape=tuple(clip.shape), print_profile=False, warm_up=0, as_string=False
    )
    return float(counted[1])


COUNTERS = (
    Counter("fvcore", "fvcore", "flops", 1, fvcore),
    Counter("FlopCounterMode, no_grad", "torch", "flops", 2, torch_counter(False)),
    Counter("FlopCounterMode, gradients on", "torch", "flops", 2, torch_counter(True)),
    Counter("ptflops, aten", "ptflops", "macs", 1, ptflops("aten")),
    Counter("calflops", "calflops", "macs", 1, calflops),
    Counter("DeepSpeed", "deepspeed", "macs", 1, deepspeed),
    Counter("thop", "thop", "macs", 1, thop),
    Counter("ptflops, pytorch", "ptflops", "macs", 1, ptflops("pytorch")),
    Counter("torchinfo", "torchinfo", "mult-adds", 1, torchinfo),
)


def counted(counter: Counter, model: nn.Module, clip: Tensor, expected: int) -> str:
    """Return what a counter says of a network, in words where it fails."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            figure = counter.count(model, clip)
    except Exception as error:
        # Whatever a foreign counter raises is its answer.
        return (str(error).splitlines() or [type(error).__name__])[0][:40]
    if figure is None:
        return "gives up"
    return f"{figure / 1e9:.4f} ({figure / counter.each / expected:.1%})"


def compare(architecture: Architecture, clip: ClipShape, classes: int) -> None:
    """Print a row for each counter."""
    expected = macs(architecture, classes, input=clip)
    zeros = torch.zeros(1, 3, clip.frames, clip.size, clip.size)
    print(f"{architecture.text} at {clip}, {classes} classes: {expected:,} multiply-adds in closed form\n")
    print("| counter | version | its word | normal form | plain form |\n|---|---|---|---|---|", flush=True)
    for counter in COUNTERS:
        try:
            release = version(counter.package).partition("+")[0]
        except PackageNotFoundError:
            print(f"| {counter.name} | not installed | | | |")
            continue
        # New networks for each: some counters leave buffers or wrapped methods behind.
        normal = build(architecture, classes, seed=0).eval()
        plain = build(architecture, classes, seed=0, plain=True).eval()
        cells = [counted(counter, model, zeros, expected) for model in (normal, plain)]
        print(f"| {counter.name} | {release} | {counter.calls} | {cells[0]} | {cells[1]} |", flush=True)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--network", default="A0-base", help="name of a published network")
    parser.add_argument("--clip", help="FRAMESxSIZExFPS; by default the network's own")
    parser.add_argument("--classes", type=int, default=600)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    try:
        architecture = published(arguments.network)
        clip = ClipShape.parse(arguments.clip) if arguments.clip else architecture.input
        compare(architecture, clip, arguments.classes)
    except MovinasError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
