"""A run measures on one data set: another is refused with what differs, and the same one elsewhere is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy_train.data.contents import CONTENTS, Contents
from proxy_train.data.settings import DataSettings, load_dataset
from results.report.from_folders import merged, read_run
from search_space.errors import RecordError, SettingsError
from searcher.record.records import Records
from searcher.record.same_data import DATA, check_same_data, keep_same_data
from searcher.run.session import Session
from searcher.settings.settings import Settings
from searcher.standalone.proxy_validity import prepare_study
from searcher.standalone.relative_fidelity import RelativeFidelity
from tests.proxy_train.video_files import write_images, write_videos
from tests.searcher.invented import invented
from tests.searcher.pilot.on_videos import settings_on


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    for split, count in (("train", 3), ("val", 2)):
        for name in "ab":
            write_videos(root / split / name, *(f"{number}.mp4" for number in range(count)))
    write_images(root / "train" / "b" / "frames", "f_%03d.png", range(1, 8))
    return root


def contents(root: Path) -> Contents:
    return Contents.of(load_dataset(DataSettings(kind="folder", root=root, cache=root.parent / "cache")))


def opened(settings: Settings) -> None:
    """Opens the run as a search does, and ends it."""
    now = contents(Path(str(settings.data.root)))
    check_same_data(settings.run_dir, now)
    with Session.open(settings, invented(), classes=2, contents=now):
        pass


def add(root: Path) -> None:
    write_videos(root / "train" / "a", "new.mp4")


def remove(root: Path) -> None:
    (root / "val" / "a" / "1.mp4").unlink()


def relabel(root: Path) -> None:
    # Its identity is its path: one has gone and another has come.
    (root / "val" / "a" / "1.mp4").rename(root / "val" / "b" / "moved.mp4")


def replace(root: Path) -> None:
    write_videos(root / "train" / "a", "0.mp4", frames=20)


def shorten(root: Path) -> None:
    (root / "train" / "b" / "frames" / "f_007.png").unlink()


def rename_class(root: Path) -> None:
    for split in ("train", "val"):
        (root / split / "a").rename(root / split / "aa")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (add, r"1 video added \(.*new"),
        (remove, r"1 video removed \(.*1"),
        (relabel, r"1 video added \(.*moved.*1 video removed"),
        (replace, r"1 video of another length or size \(.*0"),
        (shorten, r"1 video of another length or size \(.*frames"),
        (rename_class, r"5 videos added .*5 videos removed"),
    ],
)
def test_changed_videos_refuse_the_run_with_what_differs(
    tmp_path: Path, videos: Path, change: Callable[[Path], None], words: str
) -> None:
    settings = settings_on(videos, tmp_path / "runs")
    opened(settings)
    opened(settings)
    change(videos)
    with pytest.raises(SettingsError, match=f"has measured on other data: .*{words}") as refused:
        opened(settings)
    assert "another name" in str(refused.value.hint)
    # The record knows it without the run's list.
    (settings.run_dir / DATA / CONTENTS).unlink()
    with pytest.raises(SettingsError, match="has measured on other data: then"):
        opened(settings)


def test_labels_of_a_list_that_were_corrected_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    write_videos(root, *(f"{number}.mp4" for number in range(6)))

    def listed(*labels: str) -> Contents:
        for split, numbers in (("train", range(4)), ("val", range(4, 6))):
            lines = [f"{number}.mp4 {labels[number]}" for number in numbers]
            (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
        return Contents.of(load_dataset(DataSettings(kind="list", root=root, cache=tmp_path / "cache")))

    before = listed(*"010101")
    changes = before.differences(listed(*"010110"))
    assert len(changes) == 1 and changes[0].startswith("2 videos relabelled (")
    assert before.differences(listed(*"010101")) == []


def test_the_same_videos_elsewhere_are_the_same_data(tmp_path: Path, videos: Path) -> None:
    opened(settings_on(videos, tmp_path / "runs"))
    moved = tmp_path / "other" / "name"
    moved.parent.mkdir()
    shutil.copytree(videos, moved, copy_function=shutil.copyfile)
    opened(settings_on(moved, tmp_path / "runs"))
    with pytest.raises(SettingsError, match=r"data\.flips|data\.seconds"):
        opened(settings_on(moved, tmp_path / "runs", data={
            "kind": "folder", "root": moved, "cache": tmp_path / "cache", "flips": False, "seconds": 3.0
        }))  # fmt: skip


def test_a_record_of_an_older_version_takes_over_what_it_sees(tmp_path: Path, videos: Path) -> None:
    settings = settings_on(videos, tmp_path / "runs")
    with Records.writing(settings.run_dir, settings.identity()):
        pass
    opened(settings)
    with Records.writing(settings.run_dir, settings.identity()) as records:
        assert records.data == {
            "digest": contents(videos).digest, "videos": {"train": 7, "val": 4}, "classes": 2
        }  # fmt: skip


def test_runs_on_different_videos_are_not_compared(tmp_path: Path, videos: Path) -> None:
    folders = [tmp_path / "runs" / name for name in ("one", "two", "three")]
    for folder in folders:
        settings = settings_on(videos, folder.parent, name=folder.name)
        with Records.writing(folder, settings.identity()) as records:
            keep_same_data(records, folder, contents(videos))
        if folder.name == "two":
            add(videos)
    runs = [read_run(folder) for folder in folders]
    merged(runs[:2], folders[:2])
    with pytest.raises(SettingsError, match=r"cannot be compared: .* 1 video added"):
        merged(runs, folders)


def test_a_validity_study_refuses_other_videos_before_it_decodes(tmp_path: Path, videos: Path) -> None:
    settings = settings_on(videos, tmp_path / "runs")
    folder = settings.run_dir / "validity"
    contents(videos).write(folder / DATA)
    remove(videos)
    with pytest.raises(SettingsError, match="has measured on other data: 1 video removed"):
        prepare_study(
            settings,
            RelativeFidelity.parse("epochs=1"),
            RelativeFidelity.parse("epochs=2"),
            10,
            making=lambda *_: None,
            preparing=lambda *_: pytest.fail("decodes"),
        )


def test_a_damaged_list_of_videos_is_named(tmp_path: Path, videos: Path) -> None:
    now = contents(videos)
    now.write(tmp_path)
    assert Contents.read(tmp_path) == now
    (tmp_path / CONTENTS).write_bytes((tmp_path / CONTENTS).read_bytes()[:-20])
    with pytest.raises(RecordError, match="is damaged"):
        Contents.read(tmp_path)
