"""What is no file is named and never opened, and does not end or stop the reading of the rest."""

from __future__ import annotations

import os
import socket
from contextlib import chdir
from pathlib import Path

import pytest

from proxy_train.data.check import check_dataset
from proxy_train.video.video import Video
from search_space.errors import DataError
from tests.proxy_train.data.test_formats import WRITERS
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import write_images, write_videos


def listen(path: Path) -> None:
    # A socket's own path may have about a hundred characters.
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def place(root: Path, suffix: str) -> dict[str, str]:
    """Put links that lead nowhere, a pipe and a socket into a folder; return what each is called."""
    links = {
        "itself": f"itself{suffix}",
        "there": f"back{suffix}",
        "back": f"there{suffix}",
        "dangling": "nowhere",
        "below_a_file": f"itself{suffix}/x",
    }
    for name, target in links.items():
        (root / f"{name}{suffix}").symlink_to(target)
    os.mkfifo(root / f"pipe{suffix}")
    listen(root / f"socket{suffix}")
    told = {name: f"a link to {target}, which leads nowhere" for name, target in links.items()}
    told |= {"pipe": "a named pipe", "socket": "a socket"}
    return {f"{root / name}{suffix}": what for name, what in told.items()}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("suffix", ["", ".txt", ".csv", ".json"])
def test_what_is_no_file_is_named_and_the_rest_is_read(tmp_path: Path, kind: str, suffix: str) -> None:
    WRITERS[kind](tmp_path)
    whole = load(tmp_path, kind, trainable=False)
    folder = next(path for path in sorted(tmp_path.rglob("*")) if path.is_dir())
    told = place(tmp_path, suffix) | place(folder, suffix)
    found = load(tmp_path, kind, trainable=False)
    assert found.items == whole.items and found.missing == whole.missing
    assert set(found.dropped) - set(whole.dropped) == set(told.items())


def test_lists_and_annotations_that_are_no_files_do_not_keep_their_reader(tmp_path: Path) -> None:
    write_videos(tmp_path, *(f"{name}/{number}.mp4" for name in "ab" for number in range(2)))
    for name in ("train.txt", "classes.txt", "labels.csv"):
        os.mkfifo(tmp_path / name)
    found = load(tmp_path, trainable=False)
    assert found.notes[0] == "format folder" and len(found.dropped) == 3
    with pytest.raises(DataError, match=r"train\.txt: a named pipe"):
        load(tmp_path, annotations=tmp_path / "train.txt")


def test_videos_that_are_no_files_are_broken(tmp_path: Path) -> None:
    write_videos(tmp_path, "a/1.mp4", "b/1.mp4")
    told = place(tmp_path / "a", ".mp4")
    found = check_dataset(load(tmp_path, trainable=False))
    assert found.videos == 2
    assert dict(found.broken) == {f"a/{Path(path).name}": f"{path}: {what}" for path, what in told.items()}


def test_frames_that_are_no_files_are_named(tmp_path: Path) -> None:
    write_videos(tmp_path, "a/1.mp4", "b/1.mp4")
    for name in ("link", "pipe"):
        write_images(tmp_path / "a" / name, "%03d.jpg", range(1, 5))
    (tmp_path / "a/link/005.jpg").symlink_to("005.jpg")
    os.mkfifo(tmp_path / "a/pipe/005.jpg")
    found = check_dataset(load(tmp_path, trainable=False))
    assert [reason for _, reason in found.broken] == [
        f"{tmp_path}/a/link/005.jpg: a link to 005.jpg, which leads nowhere",
        f"{tmp_path}/a/pipe/005.jpg: a named pipe",
    ]


@pytest.mark.parametrize(
    ("name", "what", "remedy"),
    [
        ("folder", "a folder", "a video in it"),
        ("pipe", "a named pipe", "stream reads it as - < PIPE"),
        ("socket", "a socket", "the path of a video"),
        ("link", "a link to nowhere, which leads nowhere", ""),
        ("absent", "no such file", ""),
    ],
)
def test_a_video_that_is_no_file_is_called_what_it_is(
    tmp_path: Path, name: str, what: str, remedy: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    listen(tmp_path / "socket")
    for use in (Video(tmp_path / name).probe, lambda: Video(tmp_path / name).read(4, 32)):
        with pytest.raises(DataError) as refused:
            use()
        assert refused.value.message == f"{tmp_path / name}: {what}" and remedy in refused.value.hint
