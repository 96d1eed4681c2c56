"""What it brings to classify several videos in one call of an exported step: frames a second, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.many_streams [MEMBER or published name ...] --streams 8

Each network is exported for one video and for several, and both classify frames of as many videos, in turns
in one process. Printed is the processor's time a frame, medians, and the ratio; preprocessing is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from results.export.export import ExportTarget, export_network
from results.inference.runners import ExportRunner
from results.member import load_member
from search_space.architecture.by_name import read_architecture
from search_space.network.ensemble import Ensemble
from search_space.network.model import MoViNet, build


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=["A0-stream"])
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--calls", type=int, default=60)
    given = parser.parse_args()
    for name in given.networks:
        with tempfile.TemporaryDirectory() as scratch:
            alone, together = (opened(name, given.runtime, n, Path(scratch)) for n in (1, given.streams))
            single, several = times(alone, together, given.calls)
        print(
            f"{name}: {1000 * single:.3f} ms a frame one by one, {1000 * several:.3f} ms of "
            f"{given.streams} in a call: {single / several:.2f} times the frames",
            flush=True,
        )


def opened(name: str, runtime: str, streams: int, scratch: Path) -> ExportRunner:
    """Export a member, or a published network with fresh weights, and open it."""
    model: MoViNet | Ensemble
    if Path(name).is_dir():
        model, member = load_member(Path(name))
        labels = member.labels
    else:
        labels = tuple(str(index) for index in range(600))
        model = build(read_architecture(name), len(labels), seed=0).eval()
    clip = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), np.uint8)
    target = ExportTarget(runtime, streams=streams)
    result = export_network(model, scratch, clip, name="network", labels=labels, target=target)
    assert result.path is not None
    return ExportRunner(result.path)


def times(alone: ExportRunner, together: ExportRunner, calls: int) -> tuple[float, float]:
    """Return the median processor time of a frame, in seconds, one by one and together, measured in turns."""
    streams, shape = together.streams, alone.sidecar.pixels.shape
    frames = np.random.default_rng(1).random((streams, *shape[1:]), dtype=np.float32)
    states, state = [alone.initial_state() for _ in range(streams)], together.initial_state()
    every, single, several = np.ones(streams, np.bool_), list[float](), list[float]()
    for _ in range(calls):
        began = time.process_time()
        for row in range(streams):
            _, states[row] = alone.run(frames[row : row + 1], states[row])
        between = time.process_time()
        _, state = together.run_all(frames, state, every)
        several.append((time.process_time() - between) / streams)
        single.append((between - began) / streams)
    return float(np.median(single)), float(np.median(several))


if __name__ == "__main__":
    main()
