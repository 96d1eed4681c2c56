"""What videos cost: decoding, the wait of a training for clips, and the memory of one more worker.

    python benchmarks/data_speed.py [--cache /tmp/movinas-bench] [--videos 64] [--megabytes 500]

Real H.264 files of 320x240 pixels are written first. Times are of one thread; memory is what a process has
to itself (private pages) beyond what it had before it opened the store, and its share of all pages that
processes map together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from proxy_train.clips.augmentation import Augmentation
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.training.training import Training
from proxy_train.video.video import Video
from proxy_train.video.writing import write_video
from search_space.architecture.architecture import Architecture
from search_space.network.allocator import retain_freed_memory

SMALL = "stream_8x32x4_s8_w8s2-15e16-a_w16s2-33e32-aa_w24s2-53e48-aa_w24s1-33e48-aa_w32s2-53e64-aa_h96x128"
BIG = 16  # frames a second of the videos that are written, and of the big store


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("/tmp/movinas-bench"))
    parser.add_argument("--videos", type=int, default=64)
    parser.add_argument("--megabytes", type=int, default=500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()  # as trainings do
    root = options.cache / f"videos-{options.videos}"
    write_videos(root, options.videos)
    decoding(root)
    waiting(options.cache)
    changing(root, options.cache)
    memory(root, options.cache, options.megabytes)


def write_videos(root: Path, count: int) -> None:
    """Videos of ten seconds, moving noise over a shade, two classes."""
    rng = np.random.default_rng(0)
    for number in range(count):
        split = "val" if number % 8 == 0 else "train"
        path = root / split / f"class{number // 2 % 2}" / f"{number}.mp4"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = np.linspace(40, 200, 320)[None, :, None] + rng.normal(0, 20, (240, 1, 3))
        frames = [np.roll(shade, 2 * at, axis=1).clip(0, 255).astype(np.uint8) for at in range(10 * BIG)]
        write_video(path, frames, crf=26, fps=BIG)


def decoding(root: Path) -> None:
    """Clips of 16 frames at 5 a second, 172 px, from random places."""
    files = sorted(root.rglob("*.mp4"))[:32]
    rng = np.random.default_rng(0)
    began = time.process_time()
    for path in files:
        Video(path).read(5, 172, start=float(rng.uniform(0, 6)), limit=16)
    each = 1000 * (time.process_time() - began) / len(files)
    print(f"decoding      {each:7.1f} ms a clip of 16 frames of 172 px, 320x240 source, a key frame every 16")


def waiting(cache: Path) -> None:
    """Share of the training loop's time that it waits for clips of a prepared store."""
    dataset = load_dataset(DataSettings.model_validate({"preset": "tiny", "cache": cache}))
    architecture = Architecture.parse(SMALL)
    clip = architecture.input
    began = time.perf_counter()
    data = prepare(dataset, frames=clip.frames, size=clip.size, fps=clip.fps, cache=cache)
    print(f"preparing     {time.perf_counter() - began:7.1f} s (0 if the store was there), {data.path.name}")
    for policy in ("none", "randaugment"):
        recipe = Recipe.model_validate({"policy": policy})
        training = Training(architecture, data, recipe, horizon=Fidelity(4, clip.frames, clip.size), seed=0)
        training.train_epoch()
        reports = [training.train_epoch() for _ in range(3)]
        seconds, waits = (sum(getattr(r, name) for r in reports) for name in ("seconds", "data_seconds"))
        print(f"waiting       {100 * waits / seconds:7.2f} % of a training epoch, policy {policy}")


def changing(root: Path, cache: Path) -> None:
    """Augmentation by kind, on clips of 16 frames of 112 px."""
    dataset = load_dataset(DataSettings.model_validate({"kind": "folder", "root": root, "cache": cache}))
    data = prepare(dataset, frames=16, size=112, fps=8, cache=cache)
    split = data.split("train")
    recipes = {
        "shift, flip, colour": {},
        "boxes": {"box_area": 0.08},
        "boxes, autoaugment": {"box_area": 0.08, "policy": "autoaugment"},
        "boxes, randaugment": {"box_area": 0.08, "policy": "randaugment"},
    }
    for name, given in recipes.items():
        augmentation = Augmentation.of(Recipe.model_validate(given), data)
        rng = np.random.default_rng(0)
        began = time.process_time()
        for _ in range(4):
            ranges = augmentation.frame_ranges(split, np.arange(16), rng)
            augmentation.changed(split.read_all(ranges), 16, rng)
        print(f"augmenting    {1000 * (time.process_time() - began) / 64:7.2f} ms a clip: {name}")


def memory(videos: Path, cache: Path, megabytes: int) -> None:
    """What each of four workers adds that reads all of one store."""
    path = _big_store(videos, cache, megabytes)
    context = multiprocessing.get_context("spawn")
    workers = []
    for number in range(4):
        ours, theirs = context.Pipe()
        worker = context.Process(target=_read_all, args=(path, theirs), daemon=True)
        worker.start()
        private, share, labels = ours.recv()
        workers.append((worker, ours))
        print(
            f"memory        worker {number + 1}: {private:6.1f} MB of its own, {share:6.1f} MB with its share"
            f" of common pages, for {megabytes} MB of data ({labels} clips)"
        )
    for worker, pipe in workers:
        pipe.send("done")
        worker.join()


def _big_store(videos: Path, cache: Path, megabytes: int) -> Path:
    """A store of so many megabytes, of ten videos listed again and again."""
    root = cache / f"list-{megabytes}"
    root.mkdir(parents=True, exist_ok=True)
    files = sorted(videos.rglob("*.mp4"))[:10]
    side, frames = 126, 10 * 5
    count = round(megabytes * 1e6 / (side * side * 3 * frames))
    for split, number in (("train", count), ("val", 4)):
        lines = [f"{files[at % len(files)]} {at % 2}" for at in range(number)]
        (root / f"{split}.txt").write_text("\n".join(lines))
    dataset = load_dataset(DataSettings.model_validate({"kind": "list", "root": root, "cache": cache}))
    return prepare(dataset, frames=50, size=112, fps=5, cache=cache, workers=2).path


def _read_all(path: Path, pipe: Connection) -> None:
    torch.set_num_threads(1)
    torch.zeros(10).sum()
    before = _memory()
    data = PreparedData.open(path)
    split = data.split("train")
    total = 0
    for index in range(len(split)):
        total += int(split.clips[split.rows[index]].sum())
    after = _memory()
    pipe.send((after[0] - before[0], after[1] - before[1], len(split)))
    pipe.recv()


def _memory() -> tuple[float, float]:
    """Megabytes that are this process's own, and those with its share of what is common."""
    fields = dict[str, float]()
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        fields[name.rstrip(":")] = int(value) / 1e3
    # Clean pages of a file are the page cache's: they are given up when memory is short.
    return fields["Private_Dirty"], fields["Pss"]


if __name__ == "__main__":
    main()
