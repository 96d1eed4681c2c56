"""The share of a training's time that it waits for the copies of its checkpoints in an object store.

Epochs that compute for so many seconds write a checkpoint of so many megabytes, which goes to a store of so
many megabytes a second. ``before`` copies it before the next epoch begins, as versions up to 0.9 did, and
``now`` is what workers do: in a thread, waited for where an epoch is measured. Both take turns.

    python -m benchmarks.checkpoint_push [--megabytes 30 120 300] [--rate 50] [--epochs 12] [--rung 6]
        [--seconds 10] [--store s3://bucket/folder]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from proxy_train.training.checkpoint import Checkpoint, write_checkpoint
from searcher.cluster.background_push import BackgroundPush
from searcher.cluster.checkpoint_mirror import Mirror

EVALUATION = 0.1
"""Share of an epoch that its evaluation takes, after the checkpoint is written."""


class SlowStore(Mirror):
    """A store that takes so many bytes a second; 0 for as many as come."""

    def __init__(self, uri: str, rate: float) -> None:
        super().__init__(uri)
        self._rate = rate

    def _write(self, path: Path, target: str) -> None:
        began = time.monotonic()
        super()._write(path, target)
        if self._rate:
            time.sleep(max(0.0, path.stat().st_size / self._rate - (time.monotonic() - began)))


def compute(seconds: float) -> None:
    """Keep one core busy, as a training does."""
    end, matrix = time.perf_counter() + seconds, torch.rand(256, 256)
    while time.perf_counter() < end:
        matrix = torch.nn.functional.normalize(matrix @ matrix)


def training(
    push: BackgroundPush | None, mirror: Mirror, folder: Path, megabytes: int, given: argparse.Namespace
) -> tuple[float, float]:
    """Train so many epochs; return the seconds of all, and those that were waited for copies."""
    tensors = {str(number): torch.rand(250_000) for number in range(megabytes)}
    began, waited = time.perf_counter(), 0.0
    for epoch in range(1, given.epochs + 1):
        compute(given.seconds * (1 - EVALUATION))
        write_checkpoint(folder, Checkpoint(tensors, {"epoch": epoch}))
        compute(given.seconds * EVALUATION)
        at = time.perf_counter()
        if push is None:
            mirror.push(folder, "before")
        else:
            push.keep(measured=epoch % given.rung == 0 or epoch == given.epochs)
        waited += time.perf_counter() - at
    return time.perf_counter() - began, waited


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, nargs="*", default=[30, 120, 300])
    parser.add_argument("--rate", type=float, default=50, help="megabytes a second of the store; 0: its own")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--rung", type=int, default=6, help="epochs between two measurements")
    parser.add_argument("--seconds", type=float, default=10, help="of an epoch")
    parser.add_argument("--store", help="address of a folder in a store; by default a folder of this machine")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"epochs of {given.seconds:g} s, measured every {given.rung}; {given.rate:g} MB/s")
    for megabytes in given.megabytes:
        shares = []
        for kind in ("before", "now"):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / "training"
                mirror = SlowStore(given.store or f"file://{name}/store", 1e6 * given.rate)
                push = BackgroundPush(mirror, folder, "now") if kind == "now" else None
                if push is None:
                    folder.mkdir()
                else:
                    push.begin()
                whole, waited = training(push, mirror, folder, megabytes, given)
                if push is not None:
                    push.close()
                shares.append(100 * waited / whole)
        told = f"before {shares[0]:5.1f} % of the time waited, now {shares[1]:5.2f} %"
        print(f"{megabytes:5} MB: {told}", flush=True)


if __name__ == "__main__":
    main()
