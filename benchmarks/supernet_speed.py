"""What sharing weights costs: an update of a supernet beside those of its networks alone, and its memory.

    python -m benchmarks.supernet_speed [--space quickstart] [--size 24] [--batch 32] [--updates 12]

Prints the CPU time of an update by the sandwich rule over the sum of the CPU times of an update of each of
its networks on its own, in turns, with newly drawn networks every time; and the peak of the memory of a
process that makes such updates over that of one that trains the largest network alone. ``--space a0-stream
--size 172 --batch 4`` is the paper's scale.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_train.recipe import Recipe
from proxy_train.training.optimizers import make_optimizer, set_rate
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.network.allocator import retain_freed_memory
from search_space.network.model import build
from search_space.space.space import SearchSpace
from search_space.supernet.supernet import Supernet

CLASSES = 16
RECIPE = Recipe()


class Update:
    """One update of a supernet, as its training makes it, without data."""

    def __init__(self, space: SearchSpace, clips: Tensor, labels: Tensor) -> None:
        self.supernet = Supernet(space, CLASSES, kernels="cropped", seed=0)
        self._clips, self._labels = clips, labels
        self._optimizer = make_optimizer(self.supernet, RECIPE)
        set_rate(self._optimizer, 1e-4)

    def __call__(self, networks: list[Architecture]) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        answers = None
        for architecture in networks:
            network = self.supernet.network(architecture).train()
            self.supernet.load_into(network)
            logits = network(self._clips)
            loss = F.cross_entropy(logits, self._labels)
            if answers is None:
                answers = logits.detach()
            else:
                loss = 0.5 * loss + 0.5 * F.cross_entropy(logits, answers.softmax(-1))
            loss.backward()  # type: ignore[no-untyped-call]
            self.supernet.add_gradients(network)
        self._optimizer.step()


class Alone:
    """Updates of stand-alone networks; what building them costs is not counted."""

    def __init__(self, clips: Tensor, labels: Tensor) -> None:
        self._clips, self._labels = clips, labels

    def __call__(self, architecture: Architecture) -> float:
        network = build(architecture, CLASSES, seed=0).train()
        optimizer = make_optimizer(network, RECIPE)
        set_rate(optimizer, 1e-4)
        self._update(network, optimizer)  # the optimizer's state is made
        started = time.process_time()
        self._update(network, optimizer)
        return time.process_time() - started

    def _update(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(network(self._clips), self._labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def main() -> None:
    """Measure and print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--space", default="quickstart")
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--memory-of", choices=("supernet", "largest"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    given = SearchSpace.from_yaml(options.space).with_classes(CLASSES)
    clip = ClipShape(options.frames, options.size, given.clips[0].fps)
    shape = {"frames": [clip.frames], "size": [clip.size], "fps": [clip.fps]}
    space = SearchSpace.from_dict(given.to_dict() | {"input": shape, "budgets": {}})
    generator = torch.Generator().manual_seed(0)
    clips = torch.rand(options.batch, 3, clip.frames, clip.size, clip.size, generator=generator)
    labels = torch.randint(CLASSES, (options.batch,), generator=generator)
    rng = np.random.default_rng(0)

    def drawn() -> list[Architecture]:
        others = [space.sample_at(rng) for _ in range(options.networks)]
        return [space.largest(), *others, space.smallest()]

    if options.memory_of:
        networks = drawn()
        update, alone = Update(space, clips, labels), Alone(clips, labels)
        for _ in range(2):
            if options.memory_of == "supernet":
                update(networks)
            else:
                alone(space.largest())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
        return
    update, alone = Update(space, clips, labels), Alone(clips, labels)
    update(drawn())
    ratios, whole = [], []
    for _ in range(options.updates):
        networks = drawn()
        started = time.process_time()
        update(networks)
        whole.append(time.process_time() - started)
        ratios.append(whole[-1] / sum(map(alone, networks)))
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    print(
        f"{options.space}, {clip}, batch {options.batch}: an update of {options.networks + 2} networks"
        f" takes {np.median(whole):.3f} CPU s, {middle:.2f} ({low:.2f} to {high:.2f}) of what they take alone"
    )
    peaks = []
    for name in ("supernet", "largest"):
        command = [sys.executable, "-m", "benchmarks.supernet_speed", *sys.argv[1:], "--memory-of", name]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(
        f"peak memory {peaks[0]:.0f} MiB, {peaks[0] / peaks[1]:.2f} of the largest network's {peaks[1]:.0f}"
    )


if __name__ == "__main__":
    main()
