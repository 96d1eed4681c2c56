"""Which of several ways to a folder counts, where some are links."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_train.data.dataset import Dataset
from tests.proxy_train.data.written_formats import labels, load
from tests.proxy_train.video_files import touch


def read(root: Path) -> Dataset:
    return load(root, "folder", trainable=False)


def link(root: Path, **targets: str) -> None:
    """Links to folders of the root; ``_in_`` in a name stands for a folder before it."""
    for name, target in targets.items():
        path = root.joinpath(*reversed(name.split("_in_")))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(root / target, target_is_directory=True)


@pytest.mark.parametrize(
    ("folders", "links"),
    [
        (["batch1", "batch2"], {"train": "batch1", "val": "batch2"}),
        (["zone1", "zone2"], {"train": "zone1", "val": "zone2"}),
        (["raw/train", "raw/val"], {"train": "raw/train", "val": "raw/val"}),
        (["train_a", "val_b"], {"train": "train_a", "val": "val_b"}),
        (
            ["all/1", "all/2"],
            {
                "push_in_train": "all/1/push",
                "pull_in_train": "all/1/pull",
                "push_in_val": "all/2/push",
                "pull_in_val": "all/2/pull",
            },
        ),
    ],
)
def test_splits_may_be_links_or_hold_them_whatever_the_names(
    tmp_path: Path, folders: list[str], links: dict[str, str]
) -> None:
    touch(tmp_path, *(f"{folder}/{name}/1.mp4" for folder in folders for name in ("push", "pull")))
    link(tmp_path, **links)
    dataset = read(tmp_path)
    assert dataset.classes == ("pull", "push")
    for split in ("train", "val"):
        assert labels(dataset, split) == {f"{split}/pull/1.mp4": 0, f"{split}/push/1.mp4": 1}
    tops = {Path(folder).parts[0] for folder in folders}
    assert {name for name, _ in dataset.dropped} == {str(tmp_path / top) for top in tops}


@pytest.mark.parametrize("name", ["able", "zebra"])
def test_a_link_in_a_folder_takes_nothing_from_the_folder_that_it_leads_to(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "train/m/1.mp4", "train/n/1.mp4", "train/b/deep/1.mp4")
    link(tmp_path, **{f"{name}_in_train": "train/m", f"{name}_in_b_in_train": "train/n"})
    link(tmp_path, **{f"{name}_in_m_in_train": "train/b/deep"})
    dataset = read(tmp_path)
    assert {**labels(dataset, "train"), **labels(dataset, "val")} == {
        "train/b/deep/1.mp4": 0,
        "train/m/1.mp4": 1,
        "train/n/1.mp4": 2,
    }
    assert dict(dataset.dropped) == {
        str(tmp_path / "train" / name): f"the same folder as {tmp_path}/train/m",
        str(tmp_path / "train/b" / name): f"the same folder as {tmp_path}/train/n",
        str(tmp_path / "train/m" / name): f"the same folder as {tmp_path}/train/b/deep",
    }


@pytest.mark.parametrize("store", ["a_store", "originals"])
def test_links_in_the_root_are_classes(tmp_path: Path, store: str) -> None:
    touch(tmp_path, *(f"{store}/{name}/{at}.mp4" for name in ("b", "c") for at in range(3)))
    link(tmp_path, b=f"{store}/b", c=f"{store}/c", d="b")
    dataset = read(tmp_path)
    assert dataset.classes == ("b", "c")
    assert set(dict(dataset.dropped)) == {
        *(str(tmp_path / path) for path in ("d", f"{store}/b", f"{store}/c", store))
    }


def test_a_folder_that_is_not_read_hides_no_other_way_to_its_videos(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "archive/c/1.mp4")
    link(tmp_path, c_in_train="archive/c", more="archive/c")
    dataset = read(tmp_path)
    assert dataset.classes == ("a", "b", "c")
    assert dict(dataset.dropped) == {
        str(tmp_path / "archive"): "not a split folder beside train",
        str(tmp_path / "more"): f"the same folder as {tmp_path}/train/c",
    }


@pytest.mark.parametrize("folder", ["batch", "zone"])
def test_a_list_may_name_videos_through_links(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, f"{folder}/push/1.mp4", f"{folder}/pull/1.mp4", "old/train/push/1.mp4")
    link(tmp_path, train=folder)
    (tmp_path / "train.txt").write_text("train/push/1.mp4 0\ntrain/pull/1.mp4 1\n")
    dataset = load(tmp_path, "list", trainable=False)
    used = {str(item.path.relative_to(tmp_path)) for part in dataset.items.values() for item in part}
    assert used == {f"{folder}/push/1.mp4", f"{folder}/pull/1.mp4"} and not dataset.missing
