"""Which images of a folder are the frames of its video: never by the order of the directory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.frame_folder import find_frames, sort_images
from proxy_train.video.video import Video
from search_space.errors import DataError
from tests.proxy_train.video_files import touch


def numbered(template: str, numbers: Sequence[int]) -> list[str]:
    return [template % number for number in numbers]


@pytest.fixture(params=[False, True], ids=["in order", "backwards"])
def _any_order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories that list their files the other way round."""
    scandir = os.scandir

    class Reversed:
        def __init__(self, folder: Any) -> None:
            self.entries = scandir(folder)

        def __enter__(self) -> Iterator[Any]:
            return iter(sorted(self.entries, key=lambda entry: entry.name, reverse=True))

        def __exit__(self, *_: object) -> None:
            self.entries.close()

    if request.param:
        monkeypatch.setattr(os, "scandir", Reversed)


@pytest.mark.usefixtures("_any_order")
@pytest.mark.parametrize(
    ("pictures", "others"),
    [
        ("img_%05d.jpg", ["flow_x_%05d.jpg", "flow_y_%05d.jpg"]),
        ("rgb_%d.png", ["depth_%d.png"]),
        ("frame%04d.jpg", ["mask%04d.jpg"]),
        ("%06d.jpg", ["%06d_mask.jpg"]),
        ("cam_%03d_rgb.png", ["cam_%03d_ir.png", "cam_%03d_depth.png"]),
    ],
)
def test_pictures_come_before_what_stands_beside_them(
    tmp_path: Path, pictures: str, others: list[str]
) -> None:
    for template in (pictures, *others):
        touch(tmp_path, *numbered(template, range(1, 13)))
    found = sort_images(tmp_path, 25)
    assert found.frames == FrameFiles(pictures, 1, 12, 25)
    assert dict(found.others) == dict.fromkeys(others, 12)


@pytest.mark.usefixtures("_any_order")
@pytest.mark.parametrize(
    "templates",
    [
        ["left_%03d.png", "right_%03d.png"],
        ["flow_x_%05d.jpg", "flow_y_%05d.jpg"],
        ["%04d.jpg", "%04d.png"],
        ["img_%03d.jpg", "rgb_%03d.jpg"],
    ],
)
def test_a_tie_is_refused_with_the_names(tmp_path: Path, templates: list[str]) -> None:
    for template in templates:
        touch(tmp_path, *numbered(template, range(1, 13)))
    with pytest.raises(DataError) as refused:
        find_frames(tmp_path, 25)
    assert str(tmp_path) in str(refused.value)
    assert all(f"{template} (12 images)" in str(refused.value) for template in templates)


def test_many_spellings_that_are_as_likely_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, *(f"f_{at:03d}_{40 * at}ms_{'abcde'[at]}.jpg" for at in range(5)))
    with pytest.raises(DataError, match=r"\(1 images\) and 2 other spellings") as refused:
        sort_images(tmp_path, 25)
    assert refused.value.message.count(".jpg") == 3


def test_a_few_images_beside_many_are_told_and_not_taken(tmp_path: Path) -> None:
    touch(tmp_path, *numbered("a_%03d.jpg", range(40)), "b_001.jpg", "b_002.jpg", "cover.jpg")
    found = sort_images(tmp_path, 25)
    assert found.frames == FrameFiles("a_%03d.jpg", 0, 40, 25)
    assert found.others == {"b_%03d.jpg": 2, "cover.jpg": 1}


@pytest.mark.parametrize(
    ("template", "numbers"),
    [
        ("frame_%03d.jpg", range(1, 1003)),
        ("%04d.png", range(9990, 10010)),
        ("img%05d.jpg", range(99_990, 100_003)),
        ("frame_%02d.jpg", range(5, 1001)),
        ("%d.jpg", range(12)),
        ("shot (%d).jpg", range(1, 12)),
        ("take 2 - %03d (copy).jpeg", range(1, 12)),
        ("%02d_of_the_film.webp", range(95, 105)),
    ],
)
def test_numbers_may_outgrow_their_zeros_and_stand_anywhere(
    tmp_path: Path, template: str, numbers: range
) -> None:
    names = numbered(template, numbers)
    touch(tmp_path, *names)
    found = sort_images(tmp_path, 25)
    assert found.frames is not None and not found.others
    assert [found.frames.name(at) for at in range(found.frames.count)] == names


@pytest.mark.parametrize(
    "stray", ["frame_7.jpg", "frame_00003.jpg", "frame_01.jpg", "frame_%s.jpg" % ("9" * 30)]
)
def test_a_stray_image_does_not_change_the_others(tmp_path: Path, stray: str) -> None:
    touch(tmp_path, *numbered("frame_%03d.jpg", range(1, 41)), stray)
    found = sort_images(tmp_path, 25)
    assert found.frames == FrameFiles("frame_%03d.jpg", 1, 40, 25)
    assert found.others == {stray: 1}


@pytest.mark.usefixtures("_any_order")
@pytest.mark.parametrize("stray", ["01.jpg", "007.jpg", "0012.jpg"])
def test_a_filled_number_does_not_hide_those_without_zeros(tmp_path: Path, stray: str) -> None:
    touch(tmp_path, *numbered("%d.jpg", range(1, 13)), stray)
    found = sort_images(tmp_path, 25)
    assert found.frames == FrameFiles("%d.jpg", 1, 12, 25) and found.others == {stray: 1}


@pytest.mark.usefixtures("_any_order")
@pytest.mark.parametrize(
    ("templates", "told"),
    [
        (["%d.jpg", "%02d.jpg"], r"%02d\.jpg \(12 images\), or 9 that .*, such as 1\.jpg"),
        (["%03d.png", "%05d.png"], r"%05d\.png \(12 images\), or 12 that .*, such as 001\.png"),
        (["x_%d.jpg", "x_%d.JPG"], r"x_%d\.jpg \(12 images\), or 12 that .*, such as x_1\.JPG"),
    ],
)
def test_two_spellings_of_each_number_are_refused(tmp_path: Path, templates: list[str], told: str) -> None:
    for template in templates:
        touch(tmp_path, *numbered(template, range(1, 13)))
    with pytest.raises(DataError, match=f"{tmp_path}: its frames may be those of {told}"):
        sort_images(tmp_path, 25)


def write_levels(folder: Path, names: Sequence[str]) -> None:
    """Images whose grey level is ten times their place."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names, 1):
        Image.fromarray(np.full((16, 16, 3), 10 * place, np.uint8)).save(folder / name)


@pytest.mark.parametrize(
    "names",
    [
        ["x_1.png", "x_2.PNG", "x_3.png", "x_4.png"],
        ["X_1.png", "x_2.png", "X_3.PNG", "x_4.png"],
        ["a001.PNG", "a002.PNG", "a003.png", "a004.PNG"],
        ["f (1).png", "f (2).PNG", "F (3).png", "f (4).png"],
    ],
)
def test_spellings_in_another_case_are_one_video(tmp_path: Path, names: list[str]) -> None:
    write_levels(tmp_path, names)
    found = sort_images(tmp_path, 4)
    assert found.frames is not None and found.frames.count == 4 and not found.others
    # Data that was prepared of some of them is not taken for it.
    assert found.frames.mixed_case and found.frames.facts()[4:] == [True]
    assert FrameFiles(*found.frames.facts()) == found.frames
    frames = Video(tmp_path, found.frames).read(4, 16)
    assert [int(frame.mean()) for frame in frames] == [10, 20, 30, 40]


def test_one_number_in_two_cases_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path, "x_1.jpg", "x_2.jpg", "x_2.JPG", "x_3.jpg")
    found = sort_images(tmp_path, 4)
    assert found.frames == FrameFiles("x_%01d.jpg", 1, 3, 4)
    assert found.others == {"x_2.JPG": 1}


@pytest.mark.parametrize(
    ("names", "missing", "told"),
    [
        (["x_1.png", "x_2.png", "X_4.PNG", "y_3.png"], "x_3.png", "2 is followed by 4 (3 images)"),
        (["001.png", "002.png", "1000.png"], "003.png", "2 is followed by 1000 (3 images)"),
        (["f0.png", "f10.png", "f20.png"], "f1.png", "0 is followed by 10 (3 images)"),
        (
            ["1700000001123.png", "1700000002123.png"],
            "1700000001124.png",
            "1700000001123 is followed by 1700000002123 (2 images)",
        ),
    ],
)
def test_gaps_are_told_with_the_numbers_around_them(
    tmp_path: Path, names: list[str], missing: str, told: str
) -> None:
    write_levels(tmp_path, names)
    frames = find_frames(tmp_path, 4)
    assert frames is not None
    with pytest.raises(DataError) as refused:
        Video(tmp_path, frames).measure()
    wanted = f"{tmp_path / missing}: no such file: {told}; frames are numbered without gaps"
    assert refused.value.message == wanted


def test_a_last_frame_that_has_gone_is_named(tmp_path: Path) -> None:
    write_levels(tmp_path, ["x_1.png", "x_2.png", "x_3.png"])
    frames = find_frames(tmp_path, 4)
    (tmp_path / "x_3.png").unlink()
    with pytest.raises(DataError, match=r"x_3\.png: no such file$"):
        Video(tmp_path, frames).measure()


def test_folders_without_numbered_images_hold_no_video(tmp_path: Path) -> None:
    touch(tmp_path, "cover.jpg", "notes.txt", "1.txt", ".1.jpg")
    assert sort_images(tmp_path, 4) == (None, {"cover.jpg": 1})
    with pytest.raises(DataError, match="gone: No such file"):
        find_frames(tmp_path / "gone", 4)
