"""Small encoded videos whose classes are colours, and a network that has learnt them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from proxy_train.clips.targets import head_for
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import prepare
from proxy_train.training.training import Training
from proxy_train.video.writing import write_video
from search_space.architecture.architecture import Architecture
from search_space.network.model import MoViNet

NETWORK = Architecture.parse("stream_4x16x8_s8_w16s2-33e32-a_h32x32")
COLOURS = {
    "blue": (30, 30, 200),
    "cyan": (30, 200, 200),
    "green": (30, 200, 30),
    "pink": (220, 120, 160),
    "red": (200, 30, 30),
}
SHAPES = ((24, 40), (40, 24), (32, 32))


def write_coloured(root: Path, *, train: int = 12, val: int = 10, seed: int = 0) -> None:
    """Write folders of classes below ``train`` and ``val``: noise, a colour in its middle, 4 to 14 frames."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for name in COLOURS:
            for number in range(count):
                path = root / split / name / f"{number}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, coloured_frames(name, rng, number), crf=12, fps=8, comment="")


def coloured_frames(name: str, rng: np.random.Generator, number: int) -> list[np.ndarray]:
    """Return the frames of a video of a colour."""
    height, width = SHAPES[number % len(SHAPES)]
    frames = []
    for _ in range(4 + 5 * (number % 3)):
        frame = rng.integers(0, 255, (height, width, 3))
        frame[4:-4, 4:-4] = np.array(COLOURS[name]) + rng.integers(-25, 26, 3)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def trained_network(root: Path, cache: Path, epochs: int = 8) -> MoViNet:
    """Train a small network on the videos of a folder."""
    dataset = load_dataset(DataSettings.model_validate({"kind": "folder", "root": root, "cache": cache}))
    clip = NETWORK.input
    data = prepare(dataset, frames=clip.frames, size=clip.size, fps=clip.fps, cache=cache)
    recipe = Recipe.model_validate({"batch_size": 10})
    training = Training(NETWORK, data, recipe, horizon=Fidelity(epochs, clip.frames, clip.size), seed=0)
    while training.epoch < epochs:
        training.train_epoch()
    assert training.model.classes == head_for(data).outputs
    return training.model.eval()
