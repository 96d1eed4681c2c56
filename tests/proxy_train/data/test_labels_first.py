"""Lists without a header whose lines begin with the label."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.errors import DataError
from tests.proxy_train.data.written_formats import load
from tests.proxy_train.video_files import touch, write_images

READING = "label, path: each line ends with what is there, and begins with nothing that is"


def videos(root: Path) -> None:
    touch(root, *(f"clips/{name}.mp4" for name in "abcd"), "clips/e f, g.mp4", "jump/1.mp4", "jump/2.mp4")
    write_images(root / "frames/12", "img_%d.jpg", range(3))


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        ("jump,clips/a.mp4|run,clips/b.mp4", [0, 1]),
        ("1 clips/a.mp4|0 clips/b.mp4", [1, 0]),
        ('"high jump"; clips/a.mp4|high jump; clips/e f, g.mp4|run; clips/b.mp4', [0, 0, 1]),
        ('run\t"clips/e f, g.mp4"|jump\tframes/12', [1, 0]),
        # A folder of a class is no video, and a file that is missing is named.
        ("jump,jump/1.mp4|jump,jump/gone.mp4|run,clips/a.mp4", [0, None, 1]),
        ("jump,clips\\a.mp4|run,clips\\b.mp4", [0, 1]),
    ],
)
def test_a_label_before_its_path_is_read(tmp_path: Path, lines: str, labels: list[int | None]) -> None:
    videos(tmp_path)
    (tmp_path / "train.csv").write_text(lines.replace("|", "\n"))
    (tmp_path / "val.txt").write_text(
        "clips/c.mp4 0\nclips/d.mp4 1\n" if lines[0] in "10" else "run clips/c.mp4"
    )
    dataset = load(tmp_path, trainable=False)
    assert f"train.csv: {READING}" in dataset.notes
    found = {int(item.id.split(":")[1]): item.label for item in dataset.items["train"]}
    assert [found.get(line) for line in range(1, len(labels) + 1)] == labels or None in labels
    if None in labels:
        assert found[1] == 0 and found[3] == 1
        assert [item for item in dataset.items["train"] if not item.path.exists()]


@pytest.mark.parametrize(
    "lines",
    [
        "clips/a.mp4,jump|clips/b.mp4,run",
        "clips/a.mp4 1|clips/b.mp4 0",
        "clips/gone.mp4 jump|clips/b.mp4 run",
    ],
)
def test_a_path_before_its_label_stays_one(tmp_path: Path, lines: str) -> None:
    videos(tmp_path)
    touch(tmp_path, "run/1.mp4")
    (tmp_path / "train.txt").write_text(lines.replace("|", "\n"))
    dataset = load(tmp_path, trainable=False)
    assert "train.txt: path, label" in dataset.notes
    items = [item for items in dataset.items.values() for item in items]
    assert tmp_path / "clips/b.mp4" in {item.path for item in items}


def test_paths_of_test_videos_without_labels_may_hold_spaces(tmp_path: Path) -> None:
    videos(tmp_path)
    touch(tmp_path, "my clips/1.mp4", "my clips/2.mp4")
    (tmp_path / "train.txt").write_text("jump clips/a.mp4\nrun clips/b.mp4")
    (tmp_path / "test.txt").write_text("my clips/1.mp4\nmy clips/2.mp4")
    dataset = load(tmp_path, trainable=False)
    assert [item.path.name for item in dataset.unlabelled] == ["1.mp4", "2.mp4"]
    (tmp_path / "test.txt").write_text("my clips/gone.mp4\n")
    assert (
        len(load(tmp_path, trainable=False).items["train"])
        + len(load(tmp_path, trainable=False).items["val"])
        == 2
    )


@pytest.mark.parametrize(
    ("lines", "told", "remedy"),
    [
        (
            "frames/12,clips/a.mp4|frames/12,clips/b.mp4",
            "may be a path and a label, or the other way round",
            "columns",
        ),
        ("jump,clips/x.mp4|run,clips/y.mp4", "'jump,clips/x.mp4' may be a label and a path", "[label, path]"),
        ("jump,2.5,clips/a.mp4|run,3.5,clips/b.mp4", "3 fields, and '2.5' may be a label", "data.columns"),
    ],
)
def test_what_may_be_either_is_refused(tmp_path: Path, lines: str, told: str, remedy: str) -> None:
    videos(tmp_path)
    (tmp_path / "train.csv").write_text(lines.replace("|", "\n"))
    with pytest.raises(DataError) as refused:
        load(tmp_path, "list", trainable=False)
    assert told in refused.value.message and remedy in (refused.value.hint or "")


def test_columns_say_that_the_label_is_first(tmp_path: Path) -> None:
    videos(tmp_path)
    (tmp_path / "train.csv").write_text(
        "jump,clips/x.mp4\nrun,clips/a.mp4\nrun,clips/b.mp4\njump,clips/c.mp4\n"
    )
    dataset = load(tmp_path, "list", trainable=False, columns=["label", "path"])
    assert dataset.classes == ("jump", "run")
    assert {item.path.name for items in dataset.items.values() for item in items} >= {
        "a.mp4",
        "b.mp4",
        "c.mp4",
    }
