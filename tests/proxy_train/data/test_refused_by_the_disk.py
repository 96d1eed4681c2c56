"""A folder that cannot be read is an error that names it: its videos are not absent."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import DataError
from tests.proxy_train.data.test_formats import WRITERS
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch, write_images


def as_nobody(folder: Path, work: Callable[[], Any]) -> str:
    """Do work in a process without root's rights; return the message of its DataError, or nothing.

    Args:
        folder: the folder that the process works in.
        work: the work.
    """
    folder.chmod(0o755)
    before = Path.cwd()
    os.chdir(folder)
    with suppress(DataError):
        work()  # what it imports may be closed to nobody
    os.chdir(before)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        said = "no DataError"
        try:
            os.chdir(folder)
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            work()
            said = ""
        except DataError as error:
            said = str(error)
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(theirs, said.encode())
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.parametrize(
    "closed", ["c", "a/deep", "train/a", ".", "labels", "c/frames"], ids=lambda name: name.replace("/", "-")
)
def test_class_folders_that_are_closed_are_refused(tmp_path: Path, closed: str) -> None:
    root = tmp_path / "videos"
    prefix = "train/" if closed.startswith("train") else ""
    touch(root, *(f"{prefix}{name}/{at}.mp4" for name in "abc" for at in range(4)), "labels/note.txt")
    touch(root, "a/deep/5.mp4")
    write_images(root / "c/frames", "%03d.png", range(2))
    assert as_nobody(tmp_path, lambda: load(Path("videos"), "auto", trainable=False)) == ""
    (root / closed).chmod(0)
    try:
        said = as_nobody(tmp_path, lambda: load(Path("videos"), "auto", trainable=False))
    finally:
        (root / closed).chmod(0o755)
    assert f"{Path('videos') / closed}: Permission denied" in said


@pytest.mark.parametrize("kind", WRITERS)
def test_in_every_format_a_closed_folder_is_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    WRITERS[kind](root)
    folder = next(path for path in sorted(root.rglob("*")) if path.is_dir())
    folder.chmod(0)
    try:
        said = as_nobody(tmp_path, lambda: load(Path("videos"), kind, trainable=False))
    finally:
        folder.chmod(0o755)
    assert f"{folder.relative_to(tmp_path)}: Permission denied" in said


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("fault", [errno.ESTALE, errno.EIO])
def test_in_every_format_a_failing_disk_is_an_error(
    tmp_path: Path, kind: str, fault: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS[kind](tmp_path)
    folder = max(path for path in tmp_path.rglob("*") if path.is_dir())
    scandir = os.scandir

    def failing(path: Any) -> Any:
        if Path(path) == folder:
            raise OSError(fault, os.strerror(fault), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(DataError, match=re.escape(f"{folder}: {os.strerror(fault)}")):
        load(tmp_path, kind, trainable=False)


@pytest.mark.parametrize("what", ["root", "annotations", "a list"])
def test_what_is_named_and_closed_is_not_called_absent(tmp_path: Path, what: str) -> None:
    closed = tmp_path / "closed"
    touch(closed, "videos/a/1.mp4", "train.txt")
    touch(tmp_path, "open/a/1.mp4", "open/train.txt")
    given: dict[str, dict[str, Any]] = {
        "root": {"root": Path("closed/videos")},
        "annotations": {"root": Path("open"), "annotations": Path("closed/train.txt")},
        "a list": {"root": Path("open"), "kind": "list"},
    }
    path = tmp_path / "open/train.txt" if what == "a list" else closed
    path.chmod(0)
    try:
        said = as_nobody(tmp_path, lambda: load(**given[what], trainable=False))
    finally:
        path.chmod(0o755)
    assert "Permission denied" in said and not said.startswith("PermissionError")


def test_a_link_to_itself_is_named_and_does_not_hide_the_rest(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4")
    (tmp_path / "a/loop").symlink_to("loop")
    dataset = load(tmp_path, "folder", trainable=False)
    assert sum(map(len, dataset.items.values())) == 2
    assert dict(dataset.dropped).keys() == {str(tmp_path / "a/loop")}
