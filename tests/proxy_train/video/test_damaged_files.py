"""Damaged videos of many kinds: each is read or named, and none of them stops anything.

``MOVINAS_DAMAGED=500`` makes so many of each kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from proxy_train.data.check import check_dataset
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.store.prepared_data import prepare

EACH = int(os.environ.get("MOVINAS_DAMAGED", "5"))
Generator = np.random.Generator
KINDS = {
    "h264.mp4": ("libx264", {"g": "6"}),
    "ffv1.mkv": ("ffv1", {}),
    "mpeg4.avi": ("mpeg4", {"bf": "2", "g": "6"}),
    "h264.ts": ("libx264", {"g": "6"}),
    "mpeg2.mpg": ("mpeg2video", {"g": "6"}),
    "vp8.webm": ("libvpx", {"g": "6"}),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    "wmv2.asf": ("wmv2", {}),
    "flv1.flv": ("flv", {}),
    "mjpeg.mov": ("mjpeg", {}),
    "gif.gif": ("gif", {}),
}


def write(path: Path, codec: str, options: dict[str, str]) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 64, 64
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        stream.codec_context.thread_count = 1
        still = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        for shift in range(20):
            picture = av.VideoFrame.from_ndarray(np.roll(still, shift, 1), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def flipped(content: bytearray, rng: Generator) -> bytearray:
    for place in rng.integers(0, len(content), rng.integers(1, 20)):
        content[place] ^= 1 << int(rng.integers(8))
    return content


def header_filled(content: bytearray, rng: Generator) -> bytearray:
    for place in rng.integers(0, min(len(content), 600), rng.integers(1, 6)):
        content[place : place + 4] = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))] * 4)
    return content


def cut(content: bytearray, rng: Generator) -> bytearray:
    return content[: int(rng.integers(1, len(content)))]


def emptied(content: bytearray, rng: Generator) -> bytearray:
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 2000))
    content[at : at + size] = bytes(len(content[at : at + size]))
    return content


def moved(content: bytearray, rng: Generator) -> bytearray:
    at, to, size = (int(value) for value in (*rng.integers(0, len(content), 2), rng.integers(1, 2000)))
    piece = content[at : at + size]
    del content[at : at + size]
    content[to:to] = piece
    return content


def doubled(content: bytearray, rng: Generator) -> bytearray:
    at = int(rng.integers(len(content)))
    return content[:at] + content[at // 2 :]


DAMAGE: tuple[Callable[[bytearray, Generator], bytearray], ...] = (
    flipped,
    header_filled,
    cut,
    emptied,
    moved,
    doubled,
)


@pytest.mark.timeout(60 + 30 * EACH)
def test_damaged_files_are_read_or_named(tmp_path: Path) -> None:
    items = {"train": list[VideoItem](), "val": list[VideoItem]()}
    for number, (name, (codec, options)) in enumerate(KINDS.items()):
        write(tmp_path / name, codec, options)
        content = (tmp_path / name).read_bytes()
        for split, part in items.items():
            part.append(VideoItem(tmp_path / name, None, None, number % 2, f"{split} {name}", split))
        for seed in range(EACH):
            path = tmp_path / f"{seed} {name}"
            damage = DAMAGE[(seed + number) % len(DAMAGE)]
            path.write_bytes(damage(bytearray(content), np.random.default_rng([number, seed])))
            items["train"].append(VideoItem(path, None, None, number % 2, path.name, "train"))
    dataset = Dataset("damaged", {name: tuple(part) for name, part in items.items()}, ("a", "b"), False)
    found = check_dataset(dataset, workers=2)
    broken = dict(found.broken)
    assert not {name for name in broken if not name[0].isdigit()}, "whole files are read"
    assert all(name in reason for name, reason in broken.items()), "each reason names its file"
    assert found.videos + len(broken) == len(KINDS) * (2 + EACH)
    assert broken and found.videos > 2 * len(KINDS), "some damage shows, and some does not"
    data = prepare(dataset, frames=4, size=16, fps=12.5, cache=tmp_path / "cache", workers=2)
    lost = dict(data.broken)
    assert all(name[0].isdigit() and name in reason for name, reason in lost.items())
    assert len(data.split("train")) + len(data.split("val")) + len(lost) == len(KINDS) * (2 + EACH)
    whole = {name: data.split("val").clips[row] for row, name in enumerate(data.split("val").ids)}
    assert len(whole) == len(KINDS) and all(clip.std() > 5 for clip in whole.values())
