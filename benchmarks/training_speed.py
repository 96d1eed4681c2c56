"""Where the time of proxy training goes, in CPU milliseconds a clip, on one thread.

    python benchmarks/training_speed.py [ARCHITECTURE] [--batch 32] [--steps 10] [--cache ~/.cache/movinas]

ARCHITECTURE is the text form of a network; by default a small stream network. The tiny MovingDigits-16 is
made first.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from proxy_train import moving_digits, video
from proxy_train.augmentation import Augmentation
from proxy_train.optimizers import make_optimizer
from proxy_train.recipe import Recipe
from proxy_train.store import prepare
from search_space.architecture import Architecture
from search_space.network import build

SMALL = "stream_8x32x4_s8_w8s2-15e16-a_w16s2-33e32-aa_w24s2-53e48-aa_w24s1-33e48-aa_w32s2-53e64-aa_h96x128"


class Stopwatch:
    """CPU seconds of this process by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the block's CPU time to ``name``."""
        began = time.process_time()
        yield
        self.seconds[name] += time.process_time() - began


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("architecture", nargs="?", default=SMALL)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/movinas").expanduser())
    options = parser.parse_args()
    torch.set_num_threads(1)

    architecture = Architecture.parse(options.architecture)
    clip = architecture.input
    dataset = moving_digits.load("tiny", options.cache)
    data = prepare(dataset, frames=clip.frames, size=clip.size, fps=clip.fps, cache=options.cache)
    split, recipe = data.split("train"), Recipe(batch_size=options.batch)
    augmentation = Augmentation.of(recipe, data)
    model = build(architecture, len(data.classes), seed=0).train()
    optimizer = make_optimizer(model, recipe)
    rng = np.random.default_rng(0)

    watch = Stopwatch()
    for step in range(-2, options.steps):
        if step == 0:
            watch = Stopwatch()  # the steps before were to warm up
        indices = np.sort(rng.choice(len(split), options.batch, replace=False))
        with watch.part("decode (once, when preparing)"):
            for index in indices:
                video.read_frames(dataset.items["train"][index].path, None, None, clip.fps, clip.size)
        with watch.part("read and augment"):
            clips = augmentation.training_batch(split, indices, rng)
        labels = torch.from_numpy(split.labels[indices])
        with watch.part("forward"):
            loss = torch.nn.functional.cross_entropy(model(clips), labels)
        with watch.part("backward"):
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        with watch.part("optimizer"):
            optimizer.step()

    clips_seen = options.batch * options.steps
    training = sum(seconds for name, seconds in watch.seconds.items() if not name.startswith("decode"))
    print(f"{architecture.text}\n{options.steps} steps of {options.batch} clips, one thread")
    for name, seconds in watch.seconds.items():
        share = "" if name.startswith("decode") else f"{100 * seconds / training:6.1f} %"
        print(f"  {name:32}{1000 * seconds / clips_seen:8.3f} ms a clip {share}")
    rate = clips_seen / training
    print(f"  {'training':32}{1000 / rate:8.3f} ms a clip, {rate:.0f} clips a second")


if __name__ == "__main__":
    main()
