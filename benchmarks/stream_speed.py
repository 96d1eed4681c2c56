"""A stream over a long video: whether memory stays as it is, and whether 30 frames a second are kept up with.

    OMP_NUM_THREADS=1 python -m benchmarks.stream_speed --minutes 10

A video of that length is encoded, 320x240 at 30 frames a second, and A0-stream with fresh weights
classifies every frame of it at 30 frames a second, 172 px, in ONNX Runtime and one thread, decoding and all,
as ``movinas stream`` does. Printed for every tenth of the video: frames a second, by the clock and by the
processor's time, and memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import torch

from proxy_train.video.live import pictures
from results.export.export import ExportTarget, export_network
from results.inference.memory import resident_bytes
from results.inference.streaming import StreamingClassifier
from results.inference.watching import watch
from search_space.architecture.published import published
from search_space.network.model import build

FPS = 30


def encode(path: Path, seconds: float) -> None:
    """A video of noise that moves, so that frames differ."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (240, 640, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(int(seconds * FPS)):
            left = index % 320
            frame = np.ascontiguousarray(noise[:, left : left + 320])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runtime", default="onnxruntime")
    given = parser.parse_args()
    torch.set_num_threads(1)
    architecture = published("A0-stream")
    labels = [str(index) for index in range(600)]
    with tempfile.TemporaryDirectory() as scratch:
        video, folder = Path(scratch) / "video.mp4", Path(scratch) / "A0"
        encode(video, 60 * given.minutes)
        size = architecture.input.size
        frames = np.random.default_rng(1).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
        result = export_network(
            build(architecture, 600, seed=0).eval(),
            folder,
            frames,
            name="A0",
            labels=labels,
            target=ExportTarget(given.runtime),
        )
        assert result.path is not None
        classifier = StreamingClassifier.open(result.path)
        total = int(60 * given.minutes * FPS)
        began, worked, last = time.perf_counter(), time.process_time(), 0
        print(f"{'frames':>8}{'frames/s':>10}{'per CPU s':>11}{'memory MiB':>12}")
        for seen in watch(classifier, pictures(str(video), FPS, size), 1):
            if (seen.frame + 1) % (total // 10) == 0:
                count, last = seen.frame + 1 - last, seen.frame + 1
                now, busy = time.perf_counter(), time.process_time()
                wall, cpu = count / (now - began), count / (busy - worked)
                print(f"{last:>8}{wall:>10.0f}{cpu:>11.0f}{resident_bytes() / 2**20:>12.1f}", flush=True)
                began, worked = now, busy


if __name__ == "__main__":
    main()
