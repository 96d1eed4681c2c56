"""What MovingDigits-16 demands: three trainings, each against its bar.

    OMP_NUM_THREADS=1 python -m benchmarks.moving_digits [blind] [a0] [hard] [--network NAME] [--epochs 12]

``blind`` trains a network on ``default`` that sees each frame by itself and averages over them: it has to
stay below 50 %, or the classes can be told apart without their order. ``a0`` trains A0-stream on clips of 64
pixels of ``default``: it has to reach 95 %, as a stream, frame by frame. ``hard`` trains a network on
``hard``, by default the same A0: it has to stay below 95 %, and far above chance. Each is trained by the
quickstart's recipe; accuracies are those of ``test``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import torch

from proxy_train.data import moving_digits
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import prepare
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.files import DEFAULT_CACHE
from search_space.network.allocator import retain_freed_memory

BLIND = "base_16x48x8_s8_w16s2-13e32-aa_w32s2-15e96-13e96-ab_w64s2-15e192-13e192-ab_h128x256"
CLIP = ClipShape(16, 64, 8)


@dataclass(frozen=True, slots=True)
class Bar:
    """A training and what its accuracy has to be.

    Args:
        preset: of MovingDigits-16.
        architecture: what is trained.
        epochs: how long.
        low, high: between these, in percent.
    """

    preset: str
    architecture: Architecture
    epochs: int
    low: float
    high: float


def run(name: str, bar: Bar, cache: Path, seed: int) -> bool:
    """Trains, prints, and answers whether the bar is cleared."""
    clip = bar.architecture.input
    dataset = moving_digits.load(bar.preset, cache)
    data = prepare(dataset, frames=clip.frames, size=clip.size, fps=clip.fps, cache=cache)
    horizon = Fidelity(bar.epochs, clip.frames, clip.size)
    training = Training(bar.architecture, data, Recipe.from_yaml("quickstart"), horizon=horizon, seed=seed)
    began = process_time()
    while training.epoch < bar.epochs:
        report = training.train_epoch()
        top1 = 100 * training.evaluate().top1
        print(f"  epoch {report.epoch} of {bar.epochs}: loss {report.loss:.3f}, val {top1:.1f} %", flush=True)
    causal = bar.architecture.options.causal
    found = [("clips", training.evaluate("test"))]
    if causal:
        found.append(("frame by frame", training.evaluate("test", streaming=True)))
    right = all(bar.low <= 100 * metrics.top1 <= bar.high for _, metrics in found)
    told = ", ".join(f"{100 * metrics.top1:.1f} % of {metrics.count} {how}" for how, metrics in found)
    seconds = process_time() - began
    print(
        f"{name}: {told} on {bar.preset}'s test split after {bar.epochs} epochs, {seconds:.0f} s of CPU; "
        f"it has to be {bar.low:g} to {bar.high:g}: {'yes' if right else 'NO'}",
        flush=True,
    )
    return right


def main() -> None:
    """Runs what is asked for; ends with status 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bars", nargs="*", default=["blind", "a0", "hard"])
    parser.add_argument("--network", default="A0-stream", help="of hard: a published name or a text")
    parser.add_argument("--epochs", type=int, default=12, help="of hard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE.expanduser())
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    text: str = options.network
    other = published(text).with_input(CLIP) if len(text) < 12 else Architecture.parse(text)
    blind = Architecture.parse(BLIND)
    # Squeeze-and-excitation that looks at each frame by itself, too.
    blind = replace(blind, options=replace(blind.options, squeeze="2d"))
    bars = {
        "blind": Bar("default", blind, 10, 0, 50),
        "a0": Bar("default", published("A0-stream").with_input(CLIP), 6, 95, 100),
        "hard": Bar("hard", other, options.epochs, 30, 95),
    }
    unknown = set(options.bars) - set(bars)
    if unknown:
        raise SystemExit(f"there is no {', '.join(sorted(unknown))}: choose of {', '.join(bars)}")
    cleared = [run(name, bars[name], options.cache, options.seed) for name in options.bars]
    if not all(cleared):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
