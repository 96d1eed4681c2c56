"""Prepared data: whole or not there, found again, shared by path, broken videos listed."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path

import numpy as np
import pytest

from proxy_train import store, video
from proxy_train.moving_digits import encode
from proxy_train.store import PreparedData, prepare
from proxy_train.video_item import Dataset, VideoItem
from search_space.errors import DataError


def grey_dataset(root: Path, **frames: int) -> Dataset:
    """Videos of 12 frames a second, each as long as said, by name; every second one is of class b."""
    items: dict[str, list[VideoItem]] = {"train": [], "val": []}
    for number, (name, count) in enumerate(frames.items()):
        path = root / f"{name}.mp4"
        root.mkdir(parents=True, exist_ok=True)
        levels = [np.full((24, 24, 3), 10 * level, np.uint8) for level in range(1, count + 1)]
        encode(path, levels, crf=10, fps=12)
        split = "val" if name.startswith("val") else "train"
        items[split].append(VideoItem(path, None, None, number % 2, name, split))
    return Dataset("grey", {k: tuple(v) for k, v in items.items()}, ("a", "b"), False, seconds=1.0)


def test_clips_equal_what_is_decoded(tiny_dataset: Dataset, tiny_data: PreparedData) -> None:
    for name in ("train", "val", "test"):
        part = tiny_data.split(name)
        items = tiny_dataset.items[name]
        assert part.labels.tolist() == [item.label for item in items]
        assert part.ids == tuple(item.id for item in items)
        for index in (0, len(items) - 1):
            frames = video.read_frames(items[index].path, None, None, 4, 32)
            np.testing.assert_array_equal(part.clips[part.rows[index]], frames)
    assert tiny_data.classes == tiny_dataset.classes


def test_store_is_found_again_and_pickles_as_a_path(
    tiny_dataset: Dataset, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_decode_all", None)
    again = prepare(tiny_dataset, frames=8, size=32, fps=4, cache=tiny_data.path.parents[1])
    assert again.path == tiny_data.path
    content = pickle.dumps(tiny_data)
    assert len(content) < 500
    copied: PreparedData = pickle.loads(content)
    assert copied.path == tiny_data.path
    assert not copied.split("train").clips.flags.writeable


def test_workers_and_progress_change_nothing(
    tiny_dataset: Dataset, tiny_data: PreparedData, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    together = prepare(
        tiny_dataset,
        frames=8,
        size=32,
        fps=4,
        cache=tmp_path,
        workers=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert together.path.name == tiny_data.path.name
    np.testing.assert_array_equal(together.split("train").clips, tiny_data.split("train").clips)
    assert seen[0] == (0, 64) and seen[-1] == (64, 64)


def test_other_sizes_are_other_stores(tiny_dataset: Dataset, tiny_data: PreparedData) -> None:
    other = prepare(tiny_dataset, frames=8, size=24, fps=4, cache=tiny_data.path.parents[1])
    assert other.path != tiny_data.path
    assert other.split("val").clips.shape[2:] == (24, 24, 3)


def test_long_videos_keep_their_middle_and_short_ones_their_length(tmp_path: Path) -> None:
    data = prepare(
        grey_dataset(tmp_path, long=24, short=5, val=12), frames=4, size=16, fps=12, cache=tmp_path
    )
    part = data.split("train")
    assert part.lengths.tolist() == [12, 5]
    levels = (part.clips[0].mean((1, 2, 3)) / 10).round().astype(int).tolist()
    assert levels == list(range(7, 19)), "one second in the middle of two"


def test_broken_videos_are_skipped_by_name_or_refused(tmp_path: Path) -> None:
    dataset = grey_dataset(tmp_path, first=12, hollow=12, third=12, val=12)
    (tmp_path / "hollow.mp4").write_bytes(b"")
    data = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert data.broken == (("hollow", f"{tmp_path / 'hollow.mp4'}: the file is empty"),)
    part = data.split("train")
    assert part.ids == ("first", "third") and part.rows.tolist() == [0, 2]
    with pytest.raises(DataError, match=r"hollow\.mp4.*data\.broken"):
        prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path, refuse_broken=True)


def test_nothing_readable_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    dataset = grey_dataset(tmp_path, first=12, val=12)
    (tmp_path / "val.mp4").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no readable video in its val split"):
        prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert list((tmp_path / "prepared").iterdir()) == []


def test_an_interrupted_build_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = grey_dataset(tmp_path, first=12, val=12)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_meta", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert len(prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path).split("train")) == 1


def test_what_a_killed_build_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = grey_dataset(tmp_path, first=12, val=12)
    whole = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path).path
    left = whole.parent / f".{whole.name}.{socket.gethostname()}.99999999"
    whole.rename(left)
    prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert sorted(path.name for path in whole.parent.iterdir()) == [whole.name]


def test_a_full_disk_is_said_beforehand(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs .* GB, .* GB are free"):
        prepare(tiny_dataset, frames=10**6, size=1024, fps=4, cache=tmp_path)


def test_missing_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prepared data"):
        PreparedData.open(tmp_path)
