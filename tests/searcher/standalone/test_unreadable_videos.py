"""What is required of a data set is required of the videos that can be read; a test split of none is none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from proxy_train.data.settings import DataSettings
from proxy_train.recipe import Recipe
from search_space.architecture.architecture import Architecture
from search_space.errors import DataError
from search_space.progress import ignore_progress
from searcher.evaluator.run_data import RunData
from searcher.standalone.single_training import SingleTraining, TrainedNetwork, train_single
from searcher.testing.domains import SPACE
from tests.proxy_train.video_files import write_videos

NETWORK = Architecture.parse("stream_4x16x4_s8_w16s2-33e32-a_w16s2-33e32-a_h64x32")


def videos_with(root: Path, unreadable: str, source: str = "store") -> DataSettings:
    """Write two videos of each of two classes for each split, and replace those of a pattern by text."""
    splits = ("train", "val", "test")
    write_videos(root, *[f"{split}/{kind}/{n}.mp4" for split in splits for kind in "ab" for n in range(2)])
    for path in root.glob(unreadable):
        path.write_text("not a video")
    return DataSettings.model_validate(
        {"kind": "folder", "root": root, "cache": root.parent / "cache", "source": source}
    )


def train(data: DataSettings, folder: Path) -> TrainedNetwork:
    return train_single(SingleTraining(NETWORK, data, Recipe(batch_size=4), folder, 1))


@pytest.mark.parametrize("source", ["store", "videos"])
@pytest.mark.parametrize(
    ("unreadable", "words"),
    [
        ("val/b/*", r"its val split has a in every video, .* its 2 unreadable videos: .*val/b/0\.mp4"),
        ("train/b/*", r"no training video of class b, .* its 2 unreadable videos: .*train/b/0\.mp4"),
    ],
)
def test_what_cannot_be_read_is_missing(tmp_path: Path, source: str, unreadable: str, words: str) -> None:
    data = videos_with(tmp_path / "videos", unreadable, source)
    for _ in range(2):  # decoded, and decoded before
        with pytest.raises(DataError, match=words) as caught:
            train(data, tmp_path / "training")
        assert caught.value.hint.startswith("replace those files; or add ")
    with pytest.raises(DataError, match=words):
        RunData.open(data, SPACE, workers=1, making=ignore_progress, preparing=ignore_progress)
    assert not (tmp_path / "training").exists()


def test_without_a_readable_test_video_the_figures_are_of_val(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = videos_with(tmp_path / "videos", "test/*/*")
    trained = train(data, tmp_path / "training")
    assert trained.split == "val" and trained.metrics["clips"] == 4
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "videos: none of its 4 test videos can be read; finished networks are measured on val" in warnings
    run = RunData.open(data, SPACE, workers=1, making=ignore_progress, preparing=ignore_progress)
    assert run.final_split == "val" and len(run.example(SPACE.largest().input)) > 0


def test_a_test_split_goes_on_without_its_unreadable_videos(tmp_path: Path) -> None:
    data = videos_with(tmp_path / "videos", "test/*/0.mp4")
    assert train(data, tmp_path / "training").metrics["clips"] == 2
    run = RunData.open(data, SPACE, workers=1, making=ignore_progress, preparing=ignore_progress)
    assert run.final_split == "test"
    assert [item.id for item in run.readable.items["test"]] == ["test/a/1.mp4", "test/b/1.mp4"]
