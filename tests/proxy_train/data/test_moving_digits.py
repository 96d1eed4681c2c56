"""MovingDigits-16: deterministic, resumable, real video, and blind to order it cannot be solved."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from proxy_train.data import moving_digits
from proxy_train.data.dataset import Dataset
from proxy_train.data.digit_scenes import (
    CLASSES,
    FPS,
    FRAMES,
    PLAIN,
    SIZE,
    Motion,
    Scene,
    Sprite,
    between,
    trajectory,
)
from proxy_train.data.moving_digits import PRESETS, ClipRun, Preset
from proxy_train.video.video import Video
from search_space.errors import DataError

FEW = Preset(train=1, val=1, test=1)


def test_clips_are_h264_of_the_promised_shape(tiny_dataset: Dataset) -> None:
    item = tiny_dataset.items["train"][0]
    info = Video(item.path).probe()
    assert (info.codec, info.width, info.height, info.fps) == ("h264", SIZE, SIZE, FPS)
    assert info.duration == pytest.approx(FRAMES / FPS)
    assert Video(item.path).read(FPS, SIZE).shape == (FRAMES, SIZE, SIZE, 3)


def test_manifest_hashes_the_frames_before_encoding(tiny_dataset: Dataset) -> None:
    folder = tiny_dataset.items["train"][0].path.parents[2]
    manifest = json.loads((folder / "manifest.json").read_text())
    clip = next(clip for clip in manifest["clips"] if clip["file"] == "val/orbit-clockwise/0000.mp4")
    chunk = ClipRun(str(folder), FEW, 0, "val", CLASSES.index("orbit-clockwise"), 0, 1)
    frames = moving_digits.clip_frames(chunk, 0)
    assert hashlib.sha256(frames.tobytes()).hexdigest() == clip["sha256"]
    decoded = Video(folder / clip["file"]).read(FPS, SIZE).astype(int)
    assert np.abs(decoded - frames).mean() < 8, "the file shows the frames that the hash is of"


def test_a_killed_writer_goes_on(tmp_path: Path) -> None:
    whole = moving_digits.write(tmp_path / "a", FEW)
    (tmp_path / "a" / "manifest.json").unlink()
    kept, lost, torn = (tmp_path / "a" / whole.clips[number].file for number in (0, 1, 2))
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:100])
    again = moving_digits.write(tmp_path / "a", FEW)
    assert again == whole
    assert kept.stat().st_mtime_ns == stamp, "a finished clip is not made again"
    assert len(Video(torn).read(FPS, SIZE)) == FRAMES


def test_workers_and_progress_change_nothing(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    alone = moving_digits.write(tmp_path / "a", FEW, progress=lambda done, total: seen.append((done, total)))
    together = moving_digits.write(tmp_path / "b", FEW, workers=2)
    assert alone == together
    assert seen[0] == (0, 48) and seen[-1] == (48, 48)


def test_load_heals_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(moving_digits.PRESETS, "tiny", FEW)
    dataset = moving_digits.load("tiny", tmp_path)
    assert {split: len(items) for split, items in dataset.items.items()} == {
        "train": 16,
        "val": 16,
        "test": 16,
    }
    missing = dataset.items["test"][3].path
    missing.unlink()
    assert moving_digits.load("tiny", tmp_path).digest == dataset.digest
    assert missing.exists()


def test_seeds_and_splits_give_other_clips(tmp_path: Path) -> None:
    one, two = (moving_digits.write(tmp_path / str(seed), FEW, seed=seed) for seed in (0, 1))
    hashes = [clip.sha256 for manifest in (one, two) for clip in manifest.clips]
    assert len(set(hashes)) == len(hashes)


def test_unknown_preset_is_named() -> None:
    with pytest.raises(DataError, match=r"'huge'.*default"):
        moving_digits.load("huge", Path("/nowhere"))


@pytest.mark.parametrize("motion", [PLAIN.motion, PRESETS["hard"].scene.motion], ids=["plain", "hard"])
@pytest.mark.parametrize("label", range(0, 16, 2))
def test_twins_show_the_same_places_in_another_order(label: int, motion: Motion) -> None:
    for seed in range(20):
        paths = [trajectory(twin, np.random.default_rng(seed), motion) for twin in (label, label + 1)]
        ordered = [path[np.lexsort(path.T)] for path in paths]
        np.testing.assert_allclose(ordered[0], ordered[1], atol=1e-5)
        assert not np.allclose(paths[0], paths[1])


@pytest.mark.parametrize("label", range(0, 16, 2))
def test_twins_that_are_measured_on_show_the_same_frames(tiny_dataset: Dataset, label: int) -> None:
    folder = str(tiny_dataset.items["train"][0].path.parents[2])

    def clip(split: str, label: int) -> npt.NDArray[np.int64]:
        return moving_digits.clip_frames(ClipRun(folder, FEW, 0, split, label, 0, 1), 0).astype(np.int64)

    first, twin = (clip("test", each) for each in (label, label + 1))
    if label < 8:
        np.testing.assert_array_equal(first, twin[::-1])
    else:
        ordered = [sorted(frame.tobytes() for frame in each) for each in (first, twin)]
        assert ordered[0] == ordered[1], "the same frames"
        assert (first != twin).any()
    apart = np.abs(clip("train", label).mean(0) - clip("train", label + 1).mean(0)).mean()
    assert apart > 4, "clips to learn from are all different"


def test_digits_stay_in_the_picture() -> None:
    reach = max(
        float(np.abs(trajectory(label, np.random.default_rng(seed))[:, :2]).max())
        for label in range(16)
        for seed in range(50)
    )
    assert reach < 0.40 * SIZE - 12, "the farthest centre leaves room for half a digit"


@pytest.mark.parametrize(
    "scene",
    [
        Scene(distractors=1),
        Scene(camera=4.0),
        Scene(occluders=1),
        Scene(flicker=0.2),
        Scene(motion=Motion(unsteady=0.5)),
    ],
    ids=["distractor", "camera", "occluder", "flicker", "unsteady"],
)
def test_what_a_scene_adds_changes_the_frames_and_not_the_label(tiny_dataset: Dataset, scene: Scene) -> None:
    folder = str(tiny_dataset.items["train"][0].path.parents[2])
    plain = ClipRun(folder, FEW, 0, "train", 1, 0, 1)
    changed = ClipRun(folder, Preset(1, 1, 1, scene), 0, "train", 1, 0, 1)
    assert (moving_digits.clip_frames(plain, 0) != moving_digits.clip_frames(changed, 0)).any()


def test_content_lies_between_the_easiest_and_the_hardest() -> None:
    tiny = Sprite((3.0, 4.0), (0.1, 0.2), (0.3, 0.7))
    easy, hard = Scene(), Scene(tiny, distractors=3, camera=8.0, noise=0.1)
    assert between(easy, hard, 0.0) == easy and between(easy, hard, 1.0) == hard
    middle = between(easy, hard, 0.5)
    assert middle.digit.pixels == (10.0, 14.0) and middle.camera == 4.0 and middle.motion == easy.motion
    assert [between(easy, hard, share).distractors for share in (0.1, 0.3, 0.6, 0.9)] == [0, 1, 2, 3]
    assert isinstance(between(easy, hard, 0.3).motion.event[0], int), "a number of frames"


def test_graded_clips_differ_in_how_hard_they_are_and_twins_do_not() -> None:
    graded = PRESETS["graded"]
    noises = [graded.draw_scene(np.random.default_rng(seed)).noise for seed in range(200)]
    assert np.quantile(noises, [0.05, 0.5, 0.95]) == pytest.approx([0.0025, 0.025, 0.0475], abs=0.005)
    assert PRESETS["medium"].draw_scene(np.random.default_rng(0)) is PRESETS["medium"].scene


@pytest.mark.parametrize("label", [0, 6, 8, 14])
def test_graded_twins_share_their_background_and_digit(tiny_dataset: Dataset, label: int) -> None:
    folder = str(tiny_dataset.items["train"][0].path.parents[2])
    pair = [
        moving_digits.clip_frames(ClipRun(folder, PRESETS["graded"], 0, "val", each, 0, 1), 3)
        for each in (label, label + 1)
    ]
    means = [clip.astype(np.int64).mean(0) for clip in pair]
    other = moving_digits.clip_frames(ClipRun(folder, PRESETS["graded"], 0, "val", label, 0, 1), 4)
    apart = np.abs(means[0] - other.mean(0)).mean()
    assert np.abs(means[0] - means[1]).mean() < 0.5 * apart
    assert (pair[0] != pair[1]).any()
