"""Ten clips x three crops of many videos: `movinas evaluate` against a plain loop over `predict`.

    python -m benchmarks.evaluation_speed [--cache /tmp/movinas-evaluation] [--videos 1000] [--seconds 4]

The videos are made first: a camera over photographs with noise, H.264 of 340x256 pixels at 25 frames a
second. Both ways score the same videos with the same network, A0-base for clips of 16 frames of 112 pixels,
and the same number of threads, block by block in turns, so that what else the machine does falls on both; the
data that `predict` needs is prepared beforehand and not counted. Ratios are of wall and of CPU time, over all
blocks. Peak memory is that of a process of its own that evaluates, for a tenth of the videos and for all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.on_demand_speed import write_videos
from proxy_train.clips.views import Views
from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.evaluation import predict
from proxy_train.evaluation.scoring import score_videos
from proxy_train.evaluation.video_views import ViewReader
from proxy_train.store.prepared_data import PreparedData, prepare
from results.evaluation.classifiers import TorchClassifier
from results.inference.memory import peak_bytes
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.network.allocator import retain_freed_memory
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build

VIEWS, BLOCK, DIFFERENT = Views(10, 3), 5, 48
CLIP = ClipShape(16, 112, 5)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("/tmp/movinas-evaluation"))
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--compared", type=int, default=40, help="videos that both ways score")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--alone", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    retain_freed_memory()
    root = options.cache / f"videos-{options.videos}-{options.seconds}s"
    write_many(root, options.videos, options.seconds)
    settings = DataSettings.model_validate({"kind": "folder", "root": root, "cache": options.cache})
    dataset = load_dataset(settings)
    items = tuple(item for part in dataset.items.values() for item in part)
    network = build(published("A0-base").with_input(CLIP), len(dataset.classes), seed=0).eval()
    if options.alone:
        alone(replace(dataset, items={"val": items[: options.alone]}), network, options.threads)
        return
    # First, while this process is small: Linux counts its peak as that of a process that it starts.
    for count in (options.videos // 10, options.videos):
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.evaluation_speed", *sys.argv[1:], "--alone", str(count)],
            check=True,
            capture_output=True,
        )
        print(json.loads(found.stdout.splitlines()[-1]))
    compare(replace(dataset, items={"train": items[:2], "val": items[: options.compared]}), network, options)


def write_many(root: Path, count: int, seconds: int) -> None:
    """Writes a few dozen videos, and links to them, each a video of its own to whatever reads it."""
    write_videos(root, min(count, DIFFERENT), seconds=seconds)
    for number in range(DIFFERENT, count):
        split, class_ = "val" if number % 8 < 2 else "train", f"class{number % 2}"
        path = root / split / class_ / f"{number}.mp4"
        if not path.exists():
            path.hardlink_to(path.with_name(f"{number % DIFFERENT}.mp4"))


def evaluated(dataset: Dataset, network: MoViNet, threads: int) -> np.ndarray:
    """Return the logits of the validation videos by the way of `movinas evaluate`."""
    head = Head.single_label(len(dataset.classes))
    classifier = TorchClassifier(network, CLIP.frames, CLIP.size, stream=False, device="cpu", threads=threads)
    reader = ViewReader.of(dataset, CLIP, VIEWS)
    scores = score_videos(dataset.items["val"], reader, classifier, head, threads=threads)
    return np.stack([scored.logits for scored in scores if scored.logits is not None])


def alone(dataset: Dataset, network: MoViNet, threads: int) -> None:
    """Evaluates alone, and prints the peak memory of this process."""
    before = time.perf_counter()
    evaluated(dataset, network, threads)
    seconds, count = time.perf_counter() - before, len(dataset.items["val"])
    peak = peak_bytes() / 2**30
    print(json.dumps({"videos": count, "a second": round(count / seconds, 3), "peak GiB": round(peak, 3)}))


def compare(dataset: Dataset, network: MoViNet, options: argparse.Namespace) -> None:
    """Scores blocks of videos both ways in turns, and prints how much faster one is."""
    data = prepare(dataset, frames=CLIP.frames, size=CLIP.size, fps=CLIP.fps, cache=options.cache, workers=2)
    wall, cpu, largest = np.zeros(2), np.zeros(2), 0.0
    items, lengths = dataset.items["val"], data.split("val").lengths
    for first in range(0, len(items), BLOCK):
        block = slice(first, first + BLOCK)
        part = replace(dataset, items={"val": items[block]})
        ways: list[Callable[[], np.ndarray]] = [
            lambda block=block: probabilities(predict(network, some(data, block), views=VIEWS).logits),  # type: ignore[misc]
            lambda part=part: probabilities(evaluated(part, network, options.threads)),  # type: ignore[misc]
        ]
        found = []
        for way, score in enumerate(ways):
            before = time.perf_counter(), time.process_time()
            found.append(score())
            wall[way] += time.perf_counter() - before[0]
            cpu[way] += time.process_time() - before[1]
        largest = max(largest, float(np.abs(found[0] - found[1]).max()))
    different = [len(set(VIEWS.starts(int(length), CLIP.frames))) for length in lengths]
    count = len(items)
    print(
        f"{count} videos of {options.seconds} s, {VIEWS.count} views each ({np.mean(different):.1f} of "
        f"{VIEWS.clips} clips differ), {options.threads} threads: {count / wall[0]:.3f} videos a second by "
        f"predict, {count / wall[1]:.3f} by evaluate, {wall[0] / wall[1]:.2f} times (CPU time "
        f"{cpu[0] / cpu[1]:.2f} times); probabilities differ by {largest:.1e} at most"
    )


def some(data: PreparedData, block: slice) -> PreparedData:
    """Return prepared data with some of its validation videos."""
    split = data.split("val")
    part = replace(
        split,
        rows=split.rows[block],
        labels=split.labels[block],
        lengths=split.lengths[block],
        ids=split.ids[block],
    )
    return replace(data, splits={"val": part})


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


if __name__ == "__main__":
    main()
