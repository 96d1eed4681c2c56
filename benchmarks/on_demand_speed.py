"""What it costs to decode each clip on demand, against a store of frames.

    python -m benchmarks.on_demand_speed [--cache /tmp/movinas-on-demand] [--videos 32] [--threads 1 2 4]

The videos are made first: ten seconds of a camera over photographs with noise, H.264 of 340x256 pixels at 25
frames a second and about half a megabit a second, a key frame every 250 frames, which is how web sites keep
them and the dearest to decode from anywhere. Costs are CPU time; what threads gain is told by rates of clips
that are taken in turns with as many processes, which share nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch

from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.store.split import FrameRange
from proxy_train.training.training import Training
from search_space.architecture.architecture import Architecture
from search_space.architecture.published import published
from search_space.network.allocator import retain_freed_memory

SMALL = "stream_8x32x5_s8_w8s2-15e16-a_w16s2-33e32-aa_w24s2-53e48-aa_w24s1-33e48-aa_w32s2-53e64-aa_h96x128"
CLIPS = 24  # read for every rate


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("/tmp/movinas-on-demand"))
    parser.add_argument("--videos", type=int, default=32)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    root = options.cache / f"videos-{options.videos}"
    write_videos(root, options.videos)
    dataset = load_dataset(
        DataSettings.model_validate({"kind": "folder", "root": root, "cache": options.cache})
    )
    preparing(dataset, options.cache)
    data = prepare(dataset, frames=16, size=172, fps=5, cache=options.cache, on_demand=True)
    rates(data, options.threads)
    for name, architecture in (
        ("a small network, 8 x 32 px", Architecture.parse(SMALL)),
        ("A0-stream, 16 x 64 px", scaled()),
    ):
        waiting(name, architecture, dataset, options.cache)


def scaled() -> Architecture:
    """A0-stream for clips of 16 frames of 64 pixels, 5 a second."""
    network = published("A0-stream")
    clip = network.input
    return network.with_input(type(clip)(16, 64, 5))


def write_videos(root: Path, count: int, *, seconds: int = 10) -> None:
    """Two classes, a quarter of each to validate with."""
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    for number in range(count):
        path = root / ("val" if number % 8 < 2 else "train") / f"class{number % 2}" / f"{number}.mp4"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        photograph = photographs[number % len(photographs)]
        top, left = rng.uniform(0, 170, 250).mean() + np.cumsum(rng.normal(0, 1.5, (2, 250)), 1)
        with av.open(path.with_suffix(".part"), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=25, options={"g": "250", "crf": "23"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 340, 256, "yuv420p"
            stream.codec_context.thread_count = 1
            way = zip(top.clip(0, 170).astype(int), left.clip(0, 299).astype(int), strict=True)
            for y, x in islice(way, 25 * seconds):
                picture = photograph[y : y + 256, x : x + 340] + rng.normal(0, 3, (256, 340, 1))
                frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        path.with_suffix(".part").rename(path)
    sizes = [path.stat().st_size for path in root.rglob("*.mp4")]
    print(f"videos        {len(sizes)}, {np.mean(sizes) / 1e3:.0f} KB each")


def preparing(dataset: Dataset, cache: Path) -> None:
    """CPU time of preparing a video both ways, in a cache that is empty."""
    count = sum(len(items) for items in dataset.items.values())
    for on_demand in (False, True):
        folder = cache / f"new-{time.time_ns()}"
        began = time.process_time()
        data = prepare(dataset, frames=16, size=172, fps=5, cache=folder, on_demand=on_demand)
        each = (time.process_time() - began) / count
        size = sum(path.stat().st_size for path in data.path.iterdir()) / count
        way = "for on-demand reading" if on_demand else "to a store"
        print(f"preparing     {1000 * each:7.1f} ms and {size / 1e3:.1f} KB a video, {way}")


def wanted(data: PreparedData) -> list[FrameRange]:
    """Clips of 16 frames from random places."""
    split, rng = data.split("train"), np.random.default_rng(0)
    chosen = rng.integers(0, len(split), CLIPS)
    return [FrameRange(int(at), int(rng.integers(0, split.lengths[at] - 15)), 16) for at in chosen]


def rates(data: PreparedData, threads: list[int]) -> None:
    """Clips a second by threads and by processes, and what a clip costs."""
    split, ranges = data.split("train"), wanted(data)
    began = time.process_time()
    for frames in ranges:
        split.read(frames)
    each = 1000 * (time.process_time() - began) / CLIPS
    print(f"decoding      {each:7.1f} ms of CPU a clip of 16 frames of 172 px, 5 a second")
    ways: dict[tuple[str, int], Callable[[], None]] = {}
    context = multiprocessing.get_context("spawn")
    pools = {count: ProcessPoolExecutor(count, mp_context=context) for count in threads}
    for count in threads:
        ways["threads", count] = partial(by_threads, data, ranges, count)
        ways["processes", count] = partial(by_processes, data, ranges, pools[count], count)
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in ways}
    for number in range(5):
        for key, way in ways.items():
            begun = time.perf_counter()
            way()
            if number:  # the first one starts processes
                seconds[key].append(time.perf_counter() - begun)
    for (kind, count), found in seconds.items():
        best, usual = CLIPS / min(found), CLIPS / float(np.median(found))
        print(f"decoding      {best:7.1f} clips a second at best, {usual:.1f} usually, by {count} {kind}")
    for pool in pools.values():
        pool.shutdown()


def by_threads(data: PreparedData, ranges: list[FrameRange], count: int) -> None:
    """Reads as trainings do."""
    torch.set_num_threads(count)
    for _ in data.split("train").read_all(ranges):
        pass
    torch.set_num_threads(1)


def by_processes(data: PreparedData, ranges: list[FrameRange], pool: ProcessPoolExecutor, count: int) -> None:
    """The same work, in parts; no frame comes back."""
    list(pool.map(read_all, [data] * count, [ranges[at::count] for at in range(count)]))


def read_all(data: PreparedData, ranges: list[FrameRange]) -> None:
    """In a process of its own."""
    for frames in ranges:
        data.split("train").read(frames)


def waiting(name: str, architecture: Architecture, dataset: Dataset, cache: Path) -> None:
    """An epoch from a store and on demand, in turns: seconds, and the part of them that waits for clips."""
    clip = architecture.input
    found: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    trainings = {
        on_demand: Training(
            architecture,
            prepare(
                dataset, frames=clip.frames, size=clip.size, fps=clip.fps, cache=cache, on_demand=on_demand
            ),
            Recipe.model_validate({"batch_size": 8}),
            horizon=Fidelity(9, clip.frames, clip.size),
            seed=0,
        )
        for on_demand in (False, True)
    }
    for number in range(5):
        for on_demand, training in trainings.items():
            began = time.process_time()
            report = training.train_epoch()
            if number:
                found[on_demand].append((time.process_time() - began, report.seconds, report.data_seconds))
    clips = 8 * trainings[True].steps_an_epoch
    for on_demand, epochs in found.items():
        cpu, seconds, waits = np.array(epochs).sum(0)
        print(
            f"training      {1000 * cpu / len(epochs) / clips:7.1f} ms of CPU a clip, waits"
            f" {100 * waits / seconds:.1f} % of the time, {'on demand' if on_demand else 'a store'}: {name}"
        )


if __name__ == "__main__":
    main()
