"""Small encoded videos of a square that moves: classes that follow from motion alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from proxy_train.video.writing import write_video

MOTIONS: Mapping[str, tuple[int, int]] = {"right": (0, 2), "left": (0, -2), "down": (2, 0), "up": (-2, 0)}
SIDE, FRAMES = 24, 8


def square(
    motion: tuple[int, int], rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Frames (FRAMES, SIDE, SIDE, 3) of a bright square over a dim picture; it leaves at one side and returns
    at the other."""
    picture = rng.integers(0, 60, (SIDE, SIDE, 3))
    start, size = rng.integers(0, SIDE, 2), int(rng.integers(6, 9))
    colour = rng.integers(160, 256, 3)
    frames = np.empty((FRAMES, SIDE, SIDE, 3), np.uint8)
    for number in range(FRAMES):
        rows, columns = ((start[axis] + motion[axis] * number + np.arange(size)) % SIDE for axis in range(2))
        frames[number] = picture
        frames[number][np.ix_(rows, columns)] = colour
    return frames


def write_motions(
    root: Path,
    *,
    train: int = 24,
    val: int = 16,
    classes: Sequence[str] = tuple(MOTIONS),
    shuffled: bool = False,
    seed: int = 0,
) -> None:
    """Write folders of classes below ``train`` and ``val``.

    Args:
        root: folder of the data set.
        train: training videos a class.
        val: validation videos a class.
        classes: names of ``MOTIONS``.
        shuffled: whether videos lie in folders of classes that they do not belong to.
        seed: seed of the videos.
    """
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        names = [name for name in classes for _ in range(count)]
        labels = rng.permutation(names) if shuffled else names
        for number, (name, label) in enumerate(zip(names, labels, strict=True)):
            path = root / split / str(label) / f"{number:04d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, square(MOTIONS[name], rng), crf=20, fps=8, comment="")
