"""Stores of earlier versions: used where they hold what they would hold today, refused where they do not."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.store import earlier_reading
from proxy_train.store.earlier_reading import was_read_otherwise
from proxy_train.store.meta import READING, read_meta, write_meta
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.video import Video
from proxy_train.video.writing import write_video
from tests.proxy_train.store.grey_videos import Counter, grey_dataset
from tests.proxy_train.video_files import turn


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write a display matrix into an mp4 file."""
    content, one = bytearray(path.read_bytes()), 1 << 16
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def as_of_earlier(data: PreparedData) -> None:
    """Make a store look like one of version 0.1.0."""
    write_meta(data.path, replace(read_meta(data.path), reading=1))
    content = json.loads((data.path / "meta.json").read_text())
    assert content["reading"] == 1


@pytest.mark.parametrize("on_demand", [False, True])
def test_a_store_that_would_be_the_same_is_used_on(
    on_demand: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = grey_dataset(tmp_path, a=12, b=12, val=12)
    turn(tmp_path / "b.mp4")

    def data() -> PreparedData:
        return prepare(videos, frames=4, size=16, fps=12, cache=tmp_path, on_demand=on_demand)

    first = data()
    as_of_earlier(first)
    counter = Counter(monkeypatch)
    assert data().path == first.path and counter.videos == 0
    assert read_meta(first.path).reading == READING
    monkeypatch.setattr(earlier_reading, "map_in_processes", None)
    assert data().path == first.path, "its videos are looked at once"


@pytest.mark.parametrize("on_demand", [False, True])
def test_a_store_of_a_mirrored_video_is_made_anew_beside_it(on_demand: bool, tmp_path: Path) -> None:
    videos = grey_dataset(tmp_path, a=12, b=12, val=12)
    set_matrix(tmp_path / "b.mp4", -1, 0, 0, 1)

    def data(*, on_demand: bool = on_demand) -> PreparedData:
        return prepare(videos, frames=4, size=16, fps=12, cache=tmp_path, on_demand=on_demand)

    first = data()
    as_of_earlier(first)
    again = data()
    assert again.path != first.path and again.identity != first.identity, "no training goes on with the other"
    assert PreparedData.open(first.path).identity == first.identity
    assert data().path == again.path
    assert data(on_demand=not on_demand).identity == again.identity


def test_begun_work_of_an_earlier_version_is_begun_anew(tmp_path: Path) -> None:
    videos = grey_dataset(tmp_path, a=12, b=12, val=12)
    data = prepare(videos, frames=4, size=16, fps=12, cache=tmp_path)
    right = np.array(data.split("train").clips)
    as_of_earlier(data)
    (data.path / "decoded-2.jsonl").rename(data.path / "decoded.jsonl")
    (data.path / "meta.json").unlink()
    clips = np.load(data.path / "train.npy", mmap_mode="r+")
    clips[:] = 7
    clips.flush()
    again = prepare(videos, frames=4, size=16, fps=12, cache=tmp_path)
    np.testing.assert_array_equal(again.split("train").clips, right)


def mp4(path: Path) -> Path:
    write_video(path, [np.full((24, 32, 3), 90, np.uint8)] * 4, crf=20, fps=8)
    return path


def with_matrix(*matrix: int) -> Callable[[Path], Video]:
    def write(folder: Path) -> Video:
        set_matrix(mp4(folder / "a.mp4"), *matrix)
        return Video(folder / "a.mp4")

    return write


def images(mode: str, orientation: int) -> Callable[[Path], Video]:
    def write(folder: Path) -> Video:
        exif = Image.Exif()
        exif[274] = orientation
        pixels = np.full((24, 32), 900, np.uint16) if mode == "deep" else np.full((24, 32, 3), 90, np.uint8)
        for number in (1, 2):
            Image.fromarray(pixels).save(folder / f"{number}.png", exif=exif)
        return Video(folder, FrameFiles("%d.png", 1, 2, 8))

    return write


def container(name: str) -> Callable[[Path], Video]:
    def write(folder: Path) -> Video:
        (folder / name).write_bytes(mp4(folder / "a.mp4").read_bytes())
        return Video(folder / name)

    return write


@pytest.mark.parametrize(
    ("write", "other"),
    [
        (container("plain.mp4"), False),
        (with_matrix(0, 1, -1, 0), False),
        (with_matrix(-1, 0, 0, -1), False),
        (with_matrix(-1, 0, 0, 1), True),
        (with_matrix(0, 1, 1, 0), True),
        (images("plain", 1), False),
        (images("plain", 6), True),
        (images("deep", 1), True),
    ],
    ids=["plain", "quarter", "half", "mirrored", "axes swapped", "images", "turned images", "deep images"],
)
def test_what_earlier_versions_read_otherwise(
    write: Callable[[Path], Video], other: bool, tmp_path: Path
) -> None:
    assert was_read_otherwise(write(tmp_path)) == other


def test_what_cannot_be_read_is_not_in_the_way(tmp_path: Path) -> None:
    assert not was_read_otherwise(Video(tmp_path / "missing.mp4"))
    (tmp_path / "empty.mp4").touch()
    assert not was_read_otherwise(Video(tmp_path / "empty.mp4"))
    items = {"train": (VideoItem(tmp_path / "missing.mp4", None, None, 0, "a", "train"),)}
    assert not earlier_reading.is_outdated(
        tmp_path, [item.video for item in Dataset("d", items, ("a",), False).items["train"]], 1
    )
