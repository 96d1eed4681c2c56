"""What ``check`` counts and reports."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from proxy_train.data.check import check_dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.store.prepared_data import prepare
from proxy_train.video.live import pictures
from proxy_train.video.picture import DecodedPicture, picture
from proxy_train.video.writing import write_video
from search_space.errors import DataError


def write(path: Path, frames: int, width: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, np.zeros((frames, 32, width, 3), np.uint8), crf=30, fps=10)


@pytest.mark.parametrize("workers", [1, 2])
def test_counts_durations_and_broken_files(tmp_path: Path, workers: int) -> None:
    for number in range(20):
        write(tmp_path / f"train/run/{number}.mp4", 10)
    write(tmp_path / "train/jump/a.mp4", 20, width=64)
    write(tmp_path / "val/run/b.mp4", 40)
    (tmp_path / "val/jump").mkdir()
    (tmp_path / "val/jump/hollow.mp4").touch()
    (tmp_path / "val/jump/notes.txt").write_text("hello")
    seen: list[tuple[int, int]] = []
    dataset = load_dataset(DataSettings(kind="folder", root=tmp_path))
    result = check_dataset(dataset, workers=workers, progress=lambda done, total: seen.append((done, total)))
    assert result.counts == {
        "train": {"jump": 1, "run": 20},
        "val": {"jump": 0, "run": 1},
        "test": {"jump": 0, "run": 0},
    }
    assert result.videos == 22
    assert result.empty == (("val", "jump"),)
    assert [
        round(value, 3) for value in (result.seconds.low, result.seconds.median, result.seconds.high)
    ] == [1, 1, 4]
    assert result.fps.median == pytest.approx(10)
    assert list(result.sizes.items()) == [((32, 32), 21), ((64, 32), 1)]
    assert [name for name, _ in result.broken] == ["val/jump/hollow.mp4"]
    assert "empty" in result.broken[0][1]
    assert "notes.txt" in result.dropped[0][0]
    assert seen[0] == (0, 23) and seen[-1] == (23, 23)


def noise(path: Path, *, aspect: Fraction = Fraction(1), matrix: tuple[int, ...] = (1, 0, 0, 1)) -> None:
    """An mp4 of noise whose header says how it is to be shown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for seed in range(4):
            pixels = np.random.default_rng(seed).integers(0, 255, (32, 48, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    content, (a, b, c, d) = bytearray(path.read_bytes()), (value << 16 for value in matrix)
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Videos that libswscale cannot convert, among others."""
    for split in ("train", "val"):
        noise(tmp_path / split / "a/fine.mp4")
        noise(tmp_path / split / "b/fine.mp4")
    for kind in ("bgr4", "rgb4"):
        path = tmp_path / f"train/a/{kind}.mkv"
        with av.open(path, "w", format="nut") as file:
            stream = file.add_stream("rawvideo", rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 48, 32, kind
            file.mux([*stream.encode(av.VideoFrame(48, 32, kind)), *stream.encode()])
    return tmp_path


@pytest.mark.parametrize("on_demand", [False, True])
def test_pictures_that_cannot_be_converted_are_their_files(odd: Path, on_demand: bool) -> None:
    dataset = load_dataset(DataSettings(kind="folder", root=odd))
    broken = check_dataset(dataset).broken
    assert [name for name, _ in broken] == ["train/a/bgr4.mkv", "train/a/rgb4.mkv"]
    for name, reason in broken:
        kind = Path(name).stem
        assert name in reason and f"({kind}) cannot be converted: Operation not supported" in reason
    data = prepare(dataset, frames=4, size=16, fps=10, cache=odd / "cache", on_demand=on_demand)
    assert data.broken == broken and len(data.split("train")) == 2
    with pytest.raises(DataError, match=r"bgr4\.mkv.*cannot be converted"):
        list(pictures(str(odd / "train/a/bgr4.mkv"), 10, 16))


@pytest.mark.parametrize("error", [OSError(95, "Operation not supported"), ValueError("no such format")])
def test_any_error_of_a_conversion_is_the_files(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train/a/1", "train/b/1", "val/a/1", "val/b/1"):
        noise(tmp_path / f"{name}.mp4")
    noise(tmp_path / "train/a/odd.mp4", aspect=Fraction(4, 3))

    def refuse(decoded: DecodedPicture, *args: Any, **named: Any) -> Any:
        if decoded.aspect != 1:
            raise error
        return picture(decoded, *args, **named)

    for module in ("observations", "video"):
        monkeypatch.setattr(f"proxy_train.video.{module}.picture", refuse)
    dataset = load_dataset(DataSettings(kind="folder", root=tmp_path))
    assert [name for name, _ in check_dataset(dataset).broken] == ["train/a/odd.mp4"]
    data = prepare(dataset, frames=4, size=16, fps=10, cache=tmp_path / "cache")
    assert [name for name, _ in data.broken] == ["train/a/odd.mp4"]


def test_how_files_are_shown_is_counted(tmp_path: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "clockwise": {"matrix": (0, 1, -1, 0)},
        "half": {"matrix": (-1, 0, 0, -1)},
        "mirror": {"matrix": (-1, 0, 0, 1)},
        "both": {"matrix": (0, 1, 1, 0)},
        "wide": {"aspect": Fraction(16, 11)},
        "high": {"aspect": Fraction(1, 2), "matrix": (0, -1, 1, 0)},
    }
    for name, way in ways.items():
        noise(tmp_path / f"train/a/{name}.mp4", **way)
        noise(tmp_path / f"val/b/{name}.mp4", **way)
    result = check_dataset(load_dataset(DataSettings(kind="folder", root=tmp_path), trainable=False))
    assert (result.turned, result.mirrored, result.stretched) == (8, 4, 4)
    assert "turned: 8, mirrored: 4, stretched: 4" in result.text()
    assert result.broken == result.doubtful == result.plain == ()


def test_files_of_one_colour_are_named(tmp_path: Path) -> None:
    levels = {"black": [0] * 6, "green": [90] * 6, "fade": [0, 0, 0, 60, 120, 180], "late": [90] * 5 + [200]}
    for name, each in levels.items():
        for place in (f"train/a/{name}.mp4", f"val/b/{name}.mp4"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            frames = [np.full((32, 48, 3), (level, level // 2, 0), np.uint8) for level in each]
            write_video(tmp_path / place, frames, crf=20, fps=10)
    result = check_dataset(load_dataset(DataSettings(kind="folder", root=tmp_path), trainable=False))
    assert [name for name, _ in result.plain] == [
        f"{split}/{name}.mp4" for split in ("train/a", "val/b") for name in ("black", "green")
    ]
    assert result.videos == 8 and result.broken == () and "of one colour train/a/black.mp4" in result.text()
    assert json.loads(json.dumps(result.json()))["plain"][0]["name"] == "train/a/black.mp4"


@pytest.mark.parametrize("suffix", ["mts", "m2ts", "ts", "3g2", "ogv", "vob", "asf", "gif", "f4v"])
@pytest.mark.parametrize("upper", [False, True])
def test_every_suffix_of_videos_is_one_in_folders(suffix: str, upper: bool, tmp_path: Path) -> None:
    name = f"1.{suffix.upper() if upper else suffix}"
    for place in (f"train/a/{name}", f"train/b/{name}", f"val/a/{name}"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    dataset = load_dataset(DataSettings(kind="folder", root=tmp_path), trainable=False)
    assert sum(map(len, dataset.items.values())) == 3 and dataset.dropped == ()


@pytest.mark.parametrize(
    ("split", "then"), [("test", "finished networks are measured on val"), ("val", "nothing is trained")]
)
def test_a_split_of_nothing_but_broken_videos_is_named(tmp_path: Path, split: str, then: str) -> None:
    for part in ("train", "val", "test"):
        for name in ("run", "jump"):
            write(tmp_path / f"{part}/{name}/1.mp4", 2)
            if part == split:
                (tmp_path / f"{part}/{name}/1.mp4").write_bytes(b"")
    result = check_dataset(load_dataset(DataSettings(kind="folder", root=tmp_path)))
    assert result.unreadable == {part: 2 * (part == split) for part in ("train", "val", "test")}
    told = [line for line in result.text().splitlines() if "can be read" in line]
    assert told == [f"  {split}: none of its 2 videos can be read: {then}"]
    assert result.json()["unreadable"][split] == 2
