"""Prepared data: whole or not there, found again, shared by path, broken videos listed."""

from __future__ import annotations

import pickle
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from proxy_train.data.dataset import Dataset
from proxy_train.store import building, decoding, prepared_data
from proxy_train.store.building import building_folder
from proxy_train.store.decoding import DecodeChunk, Decoded, decode_chunk
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.video.video import CRASHES, Video
from search_space.errors import DataError
from tests.proxy_train.store.grey_videos import Counter, grey_dataset, many


def test_clips_equal_what_is_decoded(tiny_dataset: Dataset, tiny_data: PreparedData) -> None:
    for name in ("train", "val", "test"):
        part = tiny_data.split(name)
        items = tiny_dataset.items[name]
        assert part.labels.tolist() == [item.label for item in items]
        assert part.ids == tuple(item.id for item in items)
        for index in (0, len(items) - 1):
            frames = Video(items[index].path).read(4, 32)
            np.testing.assert_array_equal(part.clips[part.rows[index]], frames)
    assert tiny_data.classes == tiny_dataset.classes


def test_store_is_found_again_and_pickles_as_a_path(
    tiny_dataset: Dataset, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_data, "decode_all", None)
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

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepared_data, "_write_facts", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert len(prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path).split("train")) == 1


def test_an_interrupted_build_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = many(tmp_path, 41)
    expected = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path / "other")
    with monkeypatch.context() as patch:
        Counter(patch, stop_after=2)
        with pytest.raises(KeyboardInterrupt):
            prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    left = building_folder(tmp_path / "prepared" / expected.path.name)
    with (left / "decoded-2.jsonl").open("a") as journal:
        journal.write('{"split": "train", "fir')
    seen: list[tuple[int, int]] = []
    second = Counter(monkeypatch)
    data = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path, progress=lambda *n: seen.append(n))
    assert second.videos == 41 - 32 and seen[0] == (32, 41) and seen[-1] == (41, 41)
    np.testing.assert_array_equal(data.split("train").clips, expected.split("train").clips)
    assert data.split("train").ids == expected.split("train").ids
    assert sorted(path.name for path in data.path.parent.iterdir()) == [data.path.name]


def test_what_did_not_reach_the_disk_is_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = many(tmp_path, 41)
    with monkeypatch.context() as patch:
        Counter(patch, stop_after=2)
        with pytest.raises(KeyboardInterrupt):
            prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    (file,) = (tmp_path / "prepared").glob(".*/train.npy")
    np.lib.format.open_memmap(file, mode="r+")[3] = 0
    second = Counter(monkeypatch)
    data = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert second.videos == 41 - 16
    assert (data.split("train").clips[3, :4].mean((1, 2, 3)) > 5).all()


def test_a_damaged_store_is_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = many(tmp_path, 41)
    path = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path).path
    np.lib.format.open_memmap(path / "train.npy", mode="r+")[20, 1, 5, 5, 0] ^= 1
    with pytest.raises(DataError, match=r"train\.npy: damaged at video train21"):
        PreparedData.open(path)
    counter = Counter(monkeypatch)
    data = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert counter.videos == 16, "one chunk"
    again = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path / "other")
    np.testing.assert_array_equal(data.split("train").clips, again.split("train").clips)


@pytest.mark.parametrize("name", ["meta.json", "train.npy", "val.npy", "train.jsonl"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_truncated_and_missing_files_of_a_store_are_mended(tmp_path: Path, name: str, part: float) -> None:
    dataset = grey_dataset(tmp_path, first=12, second=12, val=12)
    path = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path).path
    expected = (path / name).read_bytes()
    (path / name).write_bytes(expected[: int(part * len(expected))])
    with pytest.raises(DataError, match=rf"{name}.*damaged"):
        PreparedData.open(path)
    prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert (path / name).read_bytes() == expected
    (path / name).unlink()
    prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert (path / name).read_bytes() == expected


def test_changed_facts_of_a_store_are_noticed(tmp_path: Path) -> None:
    path = prepare(grey_dataset(tmp_path, a=12, b=12, val=12), frames=4, size=16, fps=12, cache=tmp_path).path
    text = (path / "meta.json").read_text()
    (path / "meta.json").write_text(text.replace('"fps": 12', '"fps": 13'))
    with pytest.raises(DataError, match=r"meta\.json: damaged"):
        PreparedData.open(path)


def test_a_copied_store_is_read_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = grey_dataset(tmp_path, first=12, second=12, val=12)
    path = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path).path
    copy = shutil.copytree(path, tmp_path / "copy")
    (copy / "verified.json").unlink()
    PreparedData.open(copy)
    monkeypatch.setattr(prepared_data, "checksum", None)
    PreparedData.open(copy)


def test_two_processes_share_the_work_of_one(tmp_path: Path) -> None:
    dataset = grey_dataset(tmp_path, first=12, second=12, val=12)
    found: list[PreparedData] = []

    def make() -> None:
        found.append(prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len({data.path for data in found}) == 1 and len(found) == 4
    assert [path.name for path in found[0].path.parent.iterdir()] == [found[0].path.name]


def test_a_video_that_kills_its_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = grey_dataset(tmp_path, first=12, deadly=12, third=12, val=12)

    def killed(_: object, chunk: DecodeChunk) -> Decoded | None:
        return None if chunk.items[0].id == "deadly" else decode_chunk(chunk)

    def each(
        function: object, chunks: list[DecodeChunk], workers: int, blame: Callable[[DecodeChunk], Decoded]
    ) -> object:
        return map(blame, chunks)

    monkeypatch.setattr(decoding, "run_in_process", killed)
    monkeypatch.setattr(building, "map_in_processes", each)
    data = prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path)
    assert data.broken == (("deadly", f"{tmp_path / 'deadly.mp4'}: {CRASHES}"),)
    assert data.split("train").ids == ("first", "third")
    assert (data.split("train").clips[2, :12].mean((1, 2, 3)) > 5).all()


def test_lengths_are_those_of_the_frames_not_of_the_header(tmp_path: Path) -> None:
    dataset = grey_dataset(tmp_path, long=24, val=12)
    path = tmp_path / "long.mp4"
    # Matroska without its duration, as a recording that was cut off has it; the element is "D\x89\x88".
    with av.open(path) as source, av.open(tmp_path / "long.mkv", "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    content = (tmp_path / "long.mkv").read_bytes()
    assert content.count(b"D\x89\x88") == 1
    told = content.replace(b"D\x89\x88", b"\xec\x81\x88")  # an element to skip, of one byte
    for name, change in {"none": told, "cut": content[: int(0.7 * len(content))]}.items():
        path.unlink(missing_ok=True)
        (tmp_path / f"{name}.mkv").write_bytes(change)
        item = replace(dataset.items["train"][0], path=tmp_path / f"{name}.mkv", id=name)
        data = prepare(
            replace(dataset, items={**dataset.items, "train": (item,)}),
            frames=4,
            size=16,
            fps=12,
            cache=tmp_path,
        )
        clip = data.split("train").clips[0, : data.split("train").lengths[0]]
        levels = (clip.mean((1, 2, 3)) / 10).round().astype(int).tolist()
        if name == "none":
            assert levels == list(range(7, 19)), "the middle of what is there"
            assert data.doubtful == ()
        else:
            assert levels == list(range(1, 1 + len(levels))), "what is left, less than a second"
            assert data.doubtful[0][0] == "cut" and "its header says 2.00 s" in data.doubtful[0][1]


def test_a_full_disk_is_said_beforehand(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs .* GB, .* GB are free"):
        prepare(tiny_dataset, frames=10**6, size=1024, fps=4, cache=tmp_path)


def test_missing_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prepared data"):
        PreparedData.open(tmp_path)


def test_preparing_opens_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = grey_dataset(tmp_path / "videos", long=24, short=6, val=24)
    opened: list[Path] = []

    def counting(file: Path, **options: Any) -> Any:
        opened.append(file)
        return real(file, **options)

    real = av.open
    monkeypatch.setattr(av, "open", counting)
    prepare(dataset, frames=4, size=16, fps=7.5, cache=tmp_path)
    assert sorted(opened) == sorted(item.path for items in dataset.items.values() for item in items)


@pytest.mark.parametrize("target", ["unmounted/disk", "file"])
def test_a_cache_that_cannot_be_written_is_refused(target: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "cache").symlink_to(target)
    with pytest.raises(DataError, match=r"cannot be written: .*cache is a (link to|file)"):
        prepare(many(tmp_path / "videos", 2), frames=4, size=16, fps=7.5, cache=tmp_path / "cache")


def test_a_cache_that_only_seems_writable_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.mkdir

    def refused(path: Path, *args: Any, **named: Any) -> None:
        if path.name.endswith(".building"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        real(path, *args, **named)

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(DataError, match="prepared cannot be written: No such file or directory"):
        prepare(many(tmp_path / "videos", 2), frames=4, size=16, fps=7.5, cache=tmp_path)
