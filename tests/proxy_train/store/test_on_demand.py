"""Clips decoded on demand: the pixels, weights and figures of a store, without one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from proxy_train.clips.batches import Batches
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.distributed import Group
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store import building, decoding
from proxy_train.store.clip_origins import ClipOrigin, ClipOrigins, LostVideoError
from proxy_train.store.decoding import DecodeChunk, Decoded, decode_chunk
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.store.split import FrameRange
from proxy_train.training.training import Training
from proxy_train.video import shown_frames
from proxy_train.video.frame_folder import find_frames
from proxy_train.video.video import CRASHES, Video
from proxy_train.video.writing import write_video
from search_space.architecture.architecture import Architecture
from search_space.errors import DataError
from tests.proxy_train.store.grey_videos import Counter, grey_dataset, many
from tests.proxy_train.video_files import turn


def pictures(
    count: int, seed: int = 0, width: int = 50, height: int = 36
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Frames that all differ, with detail that coding does not lose altogether."""
    rng = np.random.default_rng(seed)
    field = rng.integers(0, 255, (height // 4 + 1, width // 4 + 20 + count, 3)).repeat(4, 0).repeat(4, 1)
    return np.stack([field[:height, 3 * at : 3 * at + width] for at in range(count)]).astype(np.uint8)


def write(
    path: Path,
    codec: str,
    options: dict[str, str],
    count: int,
    steps: list[int] | None = None,
    rate: int = 12,
) -> None:
    """A video of so many frames a second, or whose frames last so many milliseconds, in turn."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 50, 36, "yuv420p"
        stream.codec_context.thread_count = 1
        if steps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        now = 0
        for number, picture in enumerate(pictures(count)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if steps is not None:
                frame.pts, frame.time_base = now, Fraction(1, 1000)
                now += steps[number % len(steps)]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Videos of every kind that seeks and time stamps can go wrong with, and a part of one."""
    root = tmp_path_factory.mktemp("videos")
    videos = {
        "b_frames.mp4": ("libx264", {"g": "10", "bf": "3"}, 40),
        "vp9.webm": ("libvpx-vp9", {"g": "8", "cpu-used": "8", "deadline": "realtime"}, 30),
        "decoding_times_only.avi": ("mpeg4", {"g": "6"}, 30),
        "turned_long_group.mp4": ("libx264", {"g": "250", "bf": "0"}, 30),
        "b_frames_without_times.avi": ("libx264", {"g": "8", "bf": "2"}, 30),
        "no_index.ts": ("libx264", {"g": "8", "bf": "2"}, 30),
        "short.mp4": ("libx264", {"g": "4"}, 4),
    }
    for name, (codec, options, count) in videos.items():
        write(root / name, codec, options, count)
    turn(root / "turned_long_group.mp4")
    write(root / "variable_rate.mkv", "libx264", {"g": "7", "bf": "2"}, 40, [33, 200, 50, 95, 41])
    write(root / "seeks_mislead.mpg", "mpeg2video", {"g": "10", "bf": "2"}, 200, rate=25)
    (root / "images").mkdir()
    for number, picture in enumerate(pictures(30, 1)):
        Image.fromarray(picture).save(root / "images" / f"img_{number + 1:05d}.png")
    names = [*videos, "variable_rate.mkv", "seeks_mislead.mpg", "images"]
    train = [
        VideoItem(
            root / name,
            None,
            None,
            at % 2,
            name,
            "train",
            find_frames(root / name, 12) if name == "images" else None,
        )
        for at, name in enumerate(names)
    ]
    train.append(VideoItem(root / "b_frames.mp4", 0.7, 2.4, 1, "a piece", "train"))
    val = [replace(item, split="val", id=f"val {item.id}") for item in train[:4]]
    return Dataset(
        "kinds", {"train": tuple(train), "val": tuple(val)}, ("a", "b"), False, margin=0.125, seconds=2.0
    )


@pytest.fixture(scope="module")
def both(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedData, PreparedData]:
    """From a store, and on demand."""
    cache = tmp_path_factory.mktemp("cache")
    stored, on_demand = (
        prepare(dataset, frames=4, size=16, fps=7.5, cache=cache, on_demand=on_demand)
        for on_demand in (False, True)
    )
    return stored, on_demand


def origins(data: PreparedData) -> list[ClipOrigin]:
    found = data.split("train").origins
    assert found is not None
    return [found.origin(row) for row in data.split("train").rows.tolist()]


def test_every_stretch_has_the_pixels_of_the_store(both: tuple[PreparedData, PreparedData]) -> None:
    stored, on_demand = (data.split("train") for data in both)
    assert on_demand.on_demand and not stored.on_demand and not list(both[1].path.glob("*.npy"))
    assert on_demand.ids == stored.ids and on_demand.lengths.tolist() == stored.lengths.tolist()
    assert on_demand.labels.tolist() == stored.labels.tolist() and on_demand.side == stored.side == 18
    wanted = [
        FrameRange(index, start, 4)
        for index in range(len(stored))
        for start in range(max(1, int(stored.lengths[index]) - 3))
    ]
    assert len(wanted) > 80
    torch.set_num_threads(2)
    try:
        found = list(on_demand.read_all(wanted))
    finally:
        torch.set_num_threads(1)
    for stretch, frames in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(frames, stored.read(stretch), err_msg=str(stretch))


def test_facts_are_those_of_the_store(tmp_path: Path) -> None:
    dataset = grey_dataset(tmp_path, first=12, hollow=12, third=24, val=12)
    (tmp_path / "hollow.mp4").write_bytes(b"")
    stored, on_demand = (
        prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path, on_demand=on_demand)
        for on_demand in (False, True)
    )
    assert on_demand.broken == stored.broken and on_demand.broken[0][0] == "hollow"
    assert on_demand.split("train").ids == ("first", "third") and on_demand.identity == stored.identity
    assert on_demand.split("train").lengths.tolist() == stored.split("train").lengths.tolist() == [12, 12]
    with pytest.raises(DataError, match=r"hollow\.mp4.*data\.broken"):
        prepare(dataset, frames=4, size=16, fps=12, cache=tmp_path, on_demand=True, refuse_broken=True)


@pytest.mark.parametrize("recipe", [{}, {"policy": "autoaugment", "box_area": 0.3, "mixup": 0.2}])
def test_weights_and_figures_are_those_of_the_store(
    recipe: dict[str, object],
    both: tuple[PreparedData, PreparedData],
    small_architecture: Architecture,
    tmp_path: Path,
) -> None:
    network = small_architecture.with_input(replace(small_architecture.input, frames=4, size=16, fps=7.5))
    trained = []
    for number, data in enumerate(both):
        training = Training(
            network,
            data,
            Recipe.model_validate({"batch_size": 3} | recipe),
            horizon=Fidelity(3, 4, 16),
            seed=1,
            folder=tmp_path / str(number),
        )
        training.train_epoch()
        training.save()
        training.train_epoch()
        trained.append(training)
    one, other = trained
    assert one.model.state_dict().keys() == other.model.state_dict().keys()
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    assert one.evaluate() == other.evaluate()
    # Begun from the store, it goes on without.
    resumed = Training(
        network, both[1], one.recipe, horizon=Fidelity(3, 4, 16), seed=1, folder=tmp_path / "0"
    )
    resumed.train_epoch()
    assert torch.equal(resumed.model.stem.weight, other.model.stem.weight)


def test_several_processes_get_the_clips_of_the_store(both: tuple[PreparedData, PreparedData]) -> None:
    # The same clip eight times, so that only what is drawn for each place tells them apart.
    recipe, indices = Recipe(batch_size=8), np.zeros(8, np.int64)

    def clips(data: PreparedData, rank: int) -> torch.Tensor:
        return next(Batches(data, recipe, indices, 0, Group(rank, 2)).epoch(0)[1]).clips

    parts = [clips(both[1], rank) for rank in range(2)]
    for rank, part in enumerate(parts):
        assert torch.equal(part, clips(both[0], rank))
    assert len({clip.numpy().tobytes() for part in parts for clip in part}) == 8


def test_clips_are_decoded_ahead_and_in_order(
    both: tuple[PreparedData, PreparedData], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_demand = both[1].split("train")
    begun: list[int] = []
    read = ClipOrigins.read

    def counted(self: ClipOrigins, row: int, first: int, count: int, *, square: bool = True) -> object:
        begun.append(first)
        return read(self, row, first, count, square=square)

    monkeypatch.setattr(ClipOrigins, "read", counted)
    taken: list[int] = []

    def wanted() -> Iterator[FrameRange]:
        for start in range(9):
            taken.append(start)
            yield FrameRange(0, start, 4)

    found = on_demand.read_all(wanted())
    first = next(found)
    np.testing.assert_array_equal(first, both[0].split("train").read(FrameRange(0, 0, 4)))
    assert taken == [0, 1, 2], "one thread has two more to do"
    assert len(list(found)) == 8 and sorted(begun) == list(range(9))


def test_files_whose_seeks_mislead_are_decoded_in_a_row(
    dataset: Dataset, both: tuple[PreparedData, PreparedData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(origin.seek_is_exact for origin in origins(both[1]))
    seek = shown_frames._first_after_seek

    def misled(container: object, stream: object, decoded: object, start: float) -> object:
        return seek(container, stream, decoded, start + 0.5 * (start > 1))  # type: ignore[arg-type]

    monkeypatch.setattr(shown_frames, "_first_after_seek", misled)
    data = prepare(dataset, frames=4, size=16, fps=7.5, cache=tmp_path, on_demand=True)
    on_demand, stored = data.split("train"), both[0].split("train")
    assert not origins(data)[0].seek_is_exact
    for start in range(int(stored.lengths[0])):
        frame = FrameRange(0, start, 1)
        np.testing.assert_array_equal(on_demand.read(frame), stored.read(frame))


def test_frames_that_only_decoding_in_a_row_finds_are_not_lost(
    both: tuple[PreparedData, PreparedData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a last frame says nothing of how long it is on show."""
    read = Video.frames

    def fewer(*args: Any, seek: bool = True, **given: Any) -> Iterator[Any]:
        frames = read(*args, seek=seek, **given)
        return islice(frames, 2) if seek else frames

    monkeypatch.setattr(Video, "frames", fewer)
    stored, on_demand = (data.split("train") for data in both)
    np.testing.assert_array_equal(on_demand.read(FrameRange(0, 3, 4)), stored.read(FrameRange(0, 3, 4)))


def test_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = many(tmp_path, 41)
    with monkeypatch.context() as patch:
        Counter(patch, stop_after=2)
        with pytest.raises(KeyboardInterrupt):
            prepare(videos, frames=4, size=16, fps=12, cache=tmp_path, on_demand=True)
    counter = Counter(monkeypatch)
    data = prepare(videos, frames=4, size=16, fps=12, cache=tmp_path, on_demand=True)
    assert counter.videos == 41 - 32 and len(data.split("train")) == 40
    (data.path / "meta.json").write_text("{")
    again = prepare(videos, frames=4, size=16, fps=12, cache=tmp_path, on_demand=True)
    assert counter.videos == 41 - 32, "the journal has it all"
    assert origins(again) == origins(data)


def test_a_video_that_kills_its_decoder_has_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = grey_dataset(tmp_path, first=12, deadly=12, third=12, val=12)

    def killed(_: object, chunk: DecodeChunk) -> Decoded | None:
        return None if chunk.items[0].id == "deadly" else decode_chunk(chunk)

    monkeypatch.setattr(decoding, "run_in_process", killed)
    monkeypatch.setattr(
        building, "map_in_processes", lambda function, chunks, workers, blame: map(blame, chunks)
    )
    data = prepare(videos, frames=4, size=16, fps=12, cache=tmp_path, on_demand=True)
    assert data.broken == (("deadly", f"{tmp_path / 'deadly.mp4'}: {CRASHES}"),)
    third = data.split("train").read(FrameRange(1, 0, 4))
    assert (third.mean((1, 2, 3)) / 10).round().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("damage", "told"),
    [("gone", "no such file"), ("other", "has changed"), ("shorter", "frames are left of")],
)
def test_a_video_that_is_lost_is_named_and_training_goes_on_when_it_is_back(
    damage: str, told: str, small_architecture: Architecture, tmp_path: Path
) -> None:
    videos = grey_dataset(tmp_path, a=12, b=12, c=12, d=12, val=12, val2=12)
    data = prepare(videos, frames=8, size=32, fps=12, cache=tmp_path, on_demand=True)
    network = small_architecture.with_input(replace(small_architecture.input, fps=12))

    def training(folder: str) -> Training:
        recipe = Recipe(batch_size=2)
        return Training(network, data, recipe, horizon=Fidelity(2, 8, 32), seed=0, folder=tmp_path / folder)

    whole, cut = training("whole"), training("cut")
    whole.train_epoch()
    whole.train_epoch()
    cut.train_epoch()
    cut.save()
    path = tmp_path / "c.mp4"
    content, was = path.read_bytes(), path.stat().st_mtime_ns
    path.unlink()
    if damage != "gone":
        write_video(path, [np.full((24, 24, 3), 90, np.uint8)] * 5, crf=10, fps=12)
    if damage == "shorter":
        path.write_bytes(path.read_bytes().ljust(len(content), b"\0"))
        assert path.stat().st_size == len(content)
        os.utime(path, ns=(was, was))
    with pytest.raises(DataError, match=rf"c\.mp4: .*{told}.*put the video back"):
        cut.train_epoch()
    path.write_bytes(content)
    os.utime(path, ns=(was, was))
    resumed = training("cut")
    assert resumed.epoch == 1
    resumed.train_epoch()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_changed_video_is_measured_again(tmp_path: Path) -> None:
    def data() -> PreparedData:
        # Listed anew: a listing knows its files as they were.
        return prepare(replace(videos), frames=4, size=16, fps=12, cache=tmp_path, on_demand=True)

    videos = grey_dataset(tmp_path, a=12, b=12, val=12)
    first = data()
    assert data().path == first.path
    write_video(tmp_path / "b.mp4", [np.full((24, 24, 3), 90, np.uint8)] * 7, crf=10, fps=12)
    again = data()
    assert again.path != first.path and again.split("train").lengths.tolist() == [12, 7]


def test_frames_left_out_change_no_other(dataset: Dataset) -> None:
    for item in dataset.items["train"]:
        whole = list(Video(item.path, item.frames).frames(7.5, 18, start=0.31))
        for first in (1, len(whole) // 2, len(whole) - 1):
            for seek in (True, False):
                found = Video(item.path, item.frames).frames(7.5, 18, start=0.31, first=first, seek=seek)
                np.testing.assert_array_equal(list(islice(found, 3)), whole[first : first + 3])


WRITTEN = {
    "meta.json": """{
"name": "grey", "digest": "c89626912202a6db", "classes": ["a", "b"], "frames": 4, "size": 16, "side": 16,
"fps": 12, "flips_change_labels": false, "labels_kind": "single", "verbs": 0, "direct": true, "broken": [],
"doubtful": [], "splits": {
  "train": {"ids": ["first"], "labels": [0], "lengths": [12], "checksums": [3501393822],
            "places": 1313838976},
  "val": {"ids": ["val"], "labels": [1], "lengths": [12], "checksums": [3501393822], "places": 2921219359}
}, "checksum": 3296460534}""",
    "train.jsonl": '["/videos/first.mp4", 0.0, null, null, true, 1940, 1795983990343902239]\n',
    "val.jsonl": '["/videos/val.mp4", 0.0, null, null, true, 1940, 1795983990351971530]\n',
}


def test_data_that_is_prepared_already_is_opened(tmp_path: Path) -> None:
    for name, text in WRITTEN.items():
        (tmp_path / name).write_text(text)
    data = PreparedData.open(tmp_path)
    train = data.split("train")
    assert (data.name, data.classes, data.fps, data.labels_kind) == ("grey", ("a", "b"), 12, "single")
    assert train.on_demand and train.ids == ("first",) and train.labels.tolist() == [0]
    path = Path("/videos/first.mp4")
    assert origins(data) == [ClipOrigin(path, 0.0, None, None, True, 1940, 1795983990343902239)]
    with pytest.raises(LostVideoError, match="no such file"):
        train.read(FrameRange(0, 0, 4))
