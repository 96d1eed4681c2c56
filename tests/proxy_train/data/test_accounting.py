"""Every video file and every folder of frames below a root is used or named, in every format."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_train.data.dataset import Dataset
from search_space.errors import DataError
from tests.proxy_train.data.test_formats import WRITERS
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch

VIDEO = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".gif")
IMAGE = (".jpg", ".png")
FOLDERS = [
    "a",
    "b",
    "train",
    "val",
    "test",
    "train_256",
    "val_256",
    "testset",
    "rgb",
    "flow_x",
    "deep",
    "splits",
]
FILES = [
    *("1.mp4", "2.AVI", "clip.webm", "A.mp4", "a.mp4", "v_Archery_g01_c01.avi", ".hidden.mp4", "notes.txt"),
    *("img_001.jpg", "img_002.jpg", "img_003.JPG", "flow_x_001.jpg", "shot (1).png", "cover.jpg", "p.gif"),
]
TREES = st.lists(
    st.tuples(st.lists(st.sampled_from(FOLDERS), max_size=3), st.sets(st.sampled_from(FILES), max_size=6)),
    max_size=8,
)


def on_disk(root: Path) -> set[Path]:
    """The video files and the images below a root."""
    paths = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return {path for path in paths if path.suffix.lower() in (*VIDEO, *IMAGE)}


def unaccounted(dataset: Dataset, root: Path) -> set[Path]:
    """The video files and images that are neither used nor named, nor below a folder that is."""
    items = [*dataset.unlabelled, *(item for items in dataset.items.values() for item in items)]
    told = {item.path for item in items} | {Path(name) for name, _ in dataset.dropped}
    # Rows of annotations are named as these write them.
    names = [name for name, _ in dataset.dropped if not name.startswith("/")]
    rows = {Path(name.rpartition(":")[2]).stem.casefold() for name in names}
    left = {path for path in on_disk(root) if not told & {path, *path.parents}}
    return {path for path in left if path.stem.casefold() not in rows}


def check(root: Path, kind: str) -> bool:
    """Check the listing of a root; return whether it was refused."""
    try:
        dataset = load(root, kind, trainable=False)
    except DataError as error:
        assert str(root) in str(error)
        return True
    assert unaccounted(dataset, root) == set()
    items = [item for items in dataset.items.values() for item in items]
    assert max(Counter(item.id for item in items).values()) == 1
    assert not {str(item.path) for item in items} & {name for name, _ in dataset.dropped} or kind != "folder"
    assert dataset.notes[0] == f"format {kind}"
    return False


@pytest.mark.parametrize("kind", WRITERS)
def test_every_file_of_every_format_is_used_or_named(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path)
    assert not check(tmp_path, kind)
    touch(tmp_path, "stray.mp4", "some/where/else.mkv", "loose_1.jpg", ".trash/x.mp4")
    touch(tmp_path / "some/frames", *(f"{number}.jpg" for number in range(5)))
    assert not check(tmp_path, kind)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_root_may_be_written_in_any_way(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    WRITERS[kind](root)
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    monkeypatch.chdir(root)
    whole = load(root, kind, trainable=False)
    for written in (".", "../videos", f"{root}/", str(tmp_path / "link")):
        dataset = load(Path(written), kind, trainable=False)
        assert [len(dataset.dropped), len(dataset.missing)] == [len(whole.dropped), len(whole.missing)]
        for split, items in dataset.items.items():
            assert [(item.id, item.label, item.path.resolve()) for item in items] == [
                (item.id, item.label, item.path) for item in whole.items[split]
            ]


@pytest.mark.parametrize("kind", WRITERS)
def test_every_file_of_any_tree_is_used_or_named(kind: str) -> None:
    refused: list[bool] = []

    @settings(max_examples=int(os.environ.get("MOVINAS_TREES", "25")), deadline=None, derandomize=True)
    @given(TREES)
    def holds(tree: list[tuple[list[str], set[str]]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            if kind != "folder":
                WRITERS[kind](root)
            for below, names in tree:
                touch(root.joinpath(*below), *names)
            refused.append(check(root, kind))

    holds()
    assert not all(refused)


# Annotations that a reader passes over: those of other splits.
UNREAD = {"ucf101": "ucfTrainTestlist/trainlist02.txt", "hmdb51": "splits/run_test_split2.txt"}


@pytest.mark.parametrize("annotations", ["", "link"])
@pytest.mark.parametrize("kind", WRITERS)
def test_files_that_are_neither_videos_nor_read_are_named(
    tmp_path: Path, kind: str, annotations: str
) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    WRITERS[kind](root)
    read = {path for path in root.rglob("*") if path.suffix in (".csv", ".txt", ".json")}
    deep = "train/b" if kind == "folder" else "deep"
    unread = {root / UNREAD[kind]} if kind in UNREAD else set()
    touch(
        root,
        "labels.XLSX",
        f"{deep}/labels.ods",
        "notes.md",
        ".DS_Store",
        f"{deep}/classes.txt",
        f"{deep}/none",
    )
    touch(root, *(f"{deep}/{number}.info.json" for number in range(6)))
    given = {}
    if annotations and read:
        # The same folder by another way: its files are still those that are read.
        (tmp_path / "link").symlink_to(next(iter(read)).parent, target_is_directory=True)
        given = {"annotations": str(tmp_path / "link")}
    dropped = dict(load(root, kind, trainable=False, **given).dropped)
    tables = "; lists and tables are read as .csv, .tsv or .txt"
    assert {name: reason for name, reason in dropped.items() if "suffix" in reason or "hidden" in reason} == {
        **{str(path): f"not a video: suffix {path.suffix}" for path in unread},
        f"{root}/labels.XLSX": f"not a video: suffix .XLSX{tables}",
        f"{root}/{deep}/labels.ods": f"not a video: suffix .ods{tables}",
        f"{root}/notes.md": "not a video: suffix .md",
        f"{root}/.DS_Store": "hidden: its name begins with a dot",
        f"{root}/{deep}/classes.txt": "not a video: suffix .txt",
        f"{root}/{deep}/none": "not a video: suffix missing",
        f"{root}/{deep}/0.info.json and 5 others": "not a video: suffix .json",
    }
    assert not {str(path) for path in read - unread} & dropped.keys()
