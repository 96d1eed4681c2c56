"""Decoding that keeps up: how many CPU cores a card wants, clips decoded a core beside clips trained."""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.gpu.given import Facts, Given
from benchmarks.gpu.throughput import networks
from proxy_train.video.video import Video
from proxy_train.video.writing import write_video
from search_space.architecture.parts import ClipShape

WIDTH, HEIGHT, FPS = 340, 256, 25


def write_videos(folder: Path, count: int, seconds: float) -> list[Path]:
    """Write H.264 videos of Kinetics' usual size, moving noise over a shade."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        shade = np.linspace(40, 200, WIDTH)[None, :, None] + rng.normal(0, 20, (HEIGHT, 1, 3))
        frames = [
            np.roll(shade, 2 * at, axis=1).clip(0, 255).astype(np.uint8) for at in range(round(seconds * FPS))
        ]
        paths.append(folder / f"{number}.mp4")
        write_video(paths[-1], frames, crf=26, fps=FPS)
    return paths


def decode_until(paths: list[Path], frames: int, size: int, fps: float, seconds: float) -> tuple[int, float]:
    """Decode clips on one thread, at least two, until the time is over; return their number and the time."""
    count, began = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - began < seconds:
        Video(paths[count % len(paths)]).read(fps, size, limit=frames)
        count += 1
    return count, time.perf_counter() - began


def rate(paths: list[Path], clip: ClipShape, processes: int, seconds: float) -> float:
    """Return the clips that so many processes decode a second, all together."""
    jobs = [(paths, clip.frames, clip.size, clip.fps, seconds)] * processes
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return sum(count / spent for count, spent in pool.starmap(decode_until, jobs, chunksize=1))


def run(given: Given) -> Facts:
    """Return clips decoded a second by one core and by all, and the cores that each network wants."""
    cores = len(os.sched_getaffinity(0))
    found: Facts = {"cores": cores, "source": f"H.264, {WIDTH}x{HEIGHT}, {FPS} a second"}
    trained = given.before.get("training", {})
    with tempfile.TemporaryDirectory() as name:
        paths = write_videos(Path(name), 2, 1.0 if given.quick else 10.0)
        for network in networks(given):
            clip = given.architecture(network).input
            seconds = 0.05 if given.quick else given.seconds / 8
            count, spent = decode_until(paths, clip.frames, clip.size, clip.fps, seconds)
            facts: Facts = {"clip": str(clip), "clips/s of a core": round(count / spent, 2)}
            if not given.quick:
                facts["clips/s of all cores"] = round(rate(paths, clip, cores, seconds), 2)
            if network in trained:
                facts["clips/s trained"] = trained[network]["ours clips/s"]["median"]
                facts["cores wanted"] = math.ceil(facts["clips/s trained"] / facts["clips/s of a core"])
            found[network] = facts
    return found
